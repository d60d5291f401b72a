//! CoAP requests over several sockets, a window outstanding on each; answers are matched by token,
//! which is the send time.

use crate::batch::Batch;
use crate::hist::Hist;
use crate::opts::Opts;
use crate::sys::*;
use crate::usage::{Snap, rss_kib};
use libc::{EPOLLIN, MSG_DONTWAIT};

const STALL_NS: u64 = 1_000_000_000;

struct Socket {
    fd: i32,
    out: usize,
    progress: u64,
}

struct Requests {
    window: usize,
    rate: f64,
    ep: Epoll,
    sockets: Vec<Socket>,
    /// Sockets that may have room in their window.
    ready: Vec<usize>,
    tx: Batch,
    rx: Batch,
    message_id: u16,
    start: u64,
    issued: u64,
    sent: u64,
    received: u64,
    bad: u64,
    lost: u64,
    measuring: bool,
    latency: Hist,
}

pub fn run(o: &Opts) {
    let port = o.num("port", 5683) as u16;
    let (confirmable, put) = (o.flag("con"), o.flag("put"));
    let secs = o.real("secs", 5.0);
    let pids = o.pids();
    let request = request(confirmable, put, &o.text("path", "time"), o.count("size", 16));
    let mut r = Requests::open(o, port, &request);
    let rss0_kib = rss_kib(&pids);
    let warm_end = r.start + 500_000_000;
    let end = warm_end + (secs * 1e9) as u64;
    let mut from = (Snap::default(), 0, 0);
    let mut evs = events(256);
    loop {
        let t = now();
        if !r.measuring && t >= warm_end {
            r.measuring = true;
            from = (Snap::take(&pids), r.sent, r.received);
        }
        if t >= end {
            break;
        }
        let wait = r.send(t);
        let n = r.ep.wait(&mut evs, wait);
        let t = now();
        for e in &evs[..n] {
            r.on_readable(e.u64 as usize, t);
        }
    }
    let (start, sent, received) = (from.0, r.sent - from.1, r.received - from.2);
    let stop = Snap::take(&pids);
    let secs = stop.secs_since(&start);
    let srv = stop.srv - start.srv;
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"coap\",\"con\":{},\"put\":{},\"socks\":{},",
            "\"window\":{},\"rate\":{},\"sent\":{},\"received\":{},\"bad\":{},\"lost\":{},",
            "\"seconds\":{:.2},\"msgs_per_s\":{:.0},\"srv_cpu_s\":{:.2},\"srv_cpu_s_per_M\":{:.3},",
            "\"gen_cpu_s\":{:.2},\"other_cpu_s\":{:.2},\"rss0_kib\":{},\"rss_kib\":{},",
            "\"latency\":{}}}"
        ),
        o.text("name", "coap"),
        confirmable,
        put,
        r.sockets.len(),
        r.window,
        r.rate,
        sent,
        received,
        r.bad,
        r.lost,
        secs,
        received as f64 / secs,
        srv,
        srv * 1e6 / received.max(1) as f64,
        stop.own - start.own,
        stop.other_since(&start),
        rss0_kib,
        rss_kib(&pids),
        r.latency.json()
    );
}

/// A GET or PUT with an 8-byte token still to be filled in.
fn request(confirmable: bool, put: bool, path: &str, size: usize) -> Vec<u8> {
    const URI_PATH: u8 = 11;
    let mut r = vec![0x48 | if confirmable { 0 } else { 0x10 }, if put { 3 } else { 1 }, 0, 0];
    r.extend_from_slice(&[0; 8]);
    let mut last = 0u8;
    for segment in path.split('/') {
        assert!(segment.len() < 13, "path segments above 12 bytes are not supported");
        r.push((URI_PATH - last) << 4 | segment.len() as u8);
        last = URI_PATH;
        r.extend_from_slice(segment.as_bytes());
    }
    if put {
        r.push(0xff);
        r.resize(r.len() + size, b'x');
    }
    r
}

