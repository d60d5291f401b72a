//! Following single clients or topics while the node runs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use core_broker::Selector;
use core_model::{
    ClientKey, Connect, Filter, Interceptor, Message, Operation, QoS, Reason, Timestamp,
};
use ipnet::IpNet;

use crate::clock::Clock;
use crate::links::{Links, Phase};
use crate::{Operations, Progress};

/// Bytes of a frame or a payload that one event shows at most.
const SHOWN_BYTES_MAX: usize = 64 * 1024;
/// Traces that a node has at once.
pub(crate) const TRACES_MAX: usize = 16;

/// What is to be followed.
#[derive(Clone, Debug)]
pub enum TraceFilter {
    /// The links of clients with this client id, of all gateways: those that are there, and new
    /// ones from the connect on.
    Client(Box<str>),
    /// The links from these addresses: those that are there, and new ones from the first byte on.
    Address(IpNet),
    /// The messages that clients publish to topics that match, as the core sees them.
    Topic(Filter),
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct TraceEvent {
    /// When.
    pub at: Timestamp,
    /// Name of the gateway; empty for messages.
    pub gateway: &'static str,
    /// Version of the protocol, as the gateway's decoder names it.
    pub version: Option<&'static str>,
    /// Name of the listener; empty for messages.
    pub listener: Box<str>,
    /// The peer's address, where it is known.
    pub peer: Option<SocketAddr>,
    /// The client id, as soon as it is known.
    pub client_id: Option<Box<str>>,
    /// What.
    pub item: TraceItem,
}

/// What happened to a traced link, or to a traced topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceItem {
    /// The link is followed from now on, mostly since it was opened.
    Opened,
    /// A frame came. Secrets in it are blanked.
    Received {
        /// Its bytes, or their beginning.
        bytes: Box<[u8]>,
        /// How many there were.
        len: usize,
    },
    /// Frames were sent: those that one input or event made. Secrets in them are blanked.
    Sent {
        /// Their bytes, or the beginning.
        bytes: Box<[u8]>,
        /// How many there were.
        len: usize,
    },
    /// Something came or was sent that may hold secrets, or is no frame, and is not shown.
    Hidden {
        /// Its bytes.
        len: usize,
        /// Whether it came in.
        received: bool,
    },
    /// A message was published.
    Published {
        /// Its topic.
        topic: Box<str>,
        /// Its payload, or the beginning.
        payload: Box<[u8]>,
        /// The length of its payload.
        len: usize,
        /// Its QoS.
        qos: QoS,
        /// Its retain flag.
        retain: bool,
    },
    /// The link is closed.
    Closed {
        /// Why.
        reason: Reason,
    },
    /// So many events were dropped since the reader was too slow.
    Dropped {
        /// How many.
        events: u64,
    },
}

/// The events of a trace, which ends when this is dropped.
pub struct TraceStream {
    events: Receiver<TraceEvent>,
    dropped: Arc<AtomicU64>,
    clock: Clock,
    /// Ends the trace.
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl TraceStream {
    /// Waits for the next event, at most `timeout`. `None` after the time-out, and at once when the
    /// node has ended.
    #[must_use]
    pub fn next(&mut self, timeout: Duration) -> Option<TraceEvent> {
        let events = self.dropped.swap(0, Ordering::Relaxed);
        if events > 0 {
            return Some(TraceEvent {
                at: self.clock.now(),
                gateway: "",
                version: None,
                listener: "".into(),
                peer: None,
                client_id: None,
                item: TraceItem::Dropped { events },
            });
        }
        self.events.recv_timeout(timeout).ok()
    }
}

impl Drop for TraceStream {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl std::fmt::Debug for TraceStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceStream").finish_non_exhaustive()
    }
}

/// Where the events of a trace go. Never waits.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    events: SyncSender<TraceEvent>,
    dropped: Arc<AtomicU64>,
}

