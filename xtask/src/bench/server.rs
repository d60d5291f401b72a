//! The servers that are compared, each a child process on loopback with a free port.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::machine::Cores;

/// The road that carries MQTT-SN; all others carry MQTT.
const UDP: &str = "udp";
const START_LIMIT: Duration = Duration::from_secs(10);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Ours, with one shard.
    Manifold,
    /// Debian's, without persistence and logging, and with large queues.
    Mosquitto,
    /// The load generator's stateless relay.
    Null,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Manifold => "manifold",
            Kind::Mosquitto => "mosquitto",
            Kind::Null => "null",
        }
    }
}

/// Where the built programs are, and a folder for configurations and data.
pub(crate) struct Programs {
    pub(crate) manifold: PathBuf,
    pub(crate) mqttload: PathBuf,
    pub(crate) folder: PathBuf,
}

/// A child process, killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let shown = crate::display(command);
        command.stdin(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("cannot start `{shown}`"))?))
    }

    /// Starts a program and waits until it has written the line `ready`.
    pub(crate) fn start_until_ready(command: &mut Command) -> Result<Self> {
        let mut running = Self::start(command.stdout(Stdio::piped()))?;
        let output = running.0.stdout.take().context("the output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("cannot read its output")?;
        if line.trim() != "ready" {
            bail!("`{}` is not ready, it says {line:?}", crate::display(command));
        }
        Ok(running)
    }

    /// Asks until there is an answer, the child ends, or the time is over.
    fn wait_for<T>(&mut self, what: &str, mut answer: impl FnMut() -> Option<T>) -> Result<T> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Some(answer) = answer() {
                return Ok(answer);
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("{what} ended at its start: {status}");
            }
            if Instant::now() > end {
                bail!("{what} did not start in {START_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that accepts connections.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    running: Running,
}

impl Server {
    /// Starts it with a listener for what `road` says.
    pub(crate) fn start(
        kind: Kind,
        road: &str,
        programs: &Programs,
        cores: &Cores,
    ) -> Result<Self> {
        std::fs::create_dir_all(&programs.folder).context("cannot make the folder for data")?;
        if has_tls(road) {
            make_certificate(&programs.folder)?;
        }
        match kind {
            Kind::Manifold => start_manifold(road, programs, cores),
            Kind::Mosquitto => {
                let port = free_port()?;
                let file = programs.folder.join("mosquitto.conf");
                let text = mosquitto_config(port, road, &programs.folder);
                std::fs::write(&file, text).context("cannot write its file")?;
                let mut command = cores.for_server(mosquitto());
                command.arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
                start_on(kind, port, &mut command)
            }
            Kind::Null => {
                let port = free_port()?;
                let mode = if road == UDP { "snrelay" } else { "null" };
                let mut command = cores.for_server(&programs.mqttload);
                command.args([mode, "--port", &port.to_string(), "--life", "3600"]);
                if road == UDP {
                    return start_on_udp(kind, port, &mut command);
                }
                start_on(kind, port, &mut command)
            }
        }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.running.0.id()
    }
}

/// Its configuration has one listener on a port that the system chooses; the server names it in
/// `listeners.json`.
fn start_manifold(road: &str, programs: &Programs, cores: &Cores) -> Result<Server> {
    let data = programs.folder.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).context("cannot remove old data")?;
    }
    let file = programs.folder.join("manifold.toml");
    let text = manifold_config(road, &programs.folder);
    std::fs::write(&file, text).context("cannot write its file")?;
    let mut command = cores.for_server(&programs.manifold);
    command.arg("serve").arg("--config").arg(file).arg("--data-dir").arg(&data);
    let mut running = Running::start(command.stdout(Stdio::null()))?;
    let port = running.wait_for("manifold", || listener_port(&data.join("listeners.json")))?;
    Ok(Server { kind: Kind::Manifold, port, running })
}

fn listener_port(file: &Path) -> Option<u16> {
    let listeners: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let address = listeners.get(0)?.get("address")?.as_str()?;
    Some(address.parse::<SocketAddr>().ok()?.port())
}

fn start_on(kind: Kind, port: u16, command: &mut Command) -> Result<Server> {
    let mut running = Running::start(command)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    running.wait_for(kind.name(), || TcpStream::connect(address).ok())?;
    Ok(Server { kind, port, running })
}

/// Waits until somebody answers an MQTT-SN CONNECT.
fn start_on_udp(kind: Kind, port: u16, command: &mut Command) -> Result<Server> {
    const CONNECT: [u8; 7] = [7, 0x04, 0x04, 0x01, 0x00, 0x3c, b'x'];
    let mut running = Running::start(command)?;
    let socket = UdpSocket::bind("127.0.0.1:0").context("no free port")?;
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    running.wait_for(kind.name(), || {
        socket.send(&CONNECT).ok()?;
        socket.recv(&mut [0; 16]).ok()
    })?;
    Ok(Server { kind, port, running })
}

/// A port that nobody listens on at this moment.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Debian puts it where a user's path does not lead.
fn mosquitto() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/mosquitto");
    if debian.exists() { debian } else { PathBuf::from("mosquitto") }
}

fn has_tls(road: &str) -> bool {
    matches!(road, "tls" | "wss")
}

/// `server.pem` and `server.key`: ECDSA P-256, the same for every server.
fn make_certificate(folder: &Path) -> Result<()> {
    if folder.join("server.pem").exists() {
        return Ok(());
    }
    crate::quiet(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "3650", "-subj", "/CN=localhost"])
            .args(["-keyout", "server.key", "-out", "server.pem"])
            .current_dir(folder),
    )
}

/// It says nothing but errors: lines of a log would stand between those of the benchmark.
fn manifold_config(road: &str, folder: &Path) -> String {
    let gateway = if road == UDP { "mqtt-sn" } else { "mqtt" };
    let mut text = format!(
        "shards = 1\n[log]\nlevel = \"error\"\n[store]\ndurability = \"off\"\n[[listener]]\n\
         name = \"bench\"\ngateway = \"{gateway}\"\ntransport = \"{road}\"\nbind = \"127.0.0.1:0\"\n"
    );
    if road == UDP {
        text += "max_connections = 2000000\n";
    }
    if has_tls(road) {
        let path = |name| folder.join(name).display().to_string();
        text += &format!(
            "[listener.tls]\ncertificate = {:?}\nkey = {:?}\n",
            path("server.pem"),
            path("server.key")
        );
    }
    text
}

fn mosquitto_config(port: u16, road: &str, folder: &Path) -> String {
    let mut text = format!(
        "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
         log_type none\nset_tcp_nodelay true\nmax_inflight_messages 2000\n\
         max_queued_messages 200000\n"
    );
    let websocket = matches!(road, "ws" | "wss");
    if websocket {
        text += "protocol websockets\n";
    }
    if has_tls(road) {
        let path = |name| folder.join(name).display().to_string();
        text += &format!("certfile {}\nkeyfile {}\n", path("server.pem"), path("server.key"));
    }
    if websocket {
        // mosquitto 2.0.11 does not start with listeners for WebSocket alone.
        text += &format!("listener 0 {}\n", folder.join("mosquitto.sock").display());
    }
    text
}
