//! Bad neighbours, to run beside a measured load: subscribers that never read while a publisher
//! floods them, and TCP connections that never say anything. A connection that the server closes
//! is opened again.

use crate::conn::{Client, Conn};
use crate::mqtt;
use crate::opts::Opts;
use crate::road::Road;
use crate::sys::*;
use crate::usage::rss_kib;
use libc::{EINPROGRESS, EPOLLIN};
use std::io::Write;

struct Counts {
    flooded: u64,
    silent_closed: u64,
    hogs_closed: u64,
}

struct Neighbours {
    port: u16,
    version: u8,
    topic: String,
    tag: u32,
    ep: Epoll,
    hogs: Vec<Conn>,
    silent: Vec<i32>,
    n: Counts,
}

pub fn run(o: &Opts) {
    let rate = o.real("rate", 5000.0);
    let secs = o.real("secs", 10.0);
    let pids = o.pids();
    let rss0_kib = rss_kib(&pids);
    let (mut them, mut flooder) = Neighbours::open(o);
    println!("ready");
    std::io::stdout().flush().expect("standard output is open");

    let size = o.count("size", 1024);
    let message = mqtt::publish(them.version, &them.topic, 0, false, size).bytes;
    let mut evs = events(256);
    let mut rss_max_kib = rss0_kib;
    let start = now();
    let end = start + (secs * 1e9) as u64;
    let mut looked = start;
    while now() < end {
        let due = ((now() - start) as f64 * rate / 1e9) as u64;
        // What the server does not read in time is skipped: the flood never waits for it.
        if flooder.pending() < 1 << 20 {
            for _ in them.n.flooded..due {
                flooder.out.extend_from_slice(&message);
            }
        }
        them.n.flooded = due;
        flooder.write();
        let n = them.ep.wait(&mut evs, 1_000_000);
        for e in &evs[..n] {
            them.reopen_silent(e.u64 as usize);
        }
        if now() - looked > 100_000_000 {
            looked = now();
            rss_max_kib = rss_max_kib.max(rss_kib(&pids));
            them.reopen_hogs();
        }
    }
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"neighbours\",\"silent\":{},\"hogs\":{},",
            "\"flooded\":{},\"silent_closed\":{},\"hogs_closed\":{},\"rss0_kib\":{},",
            "\"rss_max_kib\":{}}}"
        ),
        o.text("name", "neighbours"),
        them.silent.len(),
        them.hogs.len(),
        them.n.flooded,
        them.n.silent_closed,
        them.n.hogs_closed,
        rss0_kib,
        rss_max_kib
    );
}

impl Neighbours {
    /// Connects them all, and the publisher that floods.
    fn open(o: &Opts) -> (Neighbours, Conn) {
        let tag = std::process::id() % 10_000;
        let mut them = Neighbours {
            port: o.num("port", 1883) as u16,
            version: o.num("v", 4) as u8,
            topic: format!("flood/{tag}"),
            tag,
            ep: Epoll::new(),
            hogs: Vec::new(),
            silent: Vec::new(),
            n: Counts { flooded: 0, silent_closed: 0, hogs_closed: 0 },
        };
        them.hogs = (0..o.count("hogs", 1)).map(|n| them.open_hog(n)).collect();
        them.silent = (0..o.count("silent", 5000)).map(|n| them.open_silent(n)).collect();
        let id = format!("flood{tag}");
        let (port, version) = (them.port, them.version);
        let flooder = Conn::open(&Client { port, road: &Road::TCP, version, number: 0, id: &id });
        (them, flooder)
    }

    fn open_hog(&self, n: usize) -> Conn {
        let id = format!("hog{}-{n}", self.tag);
        let (port, road, version) = (self.port, &Road::TCP, self.version);
        let c = Client { port, road, version, number: n, id: &id };
        Conn::open_subscribed(&c, std::slice::from_ref(&self.topic), 0, 1)
    }

    fn open_silent(&self, n: usize) -> i32 {
        let fd = tcp_socket(Some(source(n)), true);
        let e = connect_to(fd, self.port);
        if e != 0 && e != EINPROGRESS {
            die("connect")
        }
        self.ep.add(fd, EPOLLIN, n as u64);
        fd
    }

    fn reopen_silent(&mut self, n: usize) {
        self.ep.remove(self.silent[n]);
        close_fd(self.silent[n]);
        self.silent[n] = self.open_silent(n);
        self.n.silent_closed += 1;
    }

    fn reopen_hogs(&mut self) {
        for n in 0..self.hogs.len() {
            if is_closed(self.hogs[n].fd) {
                close_fd(self.hogs[n].fd);
                self.hogs[n] = self.open_hog(n);
                self.n.hogs_closed += 1;
            }
        }
    }
}
