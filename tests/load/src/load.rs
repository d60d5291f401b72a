//! Message traffic: pairs, fan-in, fan-out and filter scale.

use crate::conn::{Client, Conn};
use crate::hist::Hist;
use crate::mqtt::{self, Template};
use crate::opts::Opts;
use crate::settings::Settings;
use crate::sys::{Epoll, die, errno, events, now, read_fd};
use crate::usage::{Snap, rss_kib};
use libc::{EAGAIN, EPOLLIN, EPOLLOUT, epoll_event};

/// Without progress for this long, what a publisher has out counts as lost.
const STALL_NS: u64 = 1_000_000_000;
/// At a fixed rate, QoS 1 and 2 messages that a publisher may have unacknowledged.
const UNACKED_MAX: u32 = 60_000;
/// The longest start of a packet that is kept.
const UNREAD_MAX: usize = 1 << 17;
/// A publisher with this much unsent waits for its socket.
const PENDING_MAX: usize = 65_536;

struct Publisher {
    conn: usize,
    /// Deliveries that one message leads to.
    fan: u32,
    /// Deliveries outstanding.
    out: i64,
    seq: u32,
    templates: std::ops::Range<usize>,
    next_template: usize,
    /// Listed as ready to send.
    queued: bool,
    /// When something last came back.
    progress: u64,
}

#[derive(Default)]
struct Counts {
    sent: u64,
    /// Deliveries that the sent messages should lead to.
    due: u64,
    received: u64,
    gaps: u64,
    reordered: u64,
    acked: u64,
    stalls: u64,
    closed: u64,
}

/// One edge of the measured window.
#[derive(Default)]
struct Mark {
    snap: Snap,
    sent: u64,
    received: u64,
}

struct Load {
    s: Settings,
    ep: Epoll,
    /// Subscribers first, then one for each publisher.
    conns: Vec<Conn>,
    pubs: Vec<Publisher>,
    templates: Vec<Template>,
    /// Publishers that may send.
    ready: Vec<u32>,
    /// Connections to flush at the end of the turn.
    dirty: Vec<u32>,
    /// The next sequence number of each publisher.
    expect: Vec<u32>,
    one_path: bool,
    measuring: bool,
    n: Counts,
    latency: Hist,
    start: u64,
    /// Messages that the schedule has released.
    issued: u64,
    turn: usize,
    checked: u64,
}

struct Setup {
    rss0_kib: u64,
    rss_sub_kib: u64,
    secs: f64,
    srv_cpu: f64,
}

pub fn run(mode: &str, o: &Opts) {
    let (mut load, setup) = Load::open(Settings::read(mode, o));
    let (from, to) = load.drive();
    load.report(&setup, &from, &to);
}

impl Load {
    fn open(s: Settings) -> (Load, Setup) {
        let rss0_kib = rss_kib(&s.pids);
        let before = Snap::take(&s.pids);
        let mut conns: Vec<Conn> = Vec::new();
        for number in 0..s.subs {
            let id = format!("s{}-{number}", s.tag);
            let c = Client { port: s.port, road: &s.road, version: s.version, number, id: &id };
            conns.push(Conn::open_subscribed(&c, &s.filters_of(number), s.sub_qos, s.per_packet));
        }
        let after = Snap::take(&s.pids);
        let setup = Setup {
            rss0_kib,
            rss_sub_kib: rss_kib(&s.pids),
            secs: after.secs_since(&before),
            srv_cpu: after.srv - before.srv,
        };
        let mut templates: Vec<Template> = Vec::new();
        let mut pubs: Vec<Publisher> = Vec::new();
        for i in 0..s.pubs {
            let conn = conns.len();
            let id = format!("p{}-{i}", s.tag);
            let c =
                Client { port: s.port, road: &s.road, version: s.version, number: conn, id: &id };
            conns.push(Conn::open(&c));
            let first = templates.len();
            let topics = s.topics_of(i);
            templates
                .extend(topics.iter().map(|t| mqtt::publish(s.version, t, s.qos, false, s.size)));
            pubs.push(Publisher {
                conn,
                fan: s.fan(),
                out: 0,
                seq: 0,
                templates: first..templates.len(),
                next_template: first,
                queued: true,
                progress: 0,
            });
        }
        let ep = Epoll::new();
        for (i, c) in conns.iter().enumerate() {
            ep.add(c.fd, EPOLLIN, i as u64);
        }
        let start = now();
        let load = Load {
            ep,
            ready: (0..s.pubs as u32).collect(),
            dirty: Vec::new(),
            expect: vec![0; s.pubs],
            one_path: s.one_path(),
            measuring: false,
            n: Counts::default(),
            latency: Hist::new(),
            start,
            issued: 0,
            turn: 0,
            checked: start,
            s,
            conns,
            pubs,
            templates,
        };
        (load, setup)
    }