impl Outlet {
    /// An outlet and the stream behind it; `end` is called when the stream is dropped.
    pub(crate) fn new(
        capacity: usize,
        clock: Clock,
        end: Box<dyn FnOnce() + Send>,
    ) -> (Outlet, TraceStream) {
        let (sender, events) = mpsc::sync_channel(capacity.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let outlet = Outlet { events: sender, dropped: Arc::clone(&dropped) };
        (outlet, TraceStream { events, dropped, clock, end: Some(end) })
    }

    fn send(&self, event: TraceEvent) {
        if let Err(TrySendError::Full(_)) = self.events.try_send(event) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Shows the messages of a traced topic. Only among the plug-ins while the trace runs.
#[derive(Debug)]
pub(crate) struct TopicTrace {
    filter: Filter,
    clock: Clock,
    outlet: Outlet,
}

impl TopicTrace {
    pub(crate) fn new(filter: Filter, clock: Clock, outlet: Outlet) -> Self {
        TopicTrace { filter, clock, outlet }
    }
}

impl Interceptor for TopicTrace {
    fn on_publish(
        &self,
        client: Option<&ClientKey>,
        message: &mut Message<'_>,
    ) -> Result<(), Reason> {
        if self.filter.matches(message.topic) {
            self.outlet.send(TraceEvent {
                at: self.clock.now(),
                gateway: "",
                version: None,
                listener: "".into(),
                peer: None,
                client_id: client.map(|client| client.client_id.clone()),
                item: TraceItem::Published {
                    topic: message.topic.into(),
                    payload: beginning(message.payload).into(),
                    len: message.payload.len(),
                    qos: message.qos,
                    retain: message.retain,
                },
            });
        }
        Ok(())
    }
}

fn beginning(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes)
}

/// One trace of links, on every shard.
#[derive(Clone, Debug)]
pub(crate) struct LinkTrace {
    pub(crate) id: u64,
    pub(crate) whom: Whom,
    pub(crate) outlet: Outlet,
}

/// Whose links are traced.
#[derive(Clone, Debug)]
pub(crate) enum Whom {
    Client(Box<str>),
    Address(IpNet),
}

impl Whom {
    /// The clients that are meant.
    pub(crate) fn selector(&self) -> Selector {
        match self {
            Whom::Client(client_id) => {
                Selector { client_id: Some(client_id.clone()), ..Selector::default() }
            }
            Whom::Address(net) => Selector { net: Some(*net), ..Selector::default() },
        }
    }

    fn includes(&self, client_id: Option<&str>, peer: Option<SocketAddr>) -> bool {
        match self {
            Whom::Client(wanted) => client_id == Some(wanted),
            Whom::Address(net) => peer.is_some_and(|peer| net.contains(&peer.ip().to_canonical())),
        }
    }
}

/// The traces of one shard; there only while there are any.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    traces: Vec<LinkTrace>,
    /// The links that are traced, by their place.
    links: HashMap<u32, Traced>,
}

/// What is known of a traced link.
#[derive(Clone, Debug)]
struct Traced {
    peer: Option<SocketAddr>,
    client_id: Option<Box<str>>,
    /// As its machine last said it: one that is through with its link may have forgotten.
    version: Option<&'static str>,
    /// The traces that it belongs to.
    by: Vec<u64>,
}

/// Everything here is called only while a trace runs.
impl Links {
    /// Begins a trace, for links to come.
    pub(crate) fn begin_trace(&mut self, trace: LinkTrace) {
        self.tracer.get_or_insert_default().traces.push(trace);
    }

    /// Ends a trace.
    pub(crate) fn end_trace(&mut self, id: u64) {
        let Some(tracer) = &mut self.tracer else { return };
        tracer.traces.retain(|trace| trace.id != id);
        tracer.links.retain(|_, traced| {
            traced.by.retain(|by| *by != id);
            !traced.by.is_empty()
        });
        if tracer.traces.is_empty() {
            self.tracer = None;
        }
    }

    /// A link is there, or more is known of it: looks who wants to follow it, and tells them.
    #[cold]
    pub(crate) fn consider_trace(
        &mut self,
        index: u32,
        client_id: Option<&str>,
        peer: Option<SocketAddr>,
    ) {
        let new = self.join_traces(index, client_id, peer);
        if !new.is_empty() {
            self.tell_trace(index, &TraceItem::Opened, |by| new.contains(&by));
        }
    }

    /// The same, without telling them. Returns the traces that the link is new to.
    fn join_traces(
        &mut self,
        index: u32,
        client_id: Option<&str>,
        peer: Option<SocketAddr>,
    ) -> Vec<u64> {
        let Some(tracer) = &mut self.tracer else { return Vec::new() };
        let known = tracer.links.get(&index);
        let is_new = |trace: &&LinkTrace| known.is_none_or(|known| !known.by.contains(&trace.id));
        let traces = tracer.traces.iter().filter(|trace| trace.whom.includes(client_id, peer));
        let new: Vec<u64> = traces.filter(is_new).map(|trace| trace.id).collect();
        if known.is_none() && new.is_empty() {
            return new;
        }
        let fresh = Traced { peer, client_id: None, version: None, by: Vec::new() };
        let traced = tracer.links.entry(index).or_insert(fresh);
        traced.by.extend(&new);
        if let Some(client_id) = client_id {
            traced.client_id = Some(client_id.into());
        }
        new
    }

