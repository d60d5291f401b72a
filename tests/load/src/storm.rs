//! Connect storm, idle connections (server memory for each), and connect/disconnect churn.

use crate::hist::Hist;
use crate::mqtt;
use crate::opts::Opts;
use crate::road::{Carrier, Road};
use crate::sys::*;
use crate::usage::{Snap, rss_kib};
use libc::{EAGAIN, EINPROGRESS, EPOLLIN, EPOLLOUT, epoll_event};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Free,
    Connecting,
    Shaking,
    AwaitConnack,
    AwaitSuback,
    Done,
}

struct Client {
    fd: i32,
    state: State,
    unread: Vec<u8>,
    started: u64,
    carrier: Option<Box<Carrier>>,
}

impl Client {
    /// Writes bytes of MQTT; so few that the socket takes them at once.
    fn write(&mut self, bytes: &[u8]) {
        match &mut self.carrier {
            None => {
                write_fd(self.fd, bytes);
            }
            Some(carrier) => {
                carrier.send(bytes);
                carrier.write(self.fd);
            }
        }
    }
}

struct Storm {
    port: u16,
    road: Road,
    version: u8,
    parallel: usize,
    /// Disconnect as soon as connected.
    churn: bool,
    subscribe: bool,
    total: usize,
    tag: u32,
    ep: Epoll,
    clients: Vec<Client>,
    free: Vec<usize>,
    started: usize,
    done: usize,
    failed: usize,
    active: usize,
    latency: Hist,
}

pub fn run(o: &Opts) {
    let conns = o.count("conns", 19_000);
    let parallel = o.count("parallel", 100);
    let cycles = o.count("churn", 0);
    let pids = o.pids();
    let slots = if cycles > 0 { parallel } else { conns };
    let client =
        |_| Client { fd: -1, state: State::Free, unread: Vec::new(), started: 0, carrier: None };
    let mut storm = Storm {
        port: o.num("port", 1883) as u16,
        road: Road::read(o),
        version: o.num("v", 4) as u8,
        parallel,
        churn: cycles > 0,
        subscribe: o.flag("sub"),
        total: if cycles > 0 { cycles } else { conns },
        tag: std::process::id() % 10_000,
        ep: Epoll::new(),
        clients: (0..slots).map(client).collect(),
        free: (0..slots).rev().collect(),
        started: 0,
        done: 0,
        failed: 0,
        active: 0,
        latency: Hist::new(),
    };
    let rss0_kib = rss_kib(&pids);
    let start = Snap::take(&pids);
    storm.connect_all(start.t + (o.real("limit", 120.0) * 1e9) as u64);
    let connected = Snap::take(&pids);
    if !storm.churn {
        // The server may still be freeing what the handshakes needed.
        std::thread::sleep(Duration::from_millis(500));
    }
    let rss1_kib = rss_kib(&pids);
    let idle_from = Snap::take(&pids);
    let hold = o.real("hold", 5.0);
    if !storm.churn && hold > 0.0 {
        std::thread::sleep(Duration::from_secs_f64(hold));
    }
    let idle_to = Snap::take(&pids);
    storm.close_all();

    let secs = connected.secs_since(&start);
    let srv = connected.srv - start.srv;
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"{}\",\"v\":{},\"conns\":{},\"failed\":{},",
            "\"parallel\":{},\"seconds\":{:.3},\"conns_per_s\":{:.0},\"srv_cpu_s\":{:.2},",
            "\"srv_cpu_ms_per_1k_conns\":{:.2},\"gen_cpu_s\":{:.2},\"other_cpu_s\":{:.2},",
            "\"rss0_kib\":{},\"rss_kib\":{},\"bytes_per_conn\":{:.0},\"idle_s\":{:.2},",
            "\"idle_srv_cpu_s\":{:.2},\"latency\":{}}}"
        ),
        o.text("name", "storm"),
        if storm.churn { "churn" } else { "storm" },
        storm.version,
        storm.done,
        storm.failed,
        parallel,
        secs,
        storm.done as f64 / secs,
        srv,
        srv * 1e6 / storm.done.max(1) as f64,
        connected.own - start.own,
        connected.other_since(&start),
        rss0_kib,
        rss1_kib,
        rss1_kib.saturating_sub(rss0_kib) as f64 * 1024.0 / storm.done.max(1) as f64,
        idle_to.secs_since(&idle_from),
        idle_to.srv - idle_from.srv,
        storm.latency.json()
    );
}

