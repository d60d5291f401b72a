use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use gateway_transport::{SocketFile, listen_unix};

use crate::authority::Folder;

#[test]
fn a_listener_does_not_block_and_takes_connections() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    let listener = listen_unix(&path, None, 16).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let _client = UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
}

#[test]
fn the_file_gets_its_permissions() {
    let folder = Folder::new();
    for mode in [0o600, 0o660, 0o666, 0o000] {
        let path = folder.path().join(format!("{mode:o}.sock"));
        let _listener = listen_unix(&path, Some(mode), 16).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    let live = listen_unix(&path, None, 16).unwrap();
    let error = listen_unix(&path, None, 16).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("mqtt.sock: somebody listens there"), "{error}");
    UnixStream::connect(&path).unwrap();
    drop(live);
    assert!(path.exists(), "the system leaves the file");
    let again = listen_unix(&path, None, 16).unwrap();
    UnixStream::connect(&path).unwrap();
    drop(again);
}

#[test]
fn a_full_backlog_is_live() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    let _live = listen_unix(&path, None, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert_eq!(listen_unix(&path, None, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn what_is_no_socket_stays() {
    let folder = Folder::new();
    let path = folder.write("precious", "data");
    let error = listen_unix(&path, None, 16).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("is not a socket"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
    assert!(listen_unix(folder.path(), None, 16).is_err());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(listen_unix(&link, None, 16).is_err());
}

#[test]
fn errors_name_the_path() {
    let folder = Folder::new();
    let path = folder.path().join("missing/mqtt.sock");
    let error = listen_unix(&path, None, 16).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("missing/mqtt.sock"), "{error}");
    let path = folder.path().join("x".repeat(120));
    let error = listen_unix(&path, None, 16).unwrap_err();
    assert!(error.to_string().contains("xxx"), "{error}");
}

#[test]
fn the_file_is_removed_at_the_end_unless_it_is_anothers() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    let listener = listen_unix(&path, None, 16).unwrap();
    let file = SocketFile::new(&path).unwrap();
    drop((listener, file));
    assert!(!path.exists());

    let first = listen_unix(&path, None, 16).unwrap();
    let file = SocketFile::new(&path).unwrap();
    // Another one takes the place while the first file still has its inode.
    let aside = folder.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    let _second = UnixListener::bind(&path).unwrap();
    drop((first, file));
    assert!(path.exists());
}
