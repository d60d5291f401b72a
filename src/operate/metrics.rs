//! Counters as OpenMetrics text.

use std::fmt;
use std::time::Duration;

use core_broker::Counters;
use gateway_host::{HostCounters, ListenerStatus};
use plugin_access::HashingCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::process::ProcessFacts;

/// The type of what [`render`] makes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is shown at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Sessions and messages.
    pub(crate) broker: Counters,
    /// Links and bytes.
    pub(crate) host: HostCounters,
    /// The listeners.
    pub(crate) listeners: Vec<ListenerStatus>,
    /// Bans in force.
    pub(crate) bans: u64,
    /// Hashing of passwords.
    pub(crate) hashing: HashingCounters,
    /// Threads that own links and sessions.
    pub(crate) shards: u16,
    /// Whether clients are served.
    pub(crate) is_ready: bool,
    /// Reloads that were applied, and those that were refused.
    pub(crate) reloads: (u64, u64),
    /// How long the server has run.
    pub(crate) uptime: Duration,
    /// When it started, in milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
    /// The process.
    pub(crate) process: ProcessFacts,
}

/// The text for a scrape.
pub(crate) fn render(snapshot: Snapshot) -> String {
    let process = Process { facts: snapshot.process.clone(), started_ms: snapshot.started_ms };
    let mut ours = Registry::with_prefix("manifold");
    ours.register_collector(Box::new(snapshot));
    let mut standard = Registry::with_prefix("process");
    standard.register_collector(Box::new(process));
    let mut text = String::new();
    let written = text::encode_registry(&mut text, &ours)
        .and_then(|()| text::encode_registry(&mut text, &standard))
        .and_then(|()| text::encode_eof(&mut text));
    written.expect("a string takes everything");
    text
}

/// Writes families of metrics.
struct Page<'e> {
    encoder: DescriptorEncoder<'e>,
}