impl Storm {
    fn connect_all(&mut self, limit: u64) {
        let mut evs = events(256);
        while self.done + self.failed < self.total && now() < limit {
            while self.active < self.parallel && self.started < self.total && self.start_one() {}
            let n = self.ep.wait(&mut evs, 50_000_000);
            for e in &evs[..n] {
                self.on_event(e);
            }
        }
    }

    /// Begins one connection; false when no slot is free.
    fn start_one(&mut self) -> bool {
        let Some(i) = self.free.pop() else { return false };
        let fd = tcp_socket(Some(source(self.started % 60_000)), true);
        self.started += 1;
        let e = connect_to(fd, self.port);
        if e != 0 && e != EINPROGRESS {
            close_fd(fd);
            self.failed += 1;
            self.free.push(i);
            return true;
        }
        self.clients[i] = Client {
            fd,
            state: State::Connecting,
            unread: Vec::new(),
            started: now(),
            carrier: self.road.carrier(),
        };
        self.ep.add(fd, EPOLLOUT, i as u64);
        self.active += 1;
        true
    }

    fn on_event(&mut self, e: &epoll_event) {
        let i = e.u64 as usize;
        let c = &mut self.clients[i];
        match c.state {
            State::Free => {}
            State::Connecting => {
                self.ep.modify(c.fd, EPOLLIN, i as u64);
                match &mut c.carrier {
                    None => self.say_connect(i),
                    Some(carrier) => {
                        c.state = State::Shaking;
                        carrier.write(c.fd);
                    }
                }
            }
            _ => self.on_readable(i),
        }
    }

    fn say_connect(&mut self, i: usize) {
        let c = &mut self.clients[i];
        c.state = State::AwaitConnack;
        let id = format!("c{}-{i}", self.tag);
        c.write(&mqtt::connect(self.version, &id, 600));
    }

    fn on_readable(&mut self, i: usize) {
        let c = &mut self.clients[i];
        let mut tmp = [0u8; 2048];
        let n = read_fd(c.fd, &mut tmp);
        if n < 0 && errno() == EAGAIN {
            return;
        }
        if n <= 0 {
            self.ep.remove(c.fd);
            close_fd(c.fd);
            if c.state == State::Done {
                self.done -= 1
            } else {
                self.active -= 1
            }
            self.failed += 1;
            c.state = State::Free;
            return;
        }
        let mut bytes = std::mem::take(&mut c.unread);
        match &mut c.carrier {
            None => bytes.extend_from_slice(&tmp[..n as usize]),
            Some(carrier) => {
                carrier.receive(&tmp[..n as usize], &mut bytes);
                carrier.write(c.fd);
                if c.state == State::Shaking && carrier.is_open() {
                    self.say_connect(i);
                }
            }
        }
        while let Some((first, start, end)) = mqtt::next(&bytes) {
            let accepted = bytes.get(start + 1) == Some(&0);
            bytes.drain(..end);
            if self.on_packet(i, first, accepted) {
                return;
            }
        }
        // Most connections end here with nothing left; an empty Vec costs nothing to keep.
        if !bytes.is_empty() {
            self.clients[i].unread = bytes
        }
    }

    /// Returns true when the connection is over.
    fn on_packet(&mut self, i: usize, first: u8, accepted: bool) -> bool {
        let c = &mut self.clients[i];
        let ready = match (c.state, first >> 4) {
            (State::AwaitConnack, mqtt::CONNACK) if accepted && self.subscribe => {
                c.state = State::AwaitSuback;
                let filter = format!("idle/{}/{i}", self.tag);
                c.write(&mqtt::subscribe(self.version, 1, &[filter], 0));
                false
            }
            (State::AwaitConnack, mqtt::CONNACK) => accepted,
            (State::AwaitSuback, mqtt::SUBACK) => true,
            _ => false,
        };
        if !ready {
            return false;
        }
        c.state = State::Done;
        self.latency.add(now() - c.started);
        self.done += 1;
        self.active -= 1;
        if self.churn {
            c.write(&[mqtt::DISCONNECT << 4, 0]);
            self.ep.remove(c.fd);
            close_fd(c.fd);
            c.state = State::Free;
            self.free.push(i);
        }
        self.churn
    }

    fn close_all(&self) {
        for c in self.clients.iter().filter(|c| c.state != State::Free) {
            close_reset(c.fd)
        }
    }
}
