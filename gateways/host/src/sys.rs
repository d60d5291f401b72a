use std::time::Duration;

use core_model::Timestamp;

use crate::NodeCounters;

/// One number of a node.
type Counter = fn(&NodeCounters) -> u64;

/// The names of the moving averages and their length in minutes.
const AVERAGES: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

/// What moving averages are kept of: name and the counter that grows.
const LOADS: [(&str, Counter); 9] = [
    ("messages/received", |c| c.host.frames),
    ("messages/sent", |c| c.broker.messages_sent),
    ("publish/received", |c| c.broker.messages_received),
    ("publish/sent", |c| c.broker.messages_sent),
    ("publish/dropped", dropped),
    ("bytes/received", |c| c.host.bytes_read),
    ("bytes/sent", |c| c.host.bytes_written),
    ("sockets", |c| c.host.accepted),
    ("connections", |c| c.host.links_opened),
];

/// Plain values: topic below `$SYS/broker/` and counter. The names are those that Mosquitto made
/// common.
const VALUES: [(&str, Counter); 26] = [
    ("clients/total", |c| c.broker.sessions),
    ("clients/connected", |c| c.broker.clients_connected),
    ("clients/disconnected", disconnected),
    ("clients/active", |c| c.broker.clients_connected),
    ("clients/inactive", disconnected),
    ("clients/maximum", |c| c.broker.clients_maximum),
    ("clients/expired", |c| c.broker.sessions_expired),
    ("messages/received", |c| c.host.frames),
    ("messages/sent", |c| c.broker.messages_sent),
    ("messages/stored", stored),
    ("publish/messages/received", |c| c.broker.messages_received),
    ("publish/messages/sent", |c| c.broker.messages_sent),
    ("publish/messages/dropped", dropped),
    ("publish/bytes/received", |c| c.broker.bytes_received),
    ("publish/bytes/sent", |c| c.broker.bytes_sent),
    ("bytes/received", |c| c.host.bytes_read),
    ("bytes/sent", |c| c.host.bytes_written),
    ("subscriptions/count", |c| c.broker.subscriptions),
    ("shared_subscriptions/count", |c| c.broker.subscriptions_shared),
    ("retained messages/count", |c| c.broker.retained),
    ("store/messages/count", stored),
    ("store/messages/bytes", |c| c.broker.queued_bytes + c.broker.retained_bytes),
    ("connections/count", |c| c.host.links),
    ("connections/accepted", |c| c.host.accepted),
    ("connections/refused", |c| c.host.refused),
    ("connections/stalled", |c| c.host.links_stalled + c.host.links_overrun),
];

fn disconnected(counters: &NodeCounters) -> u64 {
    counters.broker.sessions.saturating_sub(counters.broker.clients_connected)
}

fn stored(counters: &NodeCounters) -> u64 {
    counters.broker.queued_messages + counters.broker.retained
}

fn dropped(counters: &NodeCounters) -> u64 {
    let broker = &counters.broker;
    broker.dropped_queue_full
        + broker.dropped_expired
        + broker.dropped_qos0
        + broker.dropped_discarded
}

/// The `$SYS` topics: what the server says about itself, as retained messages.
#[derive(Debug)]
pub(crate) struct Sys {
    interval_s: u32,
    due_at: Timestamp,
    updated_at: Timestamp,
    topics: Vec<Topic>,
    /// Counters at the last update.
    last: NodeCounters,
}

/// One topic, with what it last said.
#[derive(Debug)]
struct Topic {
    name: String,
    text: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Never changes, so it is said once.
    Fixed(Box<str>),
    Uptime,
    Value(Counter),
    /// Events per minute, and the minutes over which they are averaged.
    Load {
        counter: Counter,
        minutes: f64,
        per_minute: f64,
    },
}

impl Source {
    fn text(
        &mut self,
        uptime: Duration,
        elapsed_min: f64,
        last: &NodeCounters,
        counters: &NodeCounters,
    ) -> String {
        match self {
            Source::Fixed(text) => text.to_string(),
            Source::Uptime => format!("{} seconds", uptime.as_secs()),
            Source::Value(counter) => counter(counters).to_string(),
            Source::Load { counter, minutes, per_minute } => {
                if elapsed_min > 0.0 {
                    let events = counter(counters).saturating_sub(counter(last)) as f64;
                    let weight = (-elapsed_min / *minutes).exp();
                    *per_minute = weight * *per_minute + (1.0 - weight) * events / elapsed_min;
                }
                format!("{per_minute:.2}")
            }
        }
    }
}