    fn mark(&self) -> Mark {
        Mark { snap: Snap::take(&self.s.pids), sent: self.n.sent, received: self.n.received }
    }

    /// Warms up, measures, drains; returns both edges of the measured window.
    fn drive(&mut self) -> (Mark, Mark) {
        let after = |secs: f64| self.start + (secs * 1e9) as u64;
        let warm_end = after(self.s.warm);
        let measured_end = after(self.s.warm + self.s.secs);
        let drain_end = after(self.s.warm + self.s.secs + self.s.drain);
        let (mut from, mut to) = (Mark::default(), Mark::default());
        let mut sending = true;
        let mut evs = events(512);
        let mut buf = vec![0u8; 1 << 18];
        loop {
            let t = now();
            if sending && !self.measuring && t >= warm_end {
                self.measuring = true;
                from = self.mark();
            }
            if sending && t >= measured_end {
                to = self.mark();
                sending = false;
                self.measuring = false;
            }
            if !sending && (self.n.received >= self.n.due || t >= drain_end) {
                return (from, to);
            }
            let mut wait = 20_000_000;
            if sending {
                wait = self.send(t).unwrap_or(wait);
            }
            self.flush();
            if sending && self.s.rate == 0.0 {
                self.check_stalls(t);
                if !self.ready.is_empty() {
                    wait = 0
                }
            }
            let n = self.ep.wait(&mut evs, wait);
            let t = now();
            for e in &evs[..n] {
                self.on_event(e, t, &mut buf);
            }
        }
    }

    /// Sends what is due; at a fixed rate returns the nanoseconds until more is.
    fn send(&mut self, t: u64) -> Option<u64> {
        if self.s.rate > 0.0 {
            return Some(self.send_on_schedule(t));
        }
        let mut ready = std::mem::take(&mut self.ready);
        for i in ready.drain(..) {
            self.send_window(i as usize, t);
        }
        // Nothing was added meanwhile: only events and stalls make publishers ready.
        self.ready = ready;
        None
    }

    /// Open loop: the time stamp is the scheduled time, so that queueing counts as latency.
    fn send_on_schedule(&mut self, t: u64) -> u64 {
        // Without a grid it is one of a nanosecond.
        let (rate, tick) = (self.s.rate, self.s.tick.max(1));
        let grid = (t - self.start) / tick * tick;
        let due = (grid as f64 * rate / 1e9) as u64;
        let scheduled = |n: u64| ((n as f64 * 1e9 / rate) as u64).div_ceil(tick) * tick;
        while self.issued < due {
            let pi = self.turn;
            self.turn = (pi + 1) % self.pubs.len();
            let ci = self.pubs[pi].conn;
            if self.s.qos == 0 || self.conns[ci].unacked < UNACKED_MAX {
                self.push(pi, self.start + scheduled(self.issued + 1));
                self.touch(ci);
            }
            self.issued += 1;
        }
        (self.start + scheduled(self.issued + 1)).saturating_sub(now()).max(1000)
    }

    /// Closed loop: fills the publisher's window.
    fn send_window(&mut self, pi: usize, t: u64) {
        let window = self.s.window;
        let p = &mut self.pubs[pi];
        p.queued = false;
        let (ci, fan) = (p.conn, p.fan as i64);
        if p.out <= 0 {
            p.progress = t
        }
        while self.pubs[pi].out < window * fan
            && (self.s.qos == 0 || (self.conns[ci].unacked as i64) < window)
            && self.conns[ci].pending() < PENDING_MAX
        {
            self.push(pi, t);
            self.pubs[pi].out += fan;
            if self.s.write_each {
                self.conns[ci].flush(&self.ep, ci)
            }
        }
        if self.conns[ci].pending() > 0 {
            self.touch(ci);
        }
    }

