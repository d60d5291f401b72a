//! What an operator does to a running server: one implementation, [`Operator`], behind the control
//! socket, the signals and the HTTP listener.
//!
//! Nothing here is on the way of a message. All of it runs on threads of its own, which may wait for
//! shards.

mod ask;
mod difference;
mod http;
mod log;
mod metrics;
mod process;
mod reload;
mod request;
mod socket;
mod trace;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use std::{io, net};

use core_model::Secret;
use gateway_host::{Control, ListenerStatus};
use serde_json::{Value as Json, json};

pub(crate) use ask::{Answered, Answers, AskError, ask};
pub(crate) use log::EventLog;
pub(crate) use reload::{Loaded, Running, Source, read_config};
pub(crate) use request::Request;
pub(crate) mod requests {
    //! The parts of a [`Request`](super::Request).
    pub(crate) use super::request::{
        Ban, Clients, Kick, Nothing, Reload, Retained, Show, Subscriptions, Trace, Unban,
    };
}

use crate::Registration;
use crate::data_dir::{DataDir, OpenListener};
use http::{HttpServer, Pages};
use process::ProcessFacts;
use request::{End, Items, Refusal};
use socket::{Answer, ControlSocket};

/// Name of the control socket in the data directory.
const CONTROL_SOCKET: &str = "control.sock";

/// Permissions of the control socket: the server's user only.
const CONTROL_MODE: u32 = 0o600;

/// Where monitoring asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpConfig {
    /// Address; port 0 lets the system choose.
    pub(crate) bind: net::SocketAddr,
    /// What a request has to show.
    pub(crate) token: Option<Secret>,
}

/// A running server in the hands of whoever operates it.
#[derive(Debug)]
pub(crate) struct Operator {
    control: Control,
    data_dir: DataDir,
    gateways: Vec<Registration>,
    running: Mutex<Running>,
    started: Instant,
    started_ms: u64,
    is_draining: AtomicBool,
    reloads_applied: AtomicU64,
    reloads_refused: AtomicU64,
    http: Mutex<Option<HttpServer>>,
}

/// The ways to an operator. Dropping it closes them.
#[derive(Debug)]
pub(crate) struct Doors {
    operator: Arc<Operator>,
    _socket: ControlSocket,
}

impl Operator {
    /// Of a node that has just started with `config`, which was made from `loaded`.
    pub(crate) fn new(control: Control, data_dir: DataDir, running: Running) -> Arc<Self> {
        Arc::new(Operator {
            control,
            data_dir,
            gateways: running.gateways().to_vec(),
            running: Mutex::new(running),
            started: Instant::now(),
            started_ms: process::unix_ms(SystemTime::now()),
            is_draining: AtomicBool::new(false),
            reloads_applied: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            http: Mutex::new(None),
        })
    }

    /// Opens the control socket in the data directory, and the HTTP listener, if there is to be one.
    pub(crate) fn open(self: &Arc<Self>, http: Option<HttpConfig>) -> io::Result<Doors> {
        self.open_http(http)?;
        let answer: Arc<dyn Answer> = Arc::<Operator>::clone(self);
        let path = self.data_dir.path().join(CONTROL_SOCKET);
        let socket = ControlSocket::open(&path, CONTROL_MODE, answer)?;
        Ok(Doors { operator: Arc::clone(self), _socket: socket })
    }

