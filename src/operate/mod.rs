//! What an operator does to a running server: one implementation, [`Operator`], behind the control
//! socket, the signals and the HTTP listener.
//!
//! Nothing here is on the way of a message. All of it runs on threads of its own, which may wait for
//! shards.

mod ask;
mod bans;
mod difference;
mod http;
mod lists;
mod log;
mod metrics;
mod process;
mod reload;
mod request;
mod socket;
mod trace;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use core_model::{ClientKey, GatewayId, Secret};
use gateway_host::{Control, ListenerStatus};
use plugin_access::BanList;
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
use crate::config::ListenerLimits;
use crate::data_dir::{DataDir, OpenListener};
pub(crate) use http::read_token;
use http::{HttpConfig, HttpServer, Pages};
use process::ProcessFacts;
use request::{End, Items};
use socket::{Answer, ControlSocket};

/// Name of the control socket in the data directory.
const CONTROL_SOCKET: &str = "control.sock";

/// A running server in the hands of whoever operates it.
#[derive(Debug)]
pub(crate) struct Operator {
    me: Weak<Operator>,
    control: Control,
    data_dir: DataDir,
    bans: Arc<BanList>,
    gateways: Vec<Registration>,
    gateway_ids: Vec<(GatewayId, &'static str)>,
    running: Mutex<Running>,
    started: Instant,
    started_ms: u64,
    is_draining: AtomicBool,
    reloads_applied: AtomicU64,
    reloads_refused: AtomicU64,
    http: Mutex<Option<HttpServer>>,
    traces: AtomicUsize,
}

/// What happens to the HTTP listener at a reload.
enum HttpChange {
    /// It stays, and asks for this token.
    Token(Option<Secret>),
    /// This one takes its place, or none.
    Replace(Option<HttpServer>),
}

/// The ways to an operator. Dropping it closes them.
#[derive(Debug)]
pub(crate) struct Doors {
    operator: Arc<Operator>,
    _socket: ControlSocket,
}

impl Operator {
    /// Of a node that has just started.
    pub(crate) fn new(control: Control, data_dir: DataDir, running: Running) -> Arc<Self> {
        let limits = ListenerLimits::default();
        let id =
            |known: &Registration| Some(((known.settings)().open(&limits).ok()?.id(), known.name));
        Arc::new_cyclic(|me| Operator {
            me: Weak::clone(me),
            control,
            data_dir,
            bans: Arc::clone(running.bans()),
            gateway_ids: running.gateways().iter().filter_map(id).collect(),
            gateways: running.gateways().to_vec(),
            running: Mutex::new(running),
            started: Instant::now(),
            started_ms: process::unix_ms(SystemTime::now()),
            is_draining: AtomicBool::new(false),
            reloads_applied: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            http: Mutex::new(None),
            traces: AtomicUsize::new(0),
        })
    }

    /// Opens the control socket in the data directory, and the HTTP listener, if there is to be one.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub(crate) fn open(self: &Arc<Self>) -> anyhow::Result<Doors> {
        let (http, mode) = {
            let running = self.running();
            let config = running.config();
            (HttpConfig::of(config).map_err(anyhow::Error::msg)?, config.node.control.mode.0)
        };
        let http = self.plan_http(http).map_err(anyhow::Error::msg)?;
        self.apply_http(http);
        let answer: Arc<dyn Answer> = Arc::<Operator>::clone(self);
        let path = self.data_dir.path().join(CONTROL_SOCKET);
        let socket = ControlSocket::open(&path, mode, answer).context("control socket")?;
        Ok(Doors { operator: Arc::clone(self), _socket: socket })
    }

    /// From now on the server counts as not ready: it is going to stop.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// What has to happen to the HTTP listener. A new one is opened, so that nothing can go wrong
    /// later.
    fn plan_http(&self, config: Option<HttpConfig>) -> Result<HttpChange, String> {
        let Some(config) = config else { return Ok(HttpChange::Replace(None)) };
        if self.http().as_ref().is_some_and(|open| open.bind() == config.bind) {
            return Ok(HttpChange::Token(config.token));
        }
        let bind = config.bind;
        let server = HttpServer::open(config, Arc::new(Weak::clone(&self.me)));
        let server = server.map_err(|error| format!("http: cannot listen on {bind}: {error}"))?;
        tracing::info!(address = %server.address(), "http listener opened");
        Ok(HttpChange::Replace(Some(server)))
    }

    fn apply_http(&self, change: HttpChange) {
        match change {
            HttpChange::Token(token) => {
                if let Some(open) = &*self.http() {
                    open.set_token(token);
                }
            }
            HttpChange::Replace(server) => *self.http() = server,
        }
    }