impl Requests {
    fn open(o: &Opts, port: u16, request: &[u8]) -> Requests {
        let n = o.count("socks", 50);
        let window = o.count("window", 8).max(1);
        let ep = Epoll::new();
        let open = |i: usize| {
            let fd = udp_socket(0, port);
            set_nonblocking(fd);
            ep.add(fd, EPOLLIN, i as u64);
            Socket { fd, out: 0, progress: now() }
        };
        let sockets = (0..n).map(open).collect();
        let mut tx = Batch::new(window, request.len(), false);
        for b in &mut tx.bufs {
            b.copy_from_slice(request)
        }
        Requests {
            window,
            rate: o.real("rate", 0.0),
            ep,
            sockets,
            ready: (0..n).collect(),
            tx,
            rx: Batch::new(64, 2048, false),
            message_id: (now() & 0xffff) as u16,
            start: now(),
            issued: 0,
            sent: 0,
            received: 0,
            bad: 0,
            lost: 0,
            measuring: false,
            latency: Hist::new(),
        }
    }

    fn stamp(&mut self, i: usize, t: u64) {
        self.message_id = self.message_id.wrapping_add(1);
        let b = &mut self.tx.bufs[i];
        b[2..4].copy_from_slice(&self.message_id.to_be_bytes());
        b[4..12].copy_from_slice(&t.to_le_bytes());
    }

    /// Sends what is due; returns how long to wait, in nanoseconds.
    fn send(&mut self, t: u64) -> u64 {
        if self.rate > 0.0 { self.send_on_schedule(t) } else { self.send_windows(t) }
    }

    fn send_on_schedule(&mut self, t: u64) -> u64 {
        let due = ((t - self.start) as f64 * self.rate / 1e9) as u64;
        let (start, rate) = (self.start, self.rate);
        let scheduled = |n: u64| start + (n as f64 * 1e9 / rate) as u64;
        while self.issued < due {
            self.stamp(0, scheduled(self.issued + 1));
            let i = (self.issued % self.sockets.len() as u64) as usize;
            write_fd(self.sockets[i].fd, &self.tx.bufs[0]);
            self.sent += 1;
            self.issued += 1;
        }
        scheduled(self.issued + 1).saturating_sub(now()).max(1000)
    }

    fn send_windows(&mut self, t: u64) -> u64 {
        let mut ready = std::mem::take(&mut self.ready);
        for i in ready.drain(..) {
            let room = self.window.saturating_sub(self.sockets[i].out);
            for k in 0..room {
                self.stamp(k, t);
            }
            let s = &mut self.sockets[i];
            let n = match room {
                0 => 0,
                1 => (write_fd(s.fd, &self.tx.bufs[0]) > 0) as usize,
                _ => self.tx.send(s.fd, 0, room),
            };
            self.sent += n as u64;
            s.out += n;
        }
        for (i, s) in self.sockets.iter_mut().enumerate() {
            if s.out > 0 && t.saturating_sub(s.progress) > STALL_NS {
                self.lost += s.out as u64;
                s.out = 0;
                s.progress = t;
                ready.push(i)
            }
        }
        self.ready = ready;
        20_000_000
    }

    fn on_readable(&mut self, i: usize, t: u64) {
        let s = &mut self.sockets[i];
        for j in 0..self.rx.receive(s.fd, MSG_DONTWAIT) {
            let b = &self.rx.bufs[j];
            let len = self.rx.received(j);
            let is_empty_ack = len < 12 && b[1] == 0;
            if len < 12 || b[0] & 15 != 8 || b[1] >> 5 != 2 {
                self.bad += 1;
                if self.bad == 1 {
                    eprintln!("mqttload: first odd answer: {:?}", &b[..len.min(24)]);
                }
                if !is_empty_ack {
                    s.out = s.out.saturating_sub(1);
                }
                continue;
            }
            self.received += 1;
            s.out = s.out.saturating_sub(1);
            if self.measuring {
                let mut token = [0; 8];
                token.copy_from_slice(&b[4..12]);
                self.latency.add(t.saturating_sub(u64::from_le_bytes(token)));
            }
        }
        s.progress = t;
        if self.rate == 0.0 {
            self.ready.push(i)
        }
    }
}