    /// Appends the publisher's next message to its connection.
    #[inline]
    fn push(&mut self, pi: usize, timestamp: u64) {
        let p = &mut self.pubs[pi];
        let c = &mut self.conns[p.conn];
        let t = &self.templates[p.next_template];
        p.next_template += 1;
        if p.next_template == p.templates.end {
            p.next_template = p.templates.start
        }
        let at = c.out.len();
        c.out.extend_from_slice(&t.bytes);
        if self.s.qos > 0 {
            let id = c.next_id();
            c.out[at + t.id_at..at + t.id_at + 2].copy_from_slice(&id.to_be_bytes());
            c.unacked += 1;
        }
        let d = &mut c.out[at + t.payload_at..at + t.payload_at + 16];
        d[..8].copy_from_slice(&timestamp.to_le_bytes());
        d[8..12].copy_from_slice(&(pi as u32).to_le_bytes());
        d[12..16].copy_from_slice(&p.seq.to_le_bytes());
        p.seq = p.seq.wrapping_add(1);
        self.n.sent += 1;
        self.n.due += p.fan as u64;
    }

    /// Lists a connection for a flush at the end of the turn.
    #[inline]
    fn touch(&mut self, ci: usize) {
        let c = &mut self.conns[ci];
        if !c.dirty {
            c.dirty = true;
            self.dirty.push(ci as u32)
        }
    }

    fn flush(&mut self) {
        for i in self.dirty.drain(..) {
            let c = &mut self.conns[i as usize];
            c.dirty = false;
            c.flush(&self.ep, i as usize);
        }
    }

    #[inline]
    fn make_ready(&mut self, pi: usize) {
        let p = &mut self.pubs[pi];
        if !p.queued {
            p.queued = true;
            self.ready.push(pi as u32)
        }
    }

    fn check_stalls(&mut self, t: u64) {
        if t - self.checked <= 100_000_000 {
            return;
        }
        self.checked = t;
        for pi in 0..self.pubs.len() {
            let p = &mut self.pubs[pi];
            if p.out > 0 && t.saturating_sub(p.progress) > STALL_NS {
                self.n.stalls += 1;
                p.out = 0;
                p.progress = t;
                self.conns[p.conn].unacked = 0;
                self.make_ready(pi);
            }
        }
    }

    /// The publisher behind a connection, if any.
    fn publisher_of(&self, ci: usize) -> Option<usize> {
        ci.checked_sub(self.s.subs)
    }

    fn on_event(&mut self, e: &epoll_event, t: u64, buf: &mut [u8]) {
        let ci = e.u64 as usize;
        if e.events & EPOLLOUT as u32 != 0 {
            self.conns[ci].unblock(&self.ep, ci);
            if let Some(pi) = self.publisher_of(ci) {
                self.make_ready(pi)
            }
        }
        if e.events & !(EPOLLOUT as u32) != 0 {
            self.on_readable(ci, t, buf);
        }
    }

    fn on_readable(&mut self, ci: usize, t: u64, buf: &mut [u8]) {
        let c = &mut self.conns[ci];
        let had = c.unread.len();
        buf[..had].copy_from_slice(&c.unread);
        let k = read_fd(c.fd, &mut buf[had..]);
        if k < 0 && errno() == EAGAIN {
            return;
        }
        c.unread.clear();
        if k <= 0 {
            self.ep.remove(c.fd);
            self.n.closed += 1;
            if self.n.closed > 10 {
                die("the server closed more than 10 connections")
            }
            return;
        }
        if let Some(carrier) = &mut self.conns[ci].carrier {
            let mut plain = buf[..had].to_vec();
            carrier.receive(&buf[had..had + k as usize], &mut plain);
            return self.on_bytes(ci, &plain, t);
        }
        self.on_bytes(ci, &buf[..had + k as usize], t);
    }

    #[inline]
    fn on_bytes(&mut self, ci: usize, bytes: &[u8], t: u64) {
        let mut at = 0;
        while let Some((first, start, end)) = mqtt::next(&bytes[at..]) {
            self.on_packet(ci, first, &bytes[at + start..at + end], t);
            at += end;
        }
        if bytes.len() - at > UNREAD_MAX {
            die("packet too large")
        }
        self.conns[ci].unread.extend_from_slice(&bytes[at..]);
    }

    #[inline]
    fn answer(&mut self, ci: usize, kind: u8, id: u16) {
        self.conns[ci].out.extend_from_slice(&mqtt::ack(kind, id));
        self.touch(ci);
    }