type Written = Result<(), fmt::Error>;

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Written {
        let encoder = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn counter_bytes(&mut self, name: &str, help: &str, value: u64) -> Written {
        let unit = Some(&Unit::Bytes);
        let encoder = self.encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn counter_seconds(&mut self, name: &str, help: &str, value: f64) -> Written {
        let unit = Some(&Unit::Seconds);
        let encoder = self.encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Written {
        let encoder = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn gauge_bytes(&mut self, name: &str, help: &str, value: u64) -> Written {
        let unit = Some(&Unit::Bytes);
        let encoder = self.encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn gauge_seconds(&mut self, name: &str, help: &str, value: f64) -> Written {
        let unit = Some(&Unit::Seconds);
        let encoder = self.encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: &[([(&str, &str); N], u64)],
    ) -> Written {
        let mut encoder = self.encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(*value).encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: &[([(&str, &str); N], u64)],
    ) -> Written {
        let mut encoder = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(*value).encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Written {
        let mut page = Page { encoder };
        self.write_server(&mut page)?;
        self.write_sessions(&mut page)?;
        self.write_messages(&mut page)?;
        self.write_links(&mut page)?;
        self.write_datagrams(&mut page)?;
        self.write_listeners(&mut page)?;
        self.write_gateways(&mut page)
    }
}

impl Snapshot {
    fn write_server(&self, page: &mut Page<'_>) -> Written {
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1)];
        page.gauges("build_info", "The version that runs", &version)?;
        let uptime = self.uptime.as_secs_f64();
        page.gauge_seconds("uptime", "Time since the server started", uptime)?;
        page.gauge("shards", "Threads that own links and sessions", self.shards.into())?;
        page.gauge("ready", "1 while clients are served, else 0", self.is_ready.into())?;
        let (applied, refused) = self.reloads;
        let reloads = [([("result", "applied")], applied), ([("result", "refused")], refused)];
        page.counters("reloads", "Reloads of the configuration", None, &reloads)?;
        page.gauge("bans", "Bans in force", self.bans)?;
        let hashing = &self.hashing;
        let results = [
            ([("result", "computed")], hashing.computed),
            ([("result", "remembered")], hashing.remembered),
            ([("result", "refused")], hashing.refused),
        ];
        page.counters("password_checks", "Passwords that were to be hashed", None, &results)
    }

    fn write_sessions(&self, page: &mut Page<'_>) -> Written {
        let broker = &self.broker;
        page.gauge("clients_connected", "Sessions with a link", broker.clients_connected)?;
        page.gauge("sessions", "Sessions, with and without a link", broker.sessions)?;
        page.counter("sessions_expired", "Sessions that expired", broker.sessions_expired)?;
        page.counter("connects_refused", "Connects refused", broker.connects_refused)?;
        page.gauge("connects_undecided", "Connects not decided yet", broker.authenticating)?;
        page.gauge("lookups", "Look-ups of authenticators that run", broker.lookups)?;
        page.counter("denied", "Times that a rule on topics denied something", broker.denied)?;
        let help = "Subscriptions ended since the rules have changed";
        page.counter("subscriptions_revoked", help, broker.subscriptions_revoked)?;
        page.gauge("subscriptions", "Subscriptions", broker.subscriptions)?;
        page.gauge(
            "subscriptions_shared",
            "Members of shared subscriptions",
            broker.subscriptions_shared,
        )?;
        let help = "Bytes of subscriptions, estimated from their filters";
        page.gauge_bytes("subscriptions_size", help, broker.subscription_bytes)?;
        let help = "Topics whose receivers are remembered";
        page.gauge("route_cache_topics", help, broker.route_cache_topics)
    }

    fn write_messages(&self, page: &mut Page<'_>) -> Written {
        let broker = &self.broker;
        page.counter("messages_received", "Messages published", broker.messages_received)?;
        let help = "Payload bytes of messages published";
        page.counter_bytes("payload_received", help, broker.bytes_received)?;
        page.counter("messages_sent", "Deliveries handed to clients", broker.messages_sent)?;
        let help = "Payload bytes of deliveries handed to clients";
        page.counter_bytes("payload_sent", help, broker.bytes_sent)?;
        let dropped = [
            ([("reason", "queue_full")], broker.dropped_queue_full),
            ([("reason", "expired")], broker.dropped_expired),
            ([("reason", "qos0_slow")], broker.dropped_qos0),
            ([("reason", "discarded")], broker.dropped_discarded),
        ];
        page.counters("messages_dropped", "Messages dropped for a session", None, &dropped)?;
        let help = "Messages refused to their publishers";
        page.counter("publishes_refused", help, broker.publishes_refused)?;
        page.gauge("messages_retained", "Retained messages", broker.retained)?;
        page.gauge_bytes("retained", "Bytes of retained messages", broker.retained_bytes)?;
        page.gauge("messages_queued", "Messages that wait in sessions", broker.queued_messages)?;
        page.gauge_bytes("queued", "Bytes that wait in sessions", broker.queued_bytes)?;
        page.gauge_bytes("kept", "Bytes of all messages kept for sessions", broker.kept_bytes)
    }

    fn write_links(&self, page: &mut Page<'_>) -> Written {
        let host = &self.host;
        page.gauge("links", "Connections", host.links)?;
        page.counter("links_opened", "Connections opened", host.links_opened)?;
        let help = "Connections that went to the home shard of their session";
        page.counter("links_moved", help, host.links_moved)?;
        let closed = [
            ([("reason", "stalled")], host.links_stalled),
            ([("reason", "overrun")], host.links_overrun),
            ([("reason", "bad_input")], host.input_refused),
        ];
        let help = "Connections closed since their peer misbehaved";
        page.counters("links_cut", help, None, &closed)?;
        page.gauge("handshakes", "Handshakes under way", host.handshakes)?;
        let ended = [
            ([("result", "done")], host.handshakes_done),
            ([("result", "failed")], host.handshakes_failed),
            ([("result", "timed_out")], host.handshakes_timed_out),
            ([("result", "refused")], host.handshakes_refused),
        ];
        page.counters("handshakes_ended", "Handshakes of TLS, WebSocket, PROXY", None, &ended)?;
        page.counter("frames", "Frames handled", host.frames)?;
        page.counter_bytes("read", "Bytes read from sockets", host.bytes_read)?;
        page.counter_bytes("written", "Bytes written to sockets", host.bytes_written)?;
        page.counter("reads", "Reads that brought something", host.reads)?;
        page.counter("writes", "Writes that took something", host.writes)?;
        page.counter("turns", "Turns of the shards", host.turns)?;
        let help = "Turns at whose end the way to another shard was full";
        page.counter("mail_full_turns", help, host.ring_full)?;
        let help = "Times that a listener rested since the system was out of descriptors";
        page.counter("accept_pauses", help, host.accept_pauses)
    }

    fn write_datagrams(&self, page: &mut Page<'_>) -> Written {
        let host = &self.host;
        page.counter("datagrams_received", "Datagrams that came", host.datagrams_received)?;
        page.counter("datagrams_sent", "Datagrams that were sent", host.datagrams_sent)?;
        let help = "Datagrams that went to the shard of their link";
        page.counter("datagrams_forwarded", help, host.datagrams_forwarded)?;
        let dropped = [
            ([("reason", "stray")], host.datagrams_stray),
            ([("reason", "throttled")], host.datagrams_throttled),
            ([("reason", "unready")], host.datagrams_unready),
            ([("reason", "crowded")], host.datagrams_crowded),
            ([("reason", "unproxied")], host.datagrams_unproxied),
        ];
        page.counters("datagrams_dropped", "Datagrams that came in vain", None, &dropped)?;
        let unsent = [
            ([("reason", "withheld")], host.datagrams_withheld),
            ([("reason", "failed")], host.datagrams_unsent),
        ];
        page.counters("datagrams_unsent", "Datagrams that were not sent", None, &unsent)
    }

    fn write_listeners(&self, page: &mut Page<'_>) -> Written {
        let mut gauges = |name, help, value: fn(&ListenerStatus) -> usize| {
            let values: Vec<_> = self
                .listeners
                .iter()
                .map(|listener| (listener_labels(listener), value(listener) as u64))
                .collect();
            page.gauges(name, help, &values)
        };
        gauges("listener_connections", "Connections of the listener", |l| l.connections)?;
        let help = "Connections that the listener may have";
        gauges("listener_connections_limit", help, |l| l.max_connections)?;
        for family in LISTENER_FAMILIES {
            let values: Vec<_> = self
                .listeners
                .iter()
                .map(|listener| (listener_labels(listener), (family.value)(listener)))
                .collect();
            let name = format!("listener_{}", family.name);
            page.counters(&name, family.help, family.unit.as_ref(), &values)?;
        }
        Ok(())
    }

    fn write_gateways(&self, page: &mut Page<'_>) -> Written {
        let mut gateways: Vec<&'static str> = self.listeners.iter().map(|l| l.gateway).collect();
        gateways.sort_unstable();
        gateways.dedup();
        let sum = |gateway: &str, value: &dyn Fn(&ListenerStatus) -> u64| -> u64 {
            self.listeners.iter().filter(|l| l.gateway == gateway).map(value).sum()
        };
        let each = |value: &dyn Fn(&ListenerStatus) -> u64| -> Vec<_> {
            gateways.iter().map(|name| ([("gateway", *name)], sum(name, value))).collect()
        };
        let help = "Connections of the gateway";
        page.gauges("gateway_connections", help, &each(&|l| l.connections as u64))?;
        for family in LISTENER_FAMILIES {
            let name = format!("gateway_{}", family.name);
            let values = each(&family.value);
            page.counters(&name, family.help, family.unit.as_ref(), &values)?;
        }
        Ok(())
    }
}

fn listener_labels(listener: &ListenerStatus) -> [(&str, &str); 3] {
    [("listener", &listener.name), ("gateway", listener.gateway), ("transport", listener.transport)]
}

/// A counter of each listener, and, added up, of each gateway.
struct ListenerFamily {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    value: fn(&ListenerStatus) -> u64,
}

const LISTENER_FAMILIES: &[ListenerFamily] = &[
    ListenerFamily {
        name: "accepted",
        help: "Connections accepted",
        unit: None,
        value: |l| l.counters.accepted,
    },
    ListenerFamily {
        name: "refused",
        help: "Connections closed at once since there were too many, or too many at a time",
        unit: None,
        value: |l| l.counters.refused,
    },
    ListenerFamily {
        name: "refused_by_source",
        help: "Connections closed at once since their source had too many, or was too fast",
        unit: None,
        value: |l| l.refused_by_source,
    },
    ListenerFamily {
        name: "handshakes_failed",
        help: "Handshakes that came to nothing",
        unit: None,
        value: |l| l.counters.handshakes_failed,
    },
    ListenerFamily {
        name: "input_refused",
        help: "Connections closed since their input was no frame of the protocol, and datagrams",
        unit: None,
        value: |l| l.counters.input_refused,
    },
    ListenerFamily {
        name: "throttled",
        help: "Times that a connection was not read for a while since it sent too fast",
        unit: None,
        value: |l| l.counters.throttled,
    },
    ListenerFamily {
        name: "frames",
        help: "Frames handled",
        unit: None,
        value: |l| l.counters.frames,
    },
    ListenerFamily {
        name: "publishes",
        help: "Messages that clients published, those included that were refused",
        unit: None,
        value: |l| l.counters.publishes,
    },
    ListenerFamily {
        name: "deliveries",
        help: "Messages handed to clients",
        unit: None,
        value: |l| l.counters.deliveries,
    },
    ListenerFamily {
        name: "read",
        help: "Bytes read from sockets",
        unit: Some(Unit::Bytes),
        value: |l| l.counters.bytes_read,
    },
    ListenerFamily {
        name: "written",
        help: "Bytes written to sockets",
        unit: Some(Unit::Bytes),
        value: |l| l.counters.bytes_written,
    },
];

/// Metrics of the process, under the names that all Prometheus exporters use.
#[derive(Debug)]
struct Process {
    facts: ProcessFacts,
    started_ms: u64,
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Written {
        let mut page = Page { encoder };
        let facts = &self.facts;
        page.counter_seconds("cpu", "CPU time used", facts.cpu.as_secs_f64())?;
        let started = self.started_ms as f64 / 1000.0;
        page.gauge_seconds("start_time", "Start, since the Unix epoch", started)?;
        if let Some(bytes) = facts.resident_bytes {
            page.gauge_bytes("resident_memory", "Memory in use", bytes)?;
        }
        if let Some(bytes) = facts.virtual_bytes {
            page.gauge_bytes("virtual_memory", "Memory with addresses", bytes)?;
        }
        if let Some(threads) = facts.threads {
            page.gauge("threads", "Threads", threads)?;
        }
        if let Some(files) = facts.open_files {
            page.gauge("open_fds", "Open files", files)?;
        }
        if let Some(files) = facts.open_files_max {
            page.gauge("max_fds", "Files that may be open", files)?;
        }
        Ok(())
    }
}
