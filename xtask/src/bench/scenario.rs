//! What is measured, with which goals.

use serde_json::Value;

use super::server::Kind;

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    /// The load generator, once.
    Load,
    /// The load generator alone, then again beside bad neighbours.
    Neighbours,
    /// The load generator alone, then again beside many handshakes at once.
    Handshakes,
}

/// What must be reached, without the allowance for noise.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Nothing is asked.
    None,
    /// At most this part of mosquitto's figure.
    OfMosquitto(f64),
    /// At most this much.
    AtMost(f64),
}

/// A number that a run yields.
pub(crate) struct Figure {
    /// With its unit.
    pub(crate) name: &'static str,
    /// Digits after the point.
    pub(crate) digits: usize,
    pub(crate) goal: Goal,
    /// Takes what the load generator printed, in the order of its calls.
    pub(crate) value: fn(&[Value]) -> Option<f64>,
}

/// One way to load a server.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) about: &'static str,
    /// Mode and options of the load generator.
    pub(crate) mode: &'static str,
    pub(crate) arguments: &'static [&'static str],
    /// What carries MQTT: an option of the load generator and the transport of the listener.
    pub(crate) road: &'static str,
    pub(crate) method: Method,
    pub(crate) servers: &'static [Kind],
    pub(crate) figures: &'static [Figure],
}

const ALL: &[Kind] = &[Kind::Manifold, Kind::Mosquitto, Kind::Null];
/// MQTT-SN, of which Debian has no other server.
const DATAGRAMS: &[Kind] = &[Kind::Manifold, Kind::Null];
/// `null` knows neither `+` nor retained messages, and keeps no session.
const BROKERS: &[Kind] = &[Kind::Manifold, Kind::Mosquitto];

const fn cpu(goal: Goal) -> Figure {
    Figure {
        name: "CPU for a delivery, µs",
        digits: 2,
        goal,
        value: |run| number(run.first()?, "/srv_cpu_s_per_M"),
    }
}

const RATE: Figure = Figure {
    name: "deliveries, thousands a second",
    digits: 0,
    goal: Goal::None,
    value: |run| Some(number(run.first()?, "/msgs_per_s")? / 1e3),
};

const fn p50(name: &'static str) -> Figure {
    Figure {
        name,
        digits: 0,
        goal: Goal::None,
        value: |run| number(run.first()?, "/latency/p50_us"),
    }
}

const fn p99(name: &'static str) -> Figure {
    Figure {
        name,
        digits: 0,
        goal: Goal::None,
        value: |run| number(run.first()?, "/latency/p99_us"),
    }
}

const IDLE: &[Figure] = &[
    Figure {
        name: "memory for a connection, bytes",
        digits: 0,
        goal: Goal::None,
        value: |run| number(run.first()?, "/bytes_per_conn"),
    },
    Figure {
        name: "CPU for a connect, µs",
        digits: 0,
        goal: Goal::None,
        value: |run| number(run.first()?, "/srv_cpu_ms_per_1k_conns"),
    },
];

const CLIENTS: &[Figure] = &[
    Figure {
        name: "memory for a client, bytes",
        digits: 0,
        goal: Goal::None,
        value: |run| number(run.first()?, "/bytes_per_client"),
    },
    Figure {
        name: "CPU for a client to come, µs",
        digits: 1,
        goal: Goal::None,
        value: |run| number(run.first()?, "/srv_cpu_us_per_client"),
    },
];