    /// A link has come from another shard, which has told of it, with its connect.
    #[cold]
    pub(crate) fn trace_moved(&mut self, index: u32, connect: &Connect) {
        self.join_traces(index, client_id_of(connect), connect.evidence.peer);
    }

    /// A machine has handled `input`, and has written what the output has beyond `before`.
    #[cold]
    pub(crate) fn trace_input(
        &mut self,
        index: u32,
        input: &[u8],
        progress: &Progress,
        operations: &Operations<'_>,
        before: usize,
    ) {
        for (_, operation) in operations {
            if let Operation::Connect(connect) = operation {
                self.consider_trace(index, client_id_of(connect), connect.evidence.peer);
            }
        }
        match progress {
            Progress::Frame(len) => {
                let frame = input.get(..*len).unwrap_or(input);
                self.trace_bytes(index, beginning(frame).to_vec(), frame.len(), true);
            }
            Progress::Broken(_) => {
                let item = TraceItem::Hidden { len: input.len(), received: true };
                self.tell_trace(index, &item, |_| true);
            }
            Progress::Need(_) | Progress::NotReady => {}
        }
        self.trace_output(index, before);
    }

    /// A machine has written what the output has beyond `before`.
    #[cold]
    pub(crate) fn trace_output(&mut self, index: u32, before: usize) {
        if !self.is_traced(index) {
            return;
        }
        let Some(link) = self.at(index) else { return };
        if link.output.is_datagrams() {
            let frames = link.output.frames_from(before);
            let frames: Vec<_> =
                frames.map(|f| (beginning(f.bytes).to_vec(), f.bytes.len())).collect();
            for (bytes, len) in frames {
                self.trace_bytes(index, bytes, len, false);
            }
            return;
        }
        let len = link.output.len().saturating_sub(before);
        if len > 0 {
            let bytes = link.output.copy_from(before, SHOWN_BYTES_MAX);
            self.trace_bytes(index, bytes, len, false);
        }
    }

    /// The peer of a link has another address now.
    #[cold]
    pub(crate) fn trace_peer(&mut self, index: u32, peer: SocketAddr) {
        let traced = self.tracer.as_mut().and_then(|tracer| tracer.links.get_mut(&index));
        if let Some(traced) = traced {
            traced.peer = Some(peer);
        }
    }

    /// A link is being closed.
    #[cold]
    pub(crate) fn trace_close(&mut self, index: u32, reason: Reason) {
        self.tell_trace(index, &TraceItem::Closed { reason }, |_| true);
        self.forget_traced(index);
    }

    /// A link has left its place.
    #[cold]
    pub(crate) fn forget_traced(&mut self, index: u32) {
        if let Some(tracer) = &mut self.tracer {
            tracer.links.remove(&index);
        }
    }

    fn is_traced(&self, index: u32) -> bool {
        self.tracer.as_ref().is_some_and(|tracer| tracer.links.contains_key(&index))
    }

    fn trace_bytes(&mut self, index: u32, mut bytes: Vec<u8>, len: usize, received: bool) {
        if !self.is_traced(index) {
            return;
        }
        let Some(link) = self.at(index) else { return };
        let may_show = link.permit.listener().gateway.redact(&mut bytes, link.connected);
        let len = if bytes.len() < SHOWN_BYTES_MAX && may_show { bytes.len() } else { len };
        let item = match (may_show, received) {
            (false, received) => TraceItem::Hidden { len, received },
            (true, true) => TraceItem::Received { bytes: bytes.into(), len },
            (true, false) => TraceItem::Sent { bytes: bytes.into(), len },
        };
        self.tell_trace(index, &item, |_| true);
    }

    /// Tells the traces of a link that `wanted` picks.
    fn tell_trace(&mut self, index: u32, item: &TraceItem, wanted: impl Fn(u64) -> bool) {
        let now = self.now;
        let Some(tracer) = &mut self.tracer else { return };
        let Some(traced) = tracer.links.get_mut(&index) else { return };
        let Some(link) = self.table.at(index) else { return };
        if let Phase::Open(machine) = &link.phase {
            traced.version = machine.version().or(traced.version);
        }
        let listener = link.permit.listener();
        let event = TraceEvent {
            at: now,
            gateway: listener.gateway.name(),
            version: traced.version,
            listener: listener.facts.name.clone(),
            peer: traced.peer,
            client_id: traced.client_id.clone(),
            item: item.clone(),
        };
        for trace in &tracer.traces {
            if traced.by.contains(&trace.id) && wanted(trace.id) {
                trace.outlet.send(event.clone());
            }
        }
    }
}

/// The client id of a connect, unless the server is to choose it.
fn client_id_of(connect: &Connect) -> Option<&str> {
    Some(&*connect.client_id).filter(|client_id| !client_id.is_empty())
}