    #[inline]
    fn on_packet(&mut self, ci: usize, first: u8, body: &[u8], t: u64) {
        match first >> 4 {
            mqtt::PUBLISH => {
                let (_, id, payload) = mqtt::split_publish(self.s.version, first, body);
                match first >> 1 & 3 {
                    0 => {}
                    1 => self.answer(ci, mqtt::PUBACK, id),
                    _ => self.answer(ci, mqtt::PUBREC, id),
                }
                self.on_message(payload, t);
            }
            mqtt::PUBREC => self.answer(ci, mqtt::PUBREL, mqtt::packet_id(body)),
            mqtt::PUBREL => self.answer(ci, mqtt::PUBCOMP, mqtt::packet_id(body)),
            mqtt::PUBACK | mqtt::PUBCOMP => {
                self.n.acked += 1;
                let c = &mut self.conns[ci];
                c.unacked = c.unacked.saturating_sub(1);
                if self.s.rate == 0.0
                    && let Some(pi) = self.publisher_of(ci)
                {
                    self.make_ready(pi)
                }
            }
            mqtt::DISCONNECT => eprintln!("mqttload: DISCONNECT from the server: {body:?}"),
            _ => {}
        }
    }

    #[inline]
    fn on_message(&mut self, payload: &[u8], t: u64) {
        let Some((head, _)) = payload.split_first_chunk::<16>() else { return };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *head;
        let sent_at = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let pi = u32::from_le_bytes([i, j, k, l]) as usize;
        let seq = u32::from_le_bytes([m, n, o, p]);
        if pi >= self.pubs.len() {
            return;
        }
        self.n.received += 1;
        if self.one_path {
            let ahead = seq.wrapping_sub(self.expect[pi]);
            if ahead < 1 << 31 {
                self.n.gaps += ahead as u64;
                self.expect[pi] = seq.wrapping_add(1)
            } else {
                self.n.reordered += 1
            }
        }
        if self.measuring {
            self.latency.add(t.saturating_sub(sent_at))
        }
        let p = &mut self.pubs[pi];
        p.out = (p.out - 1).max(0);
        p.progress = t;
        if self.s.rate == 0.0 && p.out < self.s.window * p.fan as i64 {
            self.make_ready(pi)
        }
    }

    fn report(&self, setup: &Setup, from: &Mark, to: &Mark) {
        let rss_end_kib = rss_kib(&self.s.pids);
        for c in &self.conns {
            crate::sys::close_reset(c.fd)
        }
        let (s, n) = (&self.s, &self.n);
        let secs = to.snap.secs_since(&from.snap);
        let (sent, received) = (to.sent - from.sent, to.received - from.received);
        let srv = to.snap.srv - from.snap.srv;
        println!(
            concat!(
                "{{\"scenario\":\"{}\",\"mode\":\"{}\",\"v\":{},\"qos\":{},\"size\":{},",
                "\"pubs\":{},\"subs\":{},\"window\":{},\"rate\":{},\"tick_us\":{},",
                "\"sent\":{},\"received\":{},\"seconds\":{:.3},\"sent_per_s\":{:.0},",
                "\"msgs_per_s\":{:.0},\"lost\":{},\"gaps\":{},\"reordered\":{},",
                "\"stalls\":{},\"closed\":{},\"acked\":{},\"srv_cpu_s\":{:.2},",
                "\"srv_cpu_s_per_M\":{:.3},\"gen_cpu_s\":{:.2},\"other_cpu_s\":{:.2},",
                "\"rss0_kib\":{},\"rss_sub_kib\":{},\"rss_kib\":{},\"setup_s\":{:.3},",
                "\"setup_srv_cpu_s\":{:.2},\"latency\":{}}}"
            ),
            s.name,
            s.mode,
            s.version,
            s.qos,
            s.size,
            s.pubs,
            s.subs,
            s.window,
            s.rate,
            s.tick / 1000,
            sent,
            received,
            secs,
            sent as f64 / secs,
            received as f64 / secs,
            n.due.saturating_sub(n.received),
            n.gaps,
            n.reordered,
            n.stalls,
            n.closed,
            n.acked,
            srv,
            srv * 1e6 / received.max(1) as f64,
            to.snap.own - from.snap.own,
            to.snap.other_since(&from.snap),
            setup.rss0_kib,
            setup.rss_sub_kib,
            rss_end_kib,
            setup.secs,
            setup.srv_cpu,
            self.latency.json()
        );
    }
}
