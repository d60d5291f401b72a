//! MQTT-SN 1.2: the packets that the loads need, and publishers with a subscriber each.
//!
//! One datagram carries one message, as the protocol has it. At QoS 1 a client may have one message
//! outstanding, so the window is one.

use crate::batch::Batch;
use crate::hist::Hist;
use crate::opts::Opts;
use crate::sys::*;
use crate::usage::{Snap, rss_kib};
use libc::{EPOLLIN, MSG_DONTWAIT};

pub const CONNECT: u8 = 0x04;
pub const CONNACK: u8 = 0x05;
pub const REGISTER: u8 = 0x0a;
pub const REGACK: u8 = 0x0b;
pub const PUBLISH: u8 = 0x0c;
pub const PUBACK: u8 = 0x0d;
pub const SUBSCRIBE: u8 = 0x12;
pub const SUBACK: u8 = 0x13;
pub const DISCONNECT: u8 = 0x18;

/// Bytes of a PUBLISH in front of its data.
const PUBLISH_HEAD: usize = 7;
const STALL_NS: u64 = 1_000_000_000;
/// Longest keep alive.
const FOREVER_S: u16 = u16::MAX;

/// A packet with a short Length.
pub fn packet(msg_type: u8, body: &[&[u8]]) -> Vec<u8> {
    let mut p = vec![0, msg_type];
    body.iter().for_each(|part| p.extend_from_slice(part));
    p[0] = u8::try_from(p.len()).unwrap_or_else(|_| die("packet longer than 255 bytes"));
    p
}

pub fn connect(client_id: &str, clean: bool) -> Vec<u8> {
    let flags = if clean { 4 } else { 0 };
    packet(CONNECT, &[&[flags, 1], &FOREVER_S.to_be_bytes(), client_id.as_bytes()])
}

pub fn subscribe(qos: u8, msg_id: u16, topic: &str) -> Vec<u8> {
    packet(SUBSCRIBE, &[&[qos << 5], &msg_id.to_be_bytes(), topic.as_bytes()])
}

fn register(msg_id: u16, topic: &str) -> Vec<u8> {
    packet(REGISTER, &[&[0, 0], &msg_id.to_be_bytes(), topic.as_bytes()])
}

fn puback(topic_id: [u8; 2], msg_id: [u8; 2]) -> Vec<u8> {
    packet(PUBACK, &[&topic_id, &msg_id, &[0]])
}

/// Sends until `wanted` comes back, a few times.
pub fn ask(fd: i32, request: &[u8], wanted: u8) -> Vec<u8> {
    set_read_timeout(fd, 1000);
    let mut answer = [0u8; 512];
    for _ in 0..5 {
        write_fd(fd, request);
        let n = read_fd(fd, &mut answer);
        if n >= 2 && answer[1] == wanted {
            return answer[..n as usize].to_vec();
        }
    }
    die(&format!("no answer {wanted:#x} to {request:02x?}"))
}

struct Pair {
    publisher: i32,
    subscriber: i32,
    topic_id: [u8; 2],
    msg_id: u16,
    /// Sent and not yet delivered, or not yet acknowledged at QoS 1.
    out: usize,
    acks: usize,
    progress: u64,
    next: u64,
    expected: u64,
}

struct Load {
    qos: u8,
    window: usize,
    ep: Epoll,
    pairs: Vec<Pair>,
    ready: Vec<usize>,
    tx: Batch,
    rx: Batch,
    sent: u64,
    received: u64,
    lost: u64,
    gaps: u64,
    odd: u64,
    measuring: bool,
    latency: Hist,
}

pub fn run(o: &Opts) {
    let (port, pids) = (o.num("port", 1884) as u16, o.pids());
    let rss0_kib = rss_kib(&pids);
    let mut load = Load::open(o, port);
    let warm_end = now() + (o.real("warm", 0.5) * 1e9) as u64;
    let end = warm_end + (o.real("secs", 5.0) * 1e9) as u64;
    let mut from = (Snap::default(), 0, 0);
    let mut evs = events(256);
    loop {
        let t = now();
        if !load.measuring && t >= warm_end {
            load.measuring = true;
            from = (Snap::take(&pids), load.sent, load.received);
        }
        if t >= end {
            break;
        }
        load.send(t);
        let n = load.ep.wait(&mut evs, 20_000_000);
        let t = now();
        for e in &evs[..n] {
            load.on_readable(e.u64 as usize, t);
        }
    }
    let (start, sent, received) = (from.0, load.sent - from.1, load.received - from.2);
    let stop = Snap::take(&pids);
    let (secs, srv) = (stop.secs_since(&start), stop.srv - start.srv);
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"sn\",\"qos\":{},\"pubs\":{},\"window\":{},",
            "\"sent\":{},\"received\":{},\"lost\":{},\"gaps\":{},\"odd\":{},\"seconds\":{:.2},",
            "\"msgs_per_s\":{:.0},\"srv_cpu_s\":{:.2},\"srv_cpu_s_per_M\":{:.3},",
            "\"gen_cpu_s\":{:.2},\"other_cpu_s\":{:.2},\"rss0_kib\":{},\"rss_kib\":{},",
            "\"latency\":{}}}"
        ),
        o.text("name", "sn"),
        load.qos,
        load.pairs.len(),
        load.window,
        sent,
        received,
        load.lost,
        load.gaps,
        load.odd,
        secs,
        received as f64 / secs,
        srv,
        srv * 1e6 / received.max(1) as f64,
        stop.own - start.own,
        stop.other_since(&start),
        rss0_kib,
        rss_kib(&pids),
        load.latency.json()
    );
}

