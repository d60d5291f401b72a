//! The client's side of the control socket: what the commands use.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;

use super::CONTROL_SOCKET;
use super::request::Request;

/// Longest line of an answer: a retained message of 256 MiB with its payload in escapes.
const LINE_BYTES_MAX: u64 = 1 << 31;
/// How long the server may take for a line, except where it has nothing to say.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody is there.
    #[error("no server runs with data directory {}", .0.display())]
    NoServer(PathBuf),
    /// The socket may not be used.
    #[error("the server with data directory {} cannot be asked: {source}", .data_dir.display())]
    Connect {
        /// The data directory.
        data_dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The server went away in the middle.
    #[error("the server broke off: {0}")]
    Broken(io::Error),
    /// The server refused.
    #[error("{message}")]
    Refused {
        /// The sort of refusal.
        kind: String,
        /// Why.
        message: String,
    },
}

/// An answer as it arrives.
#[derive(Debug)]
pub(crate) struct Answers {
    lines: BufReader<UnixStream>,
}

/// Sends a request to the server with this data directory.
///
/// # Errors
/// There is none, or it must not be asked.
pub(crate) fn ask(data_dir: &Path, request: &Request) -> Result<Answers, AskError> {
    let mut stream =
        UnixStream::connect(data_dir.join(CONTROL_SOCKET)).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                AskError::NoServer(data_dir.to_owned())
            }
            _ => AskError::Connect { data_dir: data_dir.to_owned(), source: error },
        })?;
    let patience = match request {
        Request::Trace(_) => None,
        _ => Some(PATIENCE),
    };
    let line = serde_json::to_string(request).expect("a request is text and numbers") + "\n";
    let sent = stream.set_read_timeout(patience);
    // A server that refuses at once may have closed already; what it says is read all the same.
    let _ = sent.and_then(|()| stream.write_all(line.as_bytes()));
    Ok(Answers { lines: BufReader::new(stream) })
}

/// One line of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Answered {
    /// One of many things.
    Item(Json),
    /// The summary at the end.
    End(Json),
}

impl Answers {
    /// The next line.
    ///
    /// # Errors
    /// The server refused or broke off.
    pub(crate) fn next(&mut self) -> Result<Answered, AskError> {
        let mut line = Vec::new();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(AskError::Broken)?;
        if line.last() != Some(&b'\n') {
            return Err(AskError::Broken(ErrorKind::UnexpectedEof.into()));
        }
        let invalid = || AskError::Broken(ErrorKind::InvalidData.into());
        let mut json: Json = serde_json::from_slice(&line).map_err(|_| invalid())?;
        let mut take = |key| json.get_mut(key).map(Json::take);
        if let Some(item) = take("item") {
            return Ok(Answered::Item(item));
        }
        if let Some(summary) = take("end") {
            return Ok(Answered::End(summary));
        }
        let error = take("error").ok_or_else(invalid)?;
        let text = |key: &str| error.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        Err(AskError::Refused { kind: text("kind"), message: text("message") })
    }
}