impl Sys {
    /// Topics that are updated every `interval_s` seconds from `now` on.
    pub(crate) fn new(interval_s: u32, version: &str, now: Timestamp) -> Self {
        let topic = |name: &str, source| Topic {
            name: format!("$SYS/broker/{name}"),
            text: String::new(),
            source,
        };
        let mut topics =
            vec![topic("version", Source::Fixed(version.into())), topic("uptime", Source::Uptime)];
        topics.extend(VALUES.map(|(name, counter)| topic(name, Source::Value(counter))));
        for (name, counter) in LOADS {
            topics.extend(AVERAGES.map(|(span, minutes)| {
                let source = Source::Load { counter, minutes, per_minute: 0.0 };
                topic(&format!("load/{name}/{span}"), source)
            }));
        }
        let last = NodeCounters::default();
        Sys { interval_s, due_at: now, updated_at: now, topics, last }
    }

    /// When the next update is due.
    pub(crate) fn due_at(&self) -> Timestamp {
        self.due_at
    }

    /// Brings all topics up to date and returns those that say something new, with their text.
    pub(crate) fn update(
        &mut self,
        now: Timestamp,
        uptime: Duration,
        counters: &NodeCounters,
    ) -> Vec<(&str, &str)> {
        let elapsed_min = now.since(self.updated_at).as_secs_f64() / 60.0;
        self.updated_at = now;
        self.due_at = now.plus_seconds(self.interval_s);
        let last = std::mem::replace(&mut self.last, counters.clone());
        let mut news: Vec<(&str, &str)> = Vec::new();
        for topic in &mut self.topics {
            let text = topic.source.text(uptime, elapsed_min, &last, counters);
            if text != topic.text {
                topic.text = text;
                news.push((&topic.name, &topic.text));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'n>(news: &[(&str, &'n str)], name: &str) -> Option<&'n str> {
        let topic = format!("$SYS/broker/{name}");
        news.iter().find(|(known, _)| *known == topic).map(|(_, text)| *text)
    }

    #[test]
    fn everything_is_said_once_and_then_only_what_changed() {
        let start = Timestamp::from_millis(1_000_000);
        let mut sys = Sys::new(10, "manifold test", start);
        assert_eq!(sys.due_at(), start);
        let mut counters = NodeCounters::default();
        let news = sys.update(start, Duration::ZERO, &counters);
        assert_eq!(news.len(), 2 + VALUES.len() + LOADS.len() * AVERAGES.len());
        assert_eq!(text(&news, "version"), Some("manifold test"));
        assert_eq!(text(&news, "uptime"), Some("0 seconds"));
        assert_eq!(text(&news, "load/bytes/sent/15min"), Some("0.00"));

        counters.broker.sessions = 3;
        counters.broker.clients_connected = 2;
        counters.broker.messages_received = 60;
        let later = start.plus_seconds(10);
        assert_eq!(sys.due_at(), later);
        let news = sys.update(later, Duration::from_secs(10), &counters);
        assert_eq!(text(&news, "version"), None);
        assert_eq!(text(&news, "bytes/sent"), None);
        assert_eq!(text(&news, "clients/disconnected"), Some("1"));
        assert_eq!(text(&news, "publish/messages/received"), Some("60"));
        assert_eq!(text(&news, "uptime"), Some("10 seconds"));
        // 360 a minute, weighed by 1 - exp(-1/6).
        assert_eq!(text(&news, "load/publish/received/1min"), Some("55.27"));
    }

    #[test]
    fn an_average_comes_close_to_a_steady_rate() {
        let start = Timestamp::from_millis(0);
        let mut sys = Sys::new(10, "v", start);
        let mut counters = NodeCounters::default();
        let mut last = String::new();
        for step in 1..=60 {
            counters.host.bytes_read += 1_000;
            let news = sys.update(start.plus_seconds(step * 10), Duration::ZERO, &counters);
            last = text(&news, "load/bytes/received/1min").unwrap_or(&last).to_owned();
        }
        assert_eq!(last, "5999.73");
    }
}
