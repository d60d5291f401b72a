use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Opens a non-blocking listener at `path`, whose file gets the permissions `mode` (what the
/// process's umask leaves if `None`), with at most `backlog` connections that nobody has accepted
/// yet. A socket file that nobody listens on any more is replaced.
///
/// # Errors
/// Somebody listens there, or the path is something else than a socket, or what the system says:
/// no such folder, no permission, path too long. The text names the path.
pub fn listen_unix(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<UnixListener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    remove_stale(path).map_err(named)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path).map_err(named)?).map_err(named)?;
    // Nobody can connect before listen, so nobody slips in with the wrong permissions.
    let prepared = match mode {
        Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)),
        None => Ok(()),
    };
    let prepared =
        prepared.and_then(|()| socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)));
    if let Err(error) = prepared {
        let _ = fs::remove_file(path);
        return Err(named(error));
    }
    Ok(socket.into())
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "is not a socket"));
    }
    // Without blocking, since it would wait for room in a full backlog.
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
    }
}

/// The file of a Unix listener, removed when this is dropped, unless another socket has taken its
/// place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    /// Takes charge of the file of a listener that was just opened at `path`.
    ///
    /// # Errors
    /// The file is gone or cannot be looked at.
    pub fn new(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), id: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.id);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}
