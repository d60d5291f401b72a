//! The server's side of the control socket.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, net};

use serde_json::{Value as Json, json};

use super::request::{End, Gone, Items, Refusal, Request};

/// Longest request, its end of line included.
pub(super) const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// Connections at once; one more is answered that the server is busy.
const CONNECTIONS_MAX: usize = 16;
/// Connections that wait until they are accepted.
const BACKLOG: u32 = 16;
/// How long a client may take for its request, and for taking one line of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a look takes whether a client is still there that has nothing more to say.
const GLANCE: Duration = Duration::from_millis(1);
/// How long the request of a client that is refused is waited for.
const REFUSED_PATIENCE: Duration = Duration::from_secs(1);

/// Who answers requests.
pub(crate) trait Answer: Send + Sync {
    /// Does what is asked; may take as long as the client stays.
    fn answer(&self, request: Request, items: &mut dyn Items) -> End;
}

/// The open control socket. A thread accepts, and each connection has one of its own: what they do
/// is waiting for shards and clients, and they must go on when everything else is overloaded.
/// Dropping it closes the socket and removes its file.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Opens the socket at `path`, whose file gets these permissions. A file that an earlier server
    /// has left is replaced.
    pub(crate) fn open(path: &Path, mode: u32, answer: Arc<dyn Answer>) -> io::Result<Self> {
        let listener = gateway_transport::listen_unix(path, Some(mode), BACKLOG)?;
        listener.set_nonblocking(false)?;
        let ending = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ending);
        let accept = move || accept_all(&listener, &until, &answer);
        let thread = thread::Builder::new().name("control".into()).spawn(accept)?;
        Ok(ControlSocket { path: path.to_owned(), ending, thread: Some(thread) })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn accept_all(listener: &UnixListener, ending: &AtomicBool, answer: &Arc<dyn Answer>) {
    /// A rest when the system is out of descriptors.
    const PAUSE: Duration = Duration::from_millis(500);
    let connections = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            thread::sleep(PAUSE);
            continue;
        };
        let permit = Permit::take(&connections);
        let answer = Arc::clone(answer);
        let talk = move || {
            // A client that breaks off has what it wants.
            let _ = match permit {
                Some(_permit) => converse(stream, &*answer),
                None => refuse(&stream),
            };
        };
        // Without a thread the connection is closed, which the client sees.
        let _ = thread::Builder::new().name("control-client".into()).spawn(talk);
    }
}

/// One of the connections that may be open at once.
struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(connections: &Arc<AtomicUsize>) -> Option<Permit> {
        let permit = Permit(Arc::clone(connections));
        (connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn refuse(mut stream: &UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(GLANCE))?;
    stream.set_read_timeout(Some(REFUSED_PATIENCE))?;
    // Closing with an unread request would destroy the answer.
    let mut request = Vec::new();
    let _ = BufReader::new(stream).take(REQUEST_BYTES_MAX).read_until(b'\n', &mut request);
    let refusal = Refusal::busy(format!("{CONNECTIONS_MAX} connections are open already"));
    writeln!(stream, "{}", refusal.line())
}

/// One request and its answer.
fn converse(stream: UnixStream, answer: &dyn Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(&stream).take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)?;
    let mut client = Client { stream };
    let end = match read_request(&line) {
        Ok(request) => answer.answer(request, &mut client),
        Err(refusal) => End::Refused(refusal),
    };
    let last = match end {
        End::Done(summary) => json!({ "end": summary }),
        End::Refused(refusal) => refusal.line(),
        End::Gone => return Ok(()),
    };
    let _ = client.line(&last);
    client.stream.shutdown(net::Shutdown::Both)
}

fn read_request(line: &[u8]) -> Result<Request, Refusal> {
    if line.last() != Some(&b'\n') {
        let message = format!("a request is a line of at most {REQUEST_BYTES_MAX} bytes");
        return Err(Refusal::bad_request(message));
    }
    serde_json::from_slice(line).map_err(|error| Refusal::bad_request(error.to_string()))
}

struct Client {
    stream: UnixStream,
}