    /// From now on the server counts as not ready: it is going to stop.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    fn open_http(self: &Arc<Self>, config: Option<HttpConfig>) -> io::Result<()> {
        let Some(config) = config else { return Ok(()) };
        let pages: Arc<dyn Pages> = Arc::<Operator>::clone(self);
        let server = HttpServer::open(config.bind, config.token, pages)?;
        tracing::info!(address = %server.address(), "http listener opened");
        *self.http.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    /// Writes `listeners.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_listeners(&self) -> io::Result<()> {
        let listeners = self.control.listeners();
        let list: Vec<_> = listeners
            .iter()
            .map(|listener| OpenListener {
                name: &listener.name,
                gateway: listener.gateway,
                transport: listener.transport,
                address: listener.bind.to_string(),
            })
            .collect();
        self.data_dir.write_listeners(&list)
    }

    fn http_address(&self) -> Option<net::SocketAddr> {
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        http.as_ref().map(HttpServer::address)
    }

    fn list_listeners(&self, items: &mut dyn Items) -> Result<Json, End> {
        let listeners = self.control.listeners();
        for listener in &listeners {
            items.item(listener_json(listener))?;
        }
        Ok(json!({ "count": listeners.len() }))
    }

    fn stats(&self) -> Json {
        let counters = self.control.counters();
        let (broker, host, process) = (&counters.broker, &counters.host, ProcessFacts::now());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_ms": self.started.elapsed().as_millis() as u64,
            "ready": self.readiness().is_ok(),
            "shards": self.control.shards(),
            "http": self.http_address().map(|address| address.to_string()),
            "clients": {
                "connected": broker.clients_connected,
                "sessions": broker.sessions,
                "sessions_expired": broker.sessions_expired,
                "connects_refused": broker.connects_refused,
            },
            "subscriptions": {
                "count": broker.subscriptions,
                "shared": broker.subscriptions_shared,
                "bytes": broker.subscription_bytes,
            },
            "retained": { "count": broker.retained, "bytes": broker.retained_bytes },
            "messages": {
                "received": broker.messages_received,
                "received_bytes": broker.bytes_received,
                "sent": broker.messages_sent,
                "sent_bytes": broker.bytes_sent,
                "queued": broker.queued_messages,
                "queued_bytes": broker.queued_bytes,
                "kept_bytes": broker.kept_bytes,
                "refused": broker.publishes_refused,
                "dropped_queue_full": broker.dropped_queue_full,
                "dropped_expired": broker.dropped_expired,
                "dropped_qos0": broker.dropped_qos0,
                "dropped_discarded": broker.dropped_discarded,
            },
            "links": {
                "count": host.links,
                "opened": host.links_opened,
                "accepted": host.accepted,
                "refused": host.refused,
                "input_refused": host.input_refused,
                "stalled": host.links_stalled,
                "overrun": host.links_overrun,
                "frames": host.frames,
                "read_bytes": host.bytes_read,
                "written_bytes": host.bytes_written,
            },
            "process": {
                "resident_bytes": process.resident_bytes,
                "threads": process.threads,
                "open_files": process.open_files,
                "open_files_max": process.open_files_max,
                "cpu_ms": process.cpu.as_millis() as u64,
            },
        })
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        // The listener holds the operator; letting go of it ends the circle.
        drop(self.operator.http.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.operator.data_dir.remove_listeners();
    }
}

impl Answer for Operator {
    fn answer(&self, request: Request, items: &mut dyn Items) -> End {
        let result = match request {
            Request::Listeners(_) => self.list_listeners(items),
            Request::Stats(_) => Ok(self.stats()),
            Request::Reload(reload) => self.reload(&reload),
            Request::Trace(trace) => self.trace(&trace, items),
            _ => Err(Refusal::refused("not available in this version").into()),
        };
        result.map_or_else(|end| end, End::Done)
    }
}

impl Pages for Operator {
    fn metrics(&self) -> String {
        let counters = self.control.counters();
        metrics::render(metrics::Snapshot {
            broker: counters.broker,
            host: counters.host,
            listeners: self.control.listeners(),
            bans: 0,
            shards: self.control.shards(),
            is_ready: self.readiness().is_ok(),
            reloads: (
                self.reloads_applied.load(Ordering::Relaxed),
                self.reloads_refused.load(Ordering::Relaxed),
            ),
            uptime: self.started.elapsed(),
            started_ms: self.started_ms,
            process: ProcessFacts::now(),
        })
    }

    fn readiness(&self) -> Result<(), String> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err("the server is about to stop".into());
        }
        Ok(())
    }
}

fn listener_json(listener: &ListenerStatus) -> Json {
    let counters = &listener.counters;
    json!({
        "name": listener.name,
        "gateway": listener.gateway,
        "transport": listener.transport,
        "address": listener.bind.to_string(),
        "connections": listener.connections,
        "max_connections": listener.max_connections,
        "accepted": counters.accepted,
        "refused": counters.refused,
        "opened": counters.links_opened,
        "input_refused": counters.input_refused,
        "throttled": counters.throttled,
        "frames": counters.frames,
        "read_bytes": counters.bytes_read,
        "written_bytes": counters.bytes_written,
    })
}
