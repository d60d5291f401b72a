//! A load generator for MQTT brokers and CoAP servers on loopback. README.md has the modes, their
//! options and the output fields.
//!
//! Unsafe code: system calls only, all on file descriptors and buffers that this process owns.

mod batch;
mod coap;
mod conn;
mod hist;
mod load;
mod mqtt;
mod neighbours;
mod null;
mod opts;
mod raw;
mod retain;
mod road;
mod settings;
mod sn;
mod sn_relay;
mod sn_sleep;
mod storm;
mod sys;
mod usage;

use opts::Opts;

const MODES: &str = "pairs fanin fanout scale retain storm neighbours coap sn snsleep snrelay rawtcp rawudp udpecho null";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(mode) = args.first() else {
        sys::die(&format!("usage: mqttload MODE [--option value]...; modes: {MODES}"))
    };
    let o = Opts::parse(&args[1..]);
    sys::sharpen_timers();
    match mode.as_str() {
        "pairs" | "fanin" | "fanout" | "scale" => load::run(mode, &o),
        "retain" => retain::run(&o),
        "storm" => storm::run(&o),
        "neighbours" => neighbours::run(&o),
        "null" => null::run(&o),
        "rawtcp" => raw::tcp(&o),
        "rawudp" => raw::udp(&o),
        "udpecho" => raw::echo(&o),
        "coap" => coap::run(&o),
        "sn" => sn::run(&o),
        "snsleep" => sn_sleep::run(&o),
        "snrelay" => sn_relay::run(&o),
        other => sys::die(&format!("no mode {other}; modes: {MODES}")),
    }
}
