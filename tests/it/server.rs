//! A server under test: a child process with its own folder and free ports, and a client that
//! speaks the few packets of MQTT that these tests need.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running server, which is killed when dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

/// One listener on a free port.
pub(crate) fn listener(name: &str) -> String {
    format!("[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\n")
}

impl Server {
    /// Starts one with this configuration; what it says goes to the file `log`.
    pub(crate) fn start(config: &str) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), config)
    }

    /// The same in a folder where other files are already.
    pub(crate) fn start_in(folder: TempDir, config: &str) -> Server {
        std::fs::write(folder.path().join("city.toml"), config).unwrap();
        Server::launch(folder)
    }

    fn launch(folder: TempDir) -> Server {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_manifold"))
            .args(["serve", "--config"])
            .arg(folder.path().join("city.toml"))
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .env_remove("RUST_LOG")
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server { child, folder };
        wait_for("listeners.json", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("the server ended at its start ({status}):\n{}", server.log());
            }
            server.data_dir().join("listeners.json").exists().then_some(())
        });
        server
    }

    /// Starts the server again after it has ended.
    pub(crate) fn restart(&mut self) {
        let empty = tempfile::tempdir().unwrap();
        let folder = std::mem::replace(&mut self.folder, empty);
        // The other value's folder has no log to be looked into.
        std::fs::write(self.folder.path().join("log"), "").unwrap();
        *self = Server::launch(folder);
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where other files of the configuration go.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Replaces the configuration file.
    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.folder.path().join("city.toml"), config).unwrap();
    }

    /// Sends a signal, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([format!("-{name}"), id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the server has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_for("the end of the server", || self.child.try_wait().unwrap()).code()
    }

    /// Runs a command of `manifold` on this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_manifold"))
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_dir())
            .output()
            .unwrap()
    }

    /// What a command that succeeds prints.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The objects that a command that succeeds prints for programs.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Json> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let text = self.text(&arguments);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a command that is refused says, with its exit code.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// A command that goes on, with its standard output to be read.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_manifold"))
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_dir())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Where a listener listens.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let listeners = self.json(&["listeners"]);
        let found = listeners.iter().find(|listener| listener["name"] == name);
        found.expect("the listener is there")["address"].as_str().unwrap().parse().unwrap()
    }

    /// A client of the first listener, connected with MQTT 3.1.1.
    pub(crate) fn connect(&self, client_id: &str) -> Client {
        let address = self.json(&["listeners"])[0]["address"].as_str().unwrap().parse().unwrap();
        Client::connect(address, client_id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        }
    }
}

/// A client of MQTT 3.1.1.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects without credentials, with a session that stays.
    pub(crate) fn connect(address: SocketAddr, client_id: &str) -> Client {
        let mut client = Client::begin(address, client_id, None);
        let (first, body) = client.packet().unwrap();
        assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
        client
    }

    /// Sends CONNECT, for a session that stays.
    pub(crate) fn begin(
        address: SocketAddr,
        client_id: &str,
        credentials: Option<(&str, &str)>,
    ) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let flags = if credentials.is_some() { 0xC0 } else { 0 };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 0];
        put_text(&mut body, client_id);
        if let Some((user, password)) = credentials {
            put_text(&mut body, user);
            put_text(&mut body, password);
        }
        let mut client = Client { stream };
        client.send(0x10, &body);
        client
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, first: u8, body: &[u8]) {
        let len = u8::try_from(body.len()).unwrap();
        assert!(len < 128, "a longer packet needs more bytes of length");
        let mut bytes = vec![first, len];
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next packet; `None` when the server has closed the connection.
    pub(crate) fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(head[1] < 128);
        let mut body = vec![0; head[1].into()];
        self.stream.read_exact(&mut body).unwrap();
        Some((head[0], body))
    }

    /// Subscribes and waits for the answer.
    pub(crate) fn subscribe(&mut self, filter: &str) -> u8 {
        let mut body = vec![0, 1];
        put_text(&mut body, filter);
        body.push(0);
        self.send(0x82, &body);
        let (first, body) = self.packet().unwrap();
        assert_eq!(first, 0x90, "SUBACK");
        body[2]
    }

    /// Publishes with QoS 0.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let mut body = Vec::new();
        put_text(&mut body, topic);
        body.extend_from_slice(payload.as_bytes());
        self.send(0x30 | u8::from(retain), &body);
    }

    /// Waits until the server has taken everything that was sent before.
    pub(crate) fn ping(&mut self) {
        self.send(0xC0, &[]);
        assert_eq!(self.packet(), Some((0xD0, Vec::new())));
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// One request over HTTP: the status line, the head and the body.
pub(crate) fn http_get(address: &str, path: &str, headers: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = String::new();
    write!(request, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n")
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, head) = head.split_once("\r\n").unwrap();
    (status.to_owned(), head.to_owned(), body.to_owned())
}
