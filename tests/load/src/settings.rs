//! What a traffic run is asked to do.

use crate::opts::Opts;
use crate::road::Road;

/// The options of `pairs`, `fanin`, `fanout` and `scale`.
pub struct Settings {
    pub mode: String,
    pub name: String,
    pub port: u16,
    pub road: Road,
    pub version: u8,
    pub qos: u8,
    pub sub_qos: u8,
    pub size: usize,
    pub secs: f64,
    pub warm: f64,
    pub drain: f64,
    /// Messages a second over all publishers; 0 sends as fast as the window allows.
    pub rate: f64,
    /// With a rate: messages leave in bursts on this grid of nanoseconds.
    pub tick: u64,
    pub window: i64,
    pub write_each: bool,
    pub shared: bool,
    pub pubs: usize,
    pub subs: usize,
    pub filters: usize,
    pub per_packet: usize,
    pub pids: Vec<i32>,
    /// Keeps the topics and client ids of different runs apart.
    pub tag: u32,
}

impl Settings {
    pub fn read(mode: &str, o: &Opts) -> Settings {
        let qos = o.num("qos", 0) as u8;
        let (pubs, subs) = match mode {
            "pairs" => (o.count("pubs", 50), o.count("pubs", 50)),
            "fanin" => (o.count("pubs", 1000), o.count("subs", 1)),
            "fanout" => (o.count("pubs", 1), o.count("subs", 1000)),
            _ => (o.count("pubs", 50), o.count("subs", 100)),
        };
        Settings {
            mode: mode.to_string(),
            name: o.text("name", mode),
            port: o.num("port", 1883) as u16,
            road: Road::read(o),
            version: o.num("v", 4) as u8,
            qos,
            sub_qos: o.num("subqos", qos as u64) as u8,
            size: o.count("size", 64).max(16),
            secs: o.real("secs", 5.0),
            warm: o.real("warm", 1.0),
            drain: o.real("drain", 2.0),
            rate: o.real("rate", 0.0),
            tick: o.num("tick-us", 0) * 1000,
            window: o.num("window", if qos == 0 { 100 } else { 20 }) as i64,
            write_each: o.flag("write-each"),
            shared: o.flag("shared"),
            pubs,
            subs,
            filters: o.count("filters", 100_000),
            per_packet: o.count("per-packet", 50),
            pids: o.pids(),
            tag: std::process::id() % 10_000,
        }
    }

    /// Order is promised only where a publisher's messages all take one path.
    pub fn one_path(&self) -> bool {
        self.mode == "pairs" || (self.mode == "fanin" && self.subs == 1)
    }

    /// The filters of subscriber `i`.
    pub fn filters_of(&self, i: usize) -> Vec<String> {
        let tag = self.tag;
        match self.mode.as_str() {
            "pairs" => vec![format!("bench/{tag}/dev{i}/up")],
            "fanin" if self.shared => vec![format!("$share/g{tag}/bench/{tag}/#")],
            "fanin" => vec![format!("bench/{tag}/#")],
            "fanout" => vec![format!("bench/{tag}/all")],
            // One literal level, one '+', one literal level.
            _ => (i..self.filters)
                .step_by(self.subs)
                .map(|k| format!("sc/{tag}/{}/+/{k}/up", k % 100))
                .collect(),
        }
    }

    /// The topics that publisher `i` takes in turn.
    pub fn topics_of(&self, i: usize) -> Vec<String> {
        let tag = self.tag;
        match self.mode.as_str() {
            "pairs" | "fanin" => vec![format!("bench/{tag}/dev{i}/up")],
            "fanout" => vec![format!("bench/{tag}/all")],
            _ => (i..self.filters)
                .step_by(self.pubs)
                .map(|k| format!("sc/{tag}/{}/x/{k}/up", k % 100))
                .collect(),
        }
    }

    /// Deliveries that one message leads to.
    pub fn fan(&self) -> u32 {
        match self.mode.as_str() {
            "fanout" => self.subs as u32,
            "fanin" if !self.shared => self.subs as u32,
            _ => 1,
        }
    }
}