impl Load {
    fn open(o: &Opts, port: u16) -> Load {
        let (n, qos) = (o.count("pubs", 50), o.num("qos", 0) as u8);
        let window = if qos == 0 { o.count("window", 8).max(1) } else { 1 };
        let size = PUBLISH_HEAD + o.count("size", 64).max(16);
        let (ep, tag) = (Epoll::new(), std::process::id() % 10_000);
        let open = |i: usize| {
            let (publisher, subscriber) = (udp_socket(0, port), udp_socket(0, port));
            let topic = format!("load/{tag}/{i}");
            ask(publisher, &connect(&format!("p{tag}-{i}"), true), CONNACK);
            ask(subscriber, &connect(&format!("s{tag}-{i}"), true), CONNACK);
            ask(subscriber, &subscribe(qos, 1, &topic), SUBACK);
            let regack = ask(publisher, &register(2, &topic), REGACK);
            for (fd, end) in [(publisher, 0), (subscriber, 1)] {
                set_nonblocking(fd);
                ep.add(fd, EPOLLIN, (i * 2 + end) as u64);
            }
            let topic_id = [regack[2], regack[3]];
            Pair {
                publisher,
                subscriber,
                topic_id,
                msg_id: 0,
                out: 0,
                acks: 0,
                progress: now(),
                next: 0,
                expected: 0,
            }
        };
        let pairs = (0..n).map(open).collect();
        let mut tx = Batch::new(window, size, false);
        for b in &mut tx.bufs {
            b[0] = u8::try_from(size).unwrap_or_else(|_| die("--size above 248"));
            (b[1], b[2]) = (PUBLISH, qos << 5);
        }
        Load {
            qos,
            window,
            ep,
            pairs,
            ready: (0..n).collect(),
            tx,
            rx: Batch::new(64, 512, false),
            sent: 0,
            received: 0,
            lost: 0,
            gaps: 0,
            odd: 0,
            measuring: false,
            latency: Hist::new(),
        }
    }

    fn send(&mut self, t: u64) {
        let mut ready = std::mem::take(&mut self.ready);
        for i in ready.drain(..) {
            self.fill(i, t);
        }
        for (i, p) in self.pairs.iter_mut().enumerate() {
            if p.out + p.acks > 0 && t.saturating_sub(p.progress) > STALL_NS {
                self.lost += p.out as u64;
                (p.out, p.acks, p.progress) = (0, 0, t);
                ready.push(i)
            }
        }
        self.ready = ready;
    }

    fn fill(&mut self, i: usize, t: u64) {
        let p = &mut self.pairs[i];
        let room = self.window.saturating_sub(p.out.max(p.acks));
        for b in &mut self.tx.bufs[..room] {
            if self.qos > 0 {
                p.msg_id = p.msg_id.checked_add(1).unwrap_or(1);
            }
            b[3..5].copy_from_slice(&p.topic_id);
            b[5..7].copy_from_slice(&p.msg_id.to_be_bytes());
            b[7..15].copy_from_slice(&t.to_le_bytes());
            b[15..23].copy_from_slice(&p.next.to_le_bytes());
            p.next += 1;
        }
        let n = match room {
            0 => 0,
            1 => (write_fd(p.publisher, &self.tx.bufs[0]) > 0) as usize,
            _ => self.tx.send(p.publisher, 0, room),
        };
        // What did not go is a gap in the numbers otherwise.
        p.next -= (room - n) as u64;
        self.sent += n as u64;
        p.out += n;
        p.acks += if self.qos > 0 { n } else { 0 };
    }

    fn on_readable(&mut self, end: usize, t: u64) {
        let i = end / 2;
        let p = &mut self.pairs[i];
        let fd = if end.is_multiple_of(2) { p.publisher } else { p.subscriber };
        for j in 0..self.rx.receive(fd, MSG_DONTWAIT) {
            let b = &self.rx.bufs[j][..self.rx.received(j)];
            match b {
                [_, PUBACK, .., 0] if end.is_multiple_of(2) => p.acks = p.acks.saturating_sub(1),
                [_, PUBLISH, flags, t1, t2, m1, m2, data @ ..] if data.len() >= 16 => {
                    if flags & 0x60 == 0x20 {
                        write_fd(fd, &puback([*t1, *t2], [*m1, *m2]));
                    }
                    let word = |at: usize| {
                        let mut w = [0; 8];
                        w.copy_from_slice(&data[at..at + 8]);
                        u64::from_le_bytes(w)
                    };
                    self.gaps += u64::from(word(8) != p.expected);
                    p.expected = word(8) + 1;
                    self.received += 1;
                    p.out = p.out.saturating_sub(1);
                    if self.measuring {
                        self.latency.add(t.saturating_sub(word(0)));
                    }
                }
                _ => self.odd += 1,
            }
        }
        p.progress = t;
        self.ready.push(i);
    }
}
