//! The server under test: a child process with its own folder and free ports.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::process::{Process, finish, run, wait_for};

/// Every secret that a test uses: none of them may appear in a log or an answer of the server.
pub(crate) const SECRETS: &[&str] = &[
    "ann's secret",
    "a secret of tokens, long enough for HMAC",
    "another secret which the server does not know",
    "first password",
    "second password",
    "any password",
    "their password",
    "scram password",
    "a bearer token",
    // The signature of a token by hand has none; any other ends in its own.
    "eyJhbGciOi",
    "PRIVATE KEY",
];

/// Fails if a secret is in what the server said or answered.
pub(crate) fn assert_no_secret(said: &str) {
    for secret in SECRETS {
        let line = said.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "the secret {secret:?} stands in {line:?}");
    }
}

/// What a test wants beside one MQTT listener on a free port.
#[derive(Default)]
pub(crate) struct Config {
    /// Lines of the top table, e.g. a limit.
    pub(crate) top: &'static str,
    /// Lines of the listener's own table.
    pub(crate) listener: &'static str,
    /// Further tables of the listener and of the file, e.g. `[listener.limits]`.
    pub(crate) tables: &'static str,
}

impl Config {
    /// The file, with the number of shards that the environment asks for.
    pub(crate) fn text(&self) -> String {
        let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
        // Short, so that no test waits for them, unless it is about them.
        let mut top = format!("shards = {shards}\n{}\n", self.top);
        for (key, value) in [("sys_interval", "1s"), ("drain_timeout", "1s")] {
            if !top.contains(key) {
                top += &format!("{key} = \"{value}\"\n");
            }
        }
        format!(
            "{top}\n[[listener]]\nname = \"mqtt\"\ngateway = \"mqtt\"\ntransport = \"tcp\"\n\
             bind = \"127.0.0.1:0\"\n{}\n{}\n",
            self.listener, self.tables
        )
    }

    /// Writes the file into a folder.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("manifold.toml");
        std::fs::write(&file, self.text()).expect("the folder is ours");
        file
    }
}

/// The server's executable.
pub(crate) fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("MANIFOLD_BIN") {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().expect("the test knows its executable");
    let deps = own.parent().expect("the test is in target/debug/deps");
    let path = deps.parent().expect("deps is in target/debug").join("manifold");
    assert!(path.exists(), "{} is missing: run `cargo build`", path.display());
    path
}

/// A running server. When dropped it is killed, and the test fails if it had panicked or died.
pub(crate) struct Server {
    /// None when the environment names a running server.
    process: Option<Process>,
    /// By the listener's name, as `listeners.json` says it.
    addresses: HashMap<String, String>,
    folder: TempDir,
}

impl Server {
    /// Starts one with one MQTT listener and nothing else configured.
    pub(crate) fn start() -> Server {
        if let Ok(target) = std::env::var("MANIFOLD_TEST_TARGET") {
            return Server {
                process: None,
                addresses: HashMap::from([("mqtt".into(), target)]),
                folder: tempfile::tempdir().expect("a temporary folder"),
            };
        }
        Server::start_with(&Config::default())
    }

    /// Starts one with a configuration of its own.
    pub(crate) fn start_with(config: &Config) -> Server {
        refuse_foreign_target();
        let folder = tempfile::tempdir().expect("a temporary folder");
        config.write(folder.path());
        let mut server = Server { process: None, addresses: HashMap::new(), folder };
        server.launch();
        server
    }