const IDLE_BYTES_MAX: f64 = 2.5 * 1024.0;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pairs-qos0",
        about: "50 publishers, each with one subscriber, QoS 0",
        mode: "pairs",
        arguments: &["--qos", "0"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::OfMosquitto(0.15)), RATE],
    },
    Scenario {
        name: "pairs-qos1",
        about: "50 publishers, each with one subscriber, QoS 1",
        mode: "pairs",
        arguments: &["--qos", "1"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::OfMosquitto(0.15)), RATE],
    },
    Scenario {
        name: "pairs-qos2",
        about: "50 publishers, each with one subscriber, QoS 2",
        mode: "pairs",
        arguments: &["--qos", "2"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::OfMosquitto(0.15)), RATE],
    },
    Scenario {
        name: "fanout",
        about: "1 publisher to 1000 subscribers, QoS 0",
        mode: "fanout",
        arguments: &["--subs", "1000", "--window", "10"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::OfMosquitto(0.25)), RATE],
    },
    Scenario {
        name: "fanin-qos0",
        about: "1000 publishers to 1 subscriber, QoS 0",
        mode: "fanin",
        arguments: &["--pubs", "1000", "--qos", "0", "--window", "10"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::OfMosquitto(0.25)), RATE],
    },
    Scenario {
        name: "fanin-qos1",
        about: "1000 publishers to 1 subscriber, QoS 1, one message in flight each",
        mode: "fanin",
        arguments: &["--pubs", "1000", "--qos", "1", "--window", "1"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::None), RATE],
    },
    Scenario {
        name: "idle",
        about: "connections without subscription",
        mode: "storm",
        arguments: &["--hold", "3"],
        road: "tcp",
        method: Method::Load,
        servers: BROKERS,
        figures: &[
            Figure {
                name: "memory for a connection, bytes",
                digits: 0,
                goal: Goal::AtMost(IDLE_BYTES_MAX),
                value: |run| number(run.first()?, "/bytes_per_conn"),
            },
            Figure {
                name: "CPU for a connect, µs",
                digits: 0,
                goal: Goal::None,
                value: |run| number(run.first()?, "/srv_cpu_ms_per_1k_conns"),
            },
        ],
    },
    Scenario {
        name: "scale",
        about: "100 000 filters with a `+` in them, each message matches one",
        mode: "scale",
        arguments: &[],
        road: "tcp",
        method: Method::Load,
        servers: BROKERS,
        figures: &[
            cpu(Goal::None),
            RATE,
            Figure {
                name: "memory for all filters, MiB",
                digits: 1,
                goal: Goal::None,
                value: |run| {
                    let run = run.first()?;
                    Some((number(run, "/rss_sub_kib")? - number(run, "/rss0_kib")?) / 1024.0)
                },
            },
        ],
    },
    Scenario {
        name: "retain",
        about: "100 000 retained messages, and a new subscriber to all of them",
        mode: "retain",
        arguments: &[],
        road: "tcp",
        method: Method::Load,
        servers: BROKERS,
        figures: &[
            Figure {
                name: "CPU to store one, µs",
                digits: 2,
                goal: Goal::None,
                value: |run| number(run.first()?, "/srv_cpu_s_per_M"),
            },
            Figure {
                name: "CPU to hand one out, µs",
                digits: 2,
                goal: Goal::None,
                value: |run| number(run.first()?, "/collect_srv_cpu_s_per_M"),
            },
            Figure {
                name: "memory for one, bytes",
                digits: 0,
                goal: Goal::None,
                value: |run| number(run.first()?, "/bytes_per_retained"),
            },
        ],
    },
    Scenario {
        name: "fixed-rate",
        about: "20 000 messages a second over 50 pairs, QoS 0",
        mode: "pairs",
        arguments: &["--qos", "0", "--rate", "20000"],
        road: "tcp",
        method: Method::Load,
        servers: ALL,
        figures: &[cpu(Goal::None), p50("latency p50, µs"), p99("latency p99, µs")],
    },
    Scenario {
        name: "neighbours",
        about: "2000 messages a second over 50 pairs, alone and beside a flooded subscriber that \
                never reads and 5000 silent connections",
        mode: "pairs",
        arguments: &["--qos", "0", "--rate", "2000"],
        road: "tcp",
        method: Method::Neighbours,
        servers: ALL,
        figures: &[
            p99("latency p99 alone, µs"),
            Figure {
                name: "latency p99 beside them, µs",
                digits: 0,
                goal: Goal::None,
                value: |run| number(run.get(1)?, "/latency/p99_us"),
            },
            Figure {
                name: "latency p99, beside ÷ alone",
                digits: 2,
                goal: Goal::None,
                value: |run| {
                    let p99 = |run| number(run, "/latency/p99_us");
                    Some(p99(run.get(1)?)? / p99(run.first()?)?)
                },
            },
        ],
    },
    Scenario {
        name: "pairs-qos0-tls",
        about: "the same as pairs-qos0 over TLS",
        mode: "pairs",
        arguments: &["--qos", "0"],
        road: "tls",
        method: Method::Load,
        servers: BROKERS,
        figures: &[cpu(Goal::None), RATE],
    },
    Scenario {
        name: "pairs-qos0-ws",
        about: "the same as pairs-qos0 over WebSocket",
        mode: "pairs",
        arguments: &["--qos", "0"],
        road: "ws",
        method: Method::Load,
        servers: BROKERS,
        figures: &[cpu(Goal::None), RATE],
    },
    Scenario {
        name: "pairs-qos0-wss",
        about: "the same as pairs-qos0 over WebSocket over TLS",
        mode: "pairs",
        arguments: &["--qos", "0"],
        road: "wss",
        method: Method::Load,
        servers: BROKERS,
        figures: &[cpu(Goal::None), RATE],
    },
    Scenario {
        name: "idle-tls",
        about: "connections without subscription over TLS",
        mode: "storm",
        arguments: &["--hold", "1"],
        road: "tls",
        method: Method::Load,
        servers: BROKERS,
        figures: IDLE,
    },
    Scenario {
        name: "idle-ws",
        about: "connections without subscription over WebSocket",
        mode: "storm",
        arguments: &["--hold", "1"],
        road: "ws",
        method: Method::Load,
        servers: BROKERS,
        figures: IDLE,
    },
    Scenario {
        name: "sn-qos0",
        about: "MQTT-SN over UDP: 50 publishers, each with one subscriber, QoS 0; beside a relay \
                of datagrams without any state",
        mode: "sn",
        // What 50 publishers send at once fits into a socket's buffer of the usual size.
        arguments: &["--qos", "0", "--window", "4"],
        road: "udp",
        method: Method::Load,
        servers: DATAGRAMS,
        figures: &[cpu(Goal::None), RATE],
    },
    Scenario {
        name: "sn-qos1",
        about: "the same at QoS 1, one message in flight each, as MQTT-SN has it",
        mode: "sn",
        arguments: &["--qos", "1"],
        road: "udp",
        method: Method::Load,
        servers: DATAGRAMS,
        figures: &[cpu(Goal::None), RATE],
    },
    Scenario {
        name: "sn-sleepers",
        about: "MQTT-SN clients with one subscription that have gone to sleep, each with an \
                address of its own",
        mode: "snsleep",
        arguments: &["--sub"],
        road: "udp",
        method: Method::Load,
        servers: &[Kind::Manifold],
        figures: CLIENTS,
    },
    Scenario {
        name: "sn-peers",
        about: "connected MQTT-SN clients without subscription, each with an address of its own",
        mode: "snsleep",
        arguments: &["--awake"],
        road: "udp",
        method: Method::Load,
        servers: &[Kind::Manifold],
        figures: CLIENTS,
    },
    Scenario {
        name: "handshakes",
        about: "2000 messages a second over 50 pairs with TLS, alone and beside 1000 clients that \
                make TLS handshakes at once, again and again",
        mode: "pairs",
        arguments: &["--qos", "0", "--rate", "2000"],
        road: "tls",
        method: Method::Handshakes,
        servers: BROKERS,
        figures: &[
            p99("latency p99 alone, µs"),
            Figure {
                name: "latency p99 beside them, µs",
                digits: 0,
                goal: Goal::None,
                value: |run| number(run.get(1)?, "/latency/p99_us"),
            },
            Figure {
                name: "latency p99, beside ÷ alone",
                digits: 2,
                goal: Goal::AtMost(2.0),
                value: |run| {
                    let p99 = |run| number(run, "/latency/p99_us");
                    Some(p99(run.get(1)?)? / p99(run.first()?)?)
                },
            },
        ],
    },
];

fn number(run: &Value, pointer: &str) -> Option<f64> {
    run.pointer(pointer)?.as_f64()
}