    fn http(&self) -> MutexGuard<'_, Option<HttpServer>> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner)
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
        let hashing = self.running().hashing_counters();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_ms": self.started.elapsed().as_millis() as u64,
            "ready": self.readiness().is_ok(),
            "shards": self.control.shards(),
            "http": self.http().as_ref().map(|http| http.address().to_string()),
            "clients": {
                "connected": broker.clients_connected,
                "sessions": broker.sessions,
                "sessions_expired": broker.sessions_expired,
                "connects_refused": broker.connects_refused,
                "authenticating": broker.authenticating,
                "denied": broker.denied,
            },
            "subscriptions": {
                "count": broker.subscriptions,
                "shared": broker.subscriptions_shared,
                "bytes": broker.subscription_bytes,
                "revoked": broker.subscriptions_revoked,
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
                "handshakes": host.handshakes,
                "handshakes_done": host.handshakes_done,
                "handshakes_failed": host.handshakes_failed,
                "handshakes_timed_out": host.handshakes_timed_out,
                "handshakes_refused": host.handshakes_refused,
                "input_refused": host.input_refused,
                "stalled": host.links_stalled,
                "overrun": host.links_overrun,
                "frames": host.frames,
                "read_bytes": host.bytes_read,
                "written_bytes": host.bytes_written,
            },
            "datagrams": {
                "received": host.datagrams_received,
                "sent": host.datagrams_sent,
                "forwarded": host.datagrams_forwarded,
                "dropped_stray": host.datagrams_stray,
                "dropped_throttled": host.datagrams_throttled,
                "dropped_unready": host.datagrams_unready,
                "dropped_crowded": host.datagrams_crowded,
                "dropped_unproxied": host.datagrams_unproxied,
                "withheld": host.datagrams_withheld,
                "unsent": host.datagrams_unsent,
            },
            "hashing": {
                "computed": hashing.computed,
                "remembered": hashing.remembered,
                "refused": hashing.refused,
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
        drop(self.operator.http().take());
        self.operator.data_dir.remove_listeners();
    }
}

impl Answer for Operator {
    fn answer(&self, request: Request, items: &mut dyn Items) -> End {
        let result = match request {
            Request::Clients(clients) => self.list_clients(&clients, items),
            Request::Show(show) => self.show(&show),
            Request::Kick(kick) => self.kick(&kick),
            Request::Ban(ban) => self.ban(&ban),
            Request::Unban(unban) => self.unban(&unban),
            Request::Bans(_) => self.list_bans(items),
            Request::Listeners(_) => self.list_listeners(items),
            Request::Subscriptions(subscriptions) => self.list_subscriptions(&subscriptions, items),
            Request::Retained(retained) => self.list_retained(&retained, items),
            Request::Stats(_) => Ok(self.stats()),
            Request::Reload(reload) => self.reload(&reload),
            Request::Trace(trace) => self.trace(&trace, items),
        };
        result.map_or_else(|end| end, End::Done)
    }
}

impl Operator {
    /// The page of metrics.
    fn metrics(&self) -> String {
        self.bans.expire(bans::now());
        let counters = self.control.counters();
        metrics::render(metrics::Snapshot {
            broker: counters.broker,
            host: counters.host,
            listeners: self.control.listeners(),
            bans: self.bans.len() as u64,
            hashing: self.running().hashing_counters(),
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

    /// Whether clients are served, or why not. Waits for the shards.
    fn readiness(&self) -> Result<(), String> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err("the server is about to stop".into());
        }
        if self.control.listeners().is_empty() {
            return Err("no listener is open".into());
        }
        // Nobody has this key, but all shards have to answer that.
        let nobody = ClientKey { gateway: GatewayId(0), client_id: "".into() };
        self.control.client(&nobody).map(drop).map_err(|error| error.to_string())
    }
}

impl Pages for Weak<Operator> {
    fn metrics(&self) -> String {
        self.upgrade().map(|operator| operator.metrics()).unwrap_or_default()
    }

    fn readiness(&self) -> Result<(), String> {
        self.upgrade().map_or(Err("the server has stopped".into()), |operator| operator.readiness())
    }
}

/// An error with its causes.
fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
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
        "refused_by_source": listener.refused_by_source,
        "handshakes_failed": counters.handshakes_failed,
        "opened": counters.links_opened,
        "input_refused": counters.input_refused,
        "throttled": counters.throttled,
        "frames": counters.frames,
        "publishes": counters.publishes,
        "deliveries": counters.deliveries,
        "read_bytes": counters.bytes_read,
        "written_bytes": counters.bytes_written,
    })
}