    fn launch(&mut self) {
        let listeners = self.data_dir().join("listeners.json");
        // A file of an earlier start would name ports that are gone.
        let _ = std::fs::remove_file(&listeners);
        let mut process = Process::start(
            Command::new(executable())
                .arg("serve")
                .arg("--config")
                .arg(self.folder.path().join("manifold.toml"))
                .arg("--data-dir")
                .arg(self.data_dir()),
        );
        let text = wait_for("listeners.json", || {
            if let Some(status) = process.ended() {
                panic!("the server ended at start ({status}):\n{}", process.stderr());
            }
            std::fs::read_to_string(&listeners).ok()
        });
        let list: serde_json::Value = serde_json::from_str(&text).expect("listeners.json is JSON");
        for entry in list.as_array().expect("a list of listeners") {
            let name = entry["name"].as_str().expect("a listener has a name").to_owned();
            let address = entry["address"].as_str().expect("a listener has an address");
            self.addresses.insert(name, address.to_owned());
        }
        self.process = Some(process);
    }

    /// The data directory, which outlives a [`Server::restart`].
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts one with a whole configuration file and files beside it, which `folder` holds.
    pub(crate) fn start_in(folder: TempDir, text: &str) -> Server {
        refuse_foreign_target();
        std::fs::write(folder.path().join("manifold.toml"), text).expect("the folder is ours");
        let mut server = Server { process: None, addresses: HashMap::new(), folder };
        server.launch();
        server
    }

    /// The folder of the configuration file.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of the MQTT listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of("mqtt")
    }

    /// The address of a listener with a port.
    pub(crate) fn address_of(&self, name: &str) -> SocketAddr {
        self.addresses[name].parse().expect("address:port")
    }

    /// A command of the program for this server's operator, run to its end; what it wrote.
    pub(crate) fn operate(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(executable());
        let said = run(command.args(arguments).arg("--data-dir").arg(self.data_dir()));
        assert_no_secret(&said);
        said
    }

    /// The same for a command that must fail.
    pub(crate) fn operate_in_vain(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(executable());
        let (status, said) = finish(command.args(arguments).arg("--data-dir").arg(self.data_dir()));
        assert!(!status.success(), "{arguments:?} did not fail: {said}");
        assert_no_secret(&said);
        said
    }

    /// The port of the MQTT listener, for a command line.
    pub(crate) fn port(&self) -> String {
        self.address().port().to_string()
    }

    /// The process; panics where the environment names a running server.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("this server is our child")
    }

    /// Resident memory, bytes.
    pub(crate) fn rss(&mut self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, bytes.
    pub(crate) fn peak_rss(&mut self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&mut self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process().id()));
        let status = status.expect("the server runs");
        let line = status.lines().find_map(|l| l.strip_prefix(key)).expect("it is listed");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib * 1024
    }

    /// Asks it to stop and returns how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.process().signal("TERM");
        let status = self.process().wait();
        self.ended();
        status
    }

    /// Stops it and starts it again with the same files. Its free ports are others then.
    pub(crate) fn restart(&mut self) {
        let status = self.stop();
        assert!(status.success(), "the server stopped with {status}");
        self.launch();
    }

    /// Notes that it has ended as it should, so that its end is no fault.
    pub(crate) fn ended(&mut self) {
        self.assert_sound();
        self.process = None;
    }

    fn assert_sound(&mut self) {
        let Some(process) = &mut self.process else { return };
        let said = process.stderr() + &process.stdout();
        assert!(!said.contains("panicked"), "the server panicked:\n{}", tail(&said));
        assert_no_secret(&said);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else { return };
        let died = process.ended();
        let said = process.stderr() + &process.stdout();
        process.kill();
        if std::thread::panicking() {
            eprintln!("the server (ended: {died:?}) said:\n{}", tail(&said));
            return;
        }
        assert!(died.is_none(), "the server died ({died:?}):\n{}", tail(&said));
        assert!(!said.contains("panicked"), "the server panicked:\n{}", tail(&said));
        assert_no_secret(&said);
    }
}

/// A test that needs its own configuration cannot use a running server.
fn refuse_foreign_target() {
    assert!(
        std::env::var_os("MANIFOLD_TEST_TARGET").is_none(),
        "this test needs a server of its own: unset MANIFOLD_TEST_TARGET"
    );
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
