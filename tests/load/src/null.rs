//! The ceiling: a broker that does no more than the packets need. One thread, exact-topic or
//! trailing '#' routing; one send per ready peer and loop turn, or, with --per-message, one send
//! for every message. QoS 1 and 2 are answered without any state: packet ids pass through as they
//! came, nothing is kept or sent again. It exists to be measured, never to be used.

use crate::mqtt;
use crate::opts::Opts;
use crate::sys::*;
use libc::{EAGAIN, EPOLLIN, EPOLLOUT};
use std::collections::HashMap;

const LISTENER: u64 = u64::MAX;

#[derive(Default)]
struct Peer {
    fd: i32,
    version: u8,
    unread: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    dirty: bool,
    blocked: bool,
    live: bool,
}

impl Peer {
    fn flush(&mut self, ep: &Epoll, number: usize) {
        while self.live && !self.blocked && self.sent < self.out.len() {
            let n = write_fd(self.fd, &self.out[self.sent..]);
            if n >= 0 {
                self.sent += n as usize;
            } else if errno() == EAGAIN {
                self.blocked = true;
                ep.modify(self.fd, EPOLLIN | EPOLLOUT, number as u64);
                return;
            } else {
                self.sent = self.out.len();
            }
        }
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0
        }
    }
}

struct Relay {
    ep: Epoll,
    listener: i32,
    per_message: bool,
    peers: Vec<Peer>,
    free: Vec<usize>,
    exact: HashMap<Vec<u8>, Vec<u32>>,
    /// What stands before a trailing '#', and who asked.
    prefixes: Vec<(Vec<u8>, u32)>,
    dirty: Vec<u32>,
}

pub fn run(o: &Opts) {
    let listener = listen_tcp(o.num("port", 1999) as u16);
    let ep = Epoll::new();
    ep.add(listener, EPOLLIN, LISTENER);
    let mut relay = Relay {
        ep,
        listener,
        per_message: o.flag("per-message"),
        peers: Vec::new(),
        free: Vec::new(),
        exact: HashMap::new(),
        prefixes: Vec::new(),
        dirty: Vec::new(),
    };
    let until = now() + (o.real("life", 600.0) * 1e9) as u64;
    let mut evs = events(512);
    let mut buf = vec![0u8; 1 << 18];
    while now() < until {
        let n = relay.ep.wait(&mut evs, 200_000_000);
        for e in &evs[..n] {
            if e.u64 == LISTENER {
                relay.accept();
                continue;
            }
            let i = e.u64 as usize;
            if e.events & EPOLLOUT as u32 != 0 {
                let p = &mut relay.peers[i];
                p.blocked = false;
                relay.ep.modify(p.fd, EPOLLIN, e.u64);
                p.flush(&relay.ep, i);
            }
            if e.events & !(EPOLLOUT as u32) != 0 {
                relay.on_readable(i, &mut buf);
            }
        }
        for d in relay.dirty.drain(..) {
            let p = &mut relay.peers[d as usize];
            p.dirty = false;
            p.flush(&relay.ep, d as usize)
        }
    }
}

impl Relay {
    fn accept(&mut self) {
        while let Some(fd) = accept_tcp(self.listener, true) {
            let i = self.free.pop().unwrap_or_else(|| {
                self.peers.push(Peer::default());
                self.peers.len() - 1
            });
            self.peers[i] = Peer { fd, version: 4, live: true, ..Peer::default() };
            self.ep.add(fd, EPOLLIN, i as u64);
        }
    }

    fn on_readable(&mut self, i: usize, buf: &mut [u8]) {
        let p = &mut self.peers[i];
        let had = p.unread.len();
        buf[..had].copy_from_slice(&p.unread);
        let k = read_fd(p.fd, &mut buf[had..]);
        if k < 0 && errno() == EAGAIN {
            return;
        }
        p.unread.clear();
        if k <= 0 {
            self.close(i);
            return;
        }
        let len = had + k as usize;
        let mut at = 0;
        while let Some((first, start, end)) = mqtt::next(&buf[at..len]) {
            self.on_packet(i, first, &buf[at..at + end], start);
            at += end;
        }
        self.peers[i].unread.extend_from_slice(&buf[at..len])
    }

    fn close(&mut self, i: usize) {
        let fd = self.peers[i].fd;
        self.ep.remove(fd);
        close_fd(fd);
        self.peers[i].live = false;
        for subscribers in self.exact.values_mut() {
            subscribers.retain(|x| *x != i as u32)
        }
        self.exact.retain(|_, subscribers| !subscribers.is_empty());
        self.prefixes.retain(|x| x.1 != i as u32);
        self.free.push(i);
    }

    #[inline]
    fn answer(&mut self, i: usize, bytes: &[u8]) {
        put(&mut self.peers[i], &mut self.dirty, i as u32, bytes)
    }

    #[inline]
    fn on_packet(&mut self, i: usize, first: u8, packet: &[u8], start: usize) {
        let body = &packet[start..];
        match first >> 4 {
            mqtt::PUBLISH => {
                let (topic, id, _) = mqtt::split_publish(self.peers[i].version, first, body);
                if id != 0 {
                    let kind = if first & 2 != 0 { mqtt::PUBACK } else { mqtt::PUBREC };
                    self.answer(i, &mqtt::ack(kind, id));
                }
                self.relay(topic, packet)
            }
            // PUBREC is answered with PUBREL, PUBREL with PUBCOMP.
            kind @ (mqtt::PUBREC | mqtt::PUBREL) => {
                self.answer(i, &mqtt::ack(kind + 1, mqtt::packet_id(body)))
            }
            1 => {
                let version = body[6];
                self.peers[i].version = version;
                self.answer(i, if version == 5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] });
            }
            mqtt::SUBSCRIBE => self.subscribe(i, body),
            _ => {}
        }
    }

    #[inline]
    fn relay(&mut self, topic: &[u8], packet: &[u8]) {
        let exact = self.exact.get(topic).map_or(&[][..], |v| v);
        let by_prefix = self.prefixes.iter().filter(|x| topic.starts_with(&x.0)).map(|x| &x.1);
        for d in exact.iter().chain(by_prefix) {
            let p = &mut self.peers[*d as usize];
            if self.per_message {
                p.out.extend_from_slice(packet);
                p.flush(&self.ep, *d as usize)
            } else {
                put(p, &mut self.dirty, *d, packet)
            }
        }
    }

    fn subscribe(&mut self, i: usize, body: &[u8]) {
        let v5 = self.peers[i].version == 5;
        let mut codes = body[..2].to_vec();
        if v5 {
            codes.push(0)
        }
        let mut at = codes.len();
        while at + 2 < body.len() {
            let len = u16::from_be_bytes([body[at], body[at + 1]]) as usize;
            let filter = &body[at + 2..at + 2 + len];
            match filter.strip_suffix(b"#") {
                Some(prefix) => self.prefixes.push((prefix.to_vec(), i as u32)),
                None => self.exact.entry(filter.to_vec()).or_default().push(i as u32),
            }
            codes.push(0);
            at += 3 + len;
        }
        let mut head = vec![mqtt::SUBACK << 4];
        mqtt::varint(&mut head, codes.len());
        head.extend_from_slice(&codes);
        self.answer(i, &head);
    }
}

#[inline]
fn put(p: &mut Peer, dirty: &mut Vec<u32>, number: u32, bytes: &[u8]) {
    p.out.extend_from_slice(bytes);
    if !p.dirty {
        p.dirty = true;
        dirty.push(number)
    }
}
