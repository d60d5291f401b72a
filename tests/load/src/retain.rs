//! Publishes N retained messages, then lets one new subscriber collect them all.

use crate::conn::{Client, Conn};
use crate::mqtt;
use crate::opts::Opts;
use crate::road::Road;
use crate::sys::*;
use crate::usage::{Snap, rss_kib};

const LIMIT_NS: u64 = 60_000_000_000;

pub fn run(o: &Opts) {
    let port = o.num("port", 1883) as u16;
    let version = o.num("v", 4) as u8;
    let count = o.count("count", 100_000);
    let size = o.count("size", 64);
    let window = o.count("window", 20);
    let pids = o.pids();
    let tag = std::process::id() % 10_000;

    let rss0_kib = rss_kib(&pids);
    let start = Snap::take(&pids);
    let id = format!("rp{tag}");
    let mut publisher = Conn::open(&Client { port, road: &Road::TCP, version, number: 0, id: &id });
    let message = |n: usize| {
        let topic = format!("rt/{tag}/{}/{n}", n % 100);
        mqtt::publish(version, &topic, 1, true, size)
    };
    let (sent, acked) = store(&mut publisher, count, window, message);
    let stored = Snap::take(&pids);
    let rss1_kib = rss_kib(&pids);

    let id = format!("rs{tag}");
    let mut subscriber =
        Conn::open(&Client { port, road: &Road::TCP, version, number: 1, id: &id });
    write_fd(subscriber.fd, &mqtt::subscribe(version, 1, &[format!("rt/{tag}/#")], 0));
    let (got, flagged) = collect(&mut subscriber, count);
    let end = Snap::take(&pids);
    close_reset(publisher.fd);
    close_reset(subscriber.fd);

    let (store_s, collect_s) = (stored.secs_since(&start), end.secs_since(&stored));
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"retain\",\"v\":{},\"sent\":{},\"acked\":{},",
            "\"seconds\":{:.3},\"msgs_per_s\":{:.0},\"srv_cpu_s_per_M\":{:.3},\"received\":{},",
            "\"retain_flag\":{},\"collect_seconds\":{:.3},\"collect_msgs_per_s\":{:.0},",
            "\"collect_srv_cpu_s_per_M\":{:.3},\"rss0_kib\":{},\"rss_kib\":{},",
            "\"bytes_per_retained\":{:.0},\"other_cpu_s\":{:.2}}}"
        ),
        o.text("name", "retain"),
        version,
        sent,
        acked,
        store_s,
        acked as f64 / store_s,
        (stored.srv - start.srv) * 1e6 / acked.max(1) as f64,
        got,
        flagged,
        collect_s,
        got as f64 / collect_s,
        (end.srv - stored.srv) * 1e6 / got.max(1) as f64,
        rss0_kib,
        rss1_kib,
        rss1_kib.saturating_sub(rss0_kib) as f64 * 1024.0 / count as f64,
        end.other_since(&start)
    );
}

/// Publishes at QoS 1 with at most `window` unacknowledged; returns how many were sent and
/// acknowledged.
fn store(
    p: &mut Conn,
    count: usize,
    window: usize,
    message: impl Fn(usize) -> mqtt::Template,
) -> (usize, usize) {
    let (mut sent, mut acked) = (0, 0);
    let mut tmp = vec![0u8; 1 << 16];
    let end = now() + LIMIT_NS;
    while acked < count && now() < end {
        let mut out = Vec::new();
        while sent < count && sent - acked < window {
            let mut m = message(sent);
            let id = (sent % 65_000 + 1) as u16;
            m.bytes[m.id_at..m.id_at + 2].copy_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&m.bytes);
            sent += 1;
        }
        if !out.is_empty() {
            write_fd(p.fd, &out);
        }
        readable(p.fd, 1000);
        let k = read_fd(p.fd, &mut tmp);
        if k == 0 {
            die("closed while publishing retained messages")
        }
        if k > 0 {
            p.unread.extend_from_slice(&tmp[..k as usize]);
            while let Some((first, _, end)) = mqtt::next(&p.unread) {
                acked += (first >> 4 == mqtt::PUBACK) as usize;
                p.unread.drain(..end);
            }
        }
    }
    (sent, acked)
}

/// Reads until `count` messages came or none does for 5 s; returns how many came, and how many of
/// them with the RETAIN flag.
fn collect(s: &mut Conn, count: usize) -> (usize, usize) {
    let (mut got, mut flagged) = (0, 0);
    let mut tmp = vec![0u8; 1 << 16];
    let end = now() + LIMIT_NS;
    while got < count && now() < end && readable(s.fd, 5000) {
        let k = read_fd(s.fd, &mut tmp);
        if k <= 0 {
            break;
        }
        s.unread.extend_from_slice(&tmp[..k as usize]);
        let mut at = 0;
        while let Some((first, _, end)) = mqtt::next(&s.unread[at..]) {
            if first >> 4 == mqtt::PUBLISH {
                got += 1;
                flagged += (first & 1) as usize;
            }
            at += end;
        }
        s.unread.drain(..at);
    }
    (got, flagged)
}