impl Client {
    fn line(&mut self, line: &Json) -> Result<(), Gone> {
        let mut text = line.to_string();
        text.push('\n');
        self.stream.write_all(text.as_bytes()).map_err(|_| Gone)
    }
}

impl Items for Client {
    fn item(&mut self, item: Json) -> Result<(), Gone> {
        self.line(&json!({ "item": item }))
    }

    fn is_gone(&mut self) -> bool {
        let mut nothing = [0];
        let looked = self.stream.set_read_timeout(Some(GLANCE));
        match looked.and_then(|()| (&self.stream).read(&mut nothing)) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Counts to the number that `show` names, then says how far it came.
    struct Counting;

    impl Answer for Counting {
        fn answer(&self, request: Request, items: &mut dyn Items) -> End {
            let Request::Show(show) = request else {
                return Refusal::refused("only show").into();
            };
            let Ok(last) = show.client.parse::<u64>() else {
                while !items.is_gone() {}
                return End::Gone;
            };
            for number in 0..last {
                if items.item(number.into()).is_err() {
                    return End::Gone;
                }
            }
            End::Done(json!({ "count": last }))
        }
    }

    struct Open {
        folder: tempfile::TempDir,
        _socket: ControlSocket,
    }

    impl Open {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("control.sock");
            let socket = ControlSocket::open(&path, 0o600, Arc::new(Counting)).unwrap();
            Open { folder, _socket: socket }
        }

        fn connect(&self) -> UnixStream {
            UnixStream::connect(self.folder.path().join("control.sock")).unwrap()
        }

        fn ask(&self, text: &[u8]) -> String {
            let mut stream = self.connect();
            stream.write_all(text).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        }
    }

    #[test]
    fn an_answer_is_its_items_and_an_end() {
        let open = Open::new();
        let answer = open.ask(b"{\"command\":\"show\",\"client\":\"2\"}\n");
        assert_eq!(answer, "{\"item\":0}\n{\"item\":1}\n{\"end\":{\"count\":2}}\n");
        let answer = open.ask(b"{\"command\":\"stats\"}\n");
        assert_eq!(answer, "{\"error\":{\"kind\":\"refused\",\"message\":\"only show\"}}\n");
    }

    #[test]
    fn a_bad_request_is_told_why() {
        let open = Open::new();
        let answer = open.ask(b"{\"command\":\"show\",\"client\":2}\n");
        assert!(
            answer.starts_with("{\"error\":{\"kind\":\"bad-request\",\"message\":"),
            "{answer}"
        );
    }

    #[test]
    fn a_line_may_be_so_long_and_not_longer() {
        let open = Open::new();
        let mut line = b"{\"command\":\"show\",\"client\":\"1\"}".to_vec();
        line.resize(usize::try_from(REQUEST_BYTES_MAX).unwrap() - 1, b' ');
        line.push(b'\n');
        assert!(open.ask(&line).starts_with("{\"item\":0}"));
        line.insert(0, b' ');
        line.pop();
        let answer = open.ask(&line);
        assert!(answer.contains("a line of at most 65536 bytes"), "{answer}");
    }

    #[test]
    fn only_so_many_are_served_at_once() {
        let open = Open::new();
        let waiting: Vec<_> = (0..CONNECTIONS_MAX).map(|_| open.connect()).collect();
        for mut stream in &waiting {
            stream.write_all(b"{\"command\":\"show\",\"client\":\"for ever\"}\n").unwrap();
        }
        let answer = open.ask(b"{\"command\":\"stats\"}\n");
        assert!(answer.contains("\"busy\""), "{answer}");
        drop(waiting);
        // Those who are gone are noticed, one by one.
        while !open.ask(b"{\"command\":\"show\",\"client\":\"0\"}\n").contains("count") {}
    }

    #[test]
    fn the_file_is_the_owners_and_goes_with_the_socket() {
        let open = Open::new();
        let path = open.folder.path().join("control.sock");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let Open { folder: _folder, _socket } = open;
        drop(_socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_was_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        ControlSocket::open(&path, 0o600, Arc::new(Counting)).unwrap();
    }
}
