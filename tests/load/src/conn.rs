//! One client connection: blocking set-up, then non-blocking traffic with a write buffer.

use crate::mqtt;
use crate::road::{Carrier, Road};
use crate::sys::*;
use libc::{EAGAIN, EPOLLIN, EPOLLOUT};

pub struct Conn {
    pub fd: i32,
    /// The start of a packet whose rest has not come yet.
    pub unread: Vec<u8>,
    /// Bytes to send, from `sent` on.
    pub out: Vec<u8>,
    sent: usize,
    /// TLS and WebSocket, where the road has them.
    pub carrier: Option<Box<Carrier>>,
    /// The socket is full; epoll will tell.
    pub blocked: bool,
    /// Listed for a flush at the end of the turn.
    pub dirty: bool,
    id: u16,
    /// Own QoS 1 and 2 messages that await their acknowledgement.
    pub unacked: u32,
}

type Through<'c> = &'c mut Option<Box<Carrier>>;

/// Writes bytes of MQTT to a blocking socket.
fn write_through(fd: i32, carrier: Through, bytes: &[u8]) {
    let Some(carrier) = carrier else {
        write_fd(fd, bytes);
        return;
    };
    carrier.send(bytes);
    write_fd(fd, carrier.wire());
    carrier.wire().clear();
}

fn read_packet(fd: i32, carrier: Through, buf: &mut Vec<u8>, what: &str) -> (u8, Vec<u8>) {
    let mut tmp = [0u8; 4096];
    loop {
        if let Some((first, start, end)) = mqtt::next(buf) {
            let body = buf[start..end].to_vec();
            buf.drain(..end);
            return (first, body);
        }
        let n = read_fd(fd, &mut tmp);
        if n <= 0 {
            die(&format!("no answer to {what} (read {n})"))
        }
        let bytes = &tmp[..n as usize];
        match carrier {
            Some(carrier) => carrier.receive(bytes, buf),
            None => buf.extend_from_slice(bytes),
        }
    }
}

/// Who connects: the server's port, the protocol version, a running number that chooses the
/// source address, and the client id.
pub struct Client<'a> {
    pub port: u16,
    pub road: &'a Road,
    pub version: u8,
    pub number: usize,
    pub id: &'a str,
}

impl Conn {
    /// Connects; blocking, with a 20 s limit on each answer.
    pub fn open(c: &Client) -> Conn {
        Conn::open_subscribed(c, &[], 0, 1)
    }

    /// Connects and subscribes, `per_packet` filters in each SUBSCRIBE.
    pub fn open_subscribed(c: &Client, filters: &[String], qos: u8, per_packet: usize) -> Conn {
        let fd = tcp_socket(Some(source(c.number)), false);
        set_read_timeout(fd, 20_000);
        if connect_to(fd, c.port) != 0 {
            die("connect")
        }
        let mut carrier = c.road.carrier();
        if let Some(carrier) = &mut carrier {
            carrier.shake(fd);
        }
        write_through(fd, &mut carrier, &mqtt::connect(c.version, c.id, 300));
        let mut unread = Vec::new();
        let (first, body) = read_packet(fd, &mut carrier, &mut unread, "CONNECT");
        if first != mqtt::CONNACK << 4 || body.get(1) != Some(&0) {
            die(&format!("CONNECT refused: {first:#x} {body:?}"))
        }
        let mut id = 0u16;
        for chunk in filters.chunks(per_packet.max(1)) {
            id = id % 65_000 + 1;
            write_through(fd, &mut carrier, &mqtt::subscribe(c.version, id, chunk, qos));
            let (first, body) = read_packet(fd, &mut carrier, &mut unread, "SUBSCRIBE");
            if first != mqtt::SUBACK << 4 || body.iter().skip(2).any(|code| *code >= 0x80) {
                die(&format!("SUBSCRIBE refused: {first:#x} {:?}", &body[..body.len().min(16)]))
            }
        }
        set_nonblocking(fd);
        Conn {
            fd,
            unread,
            out: Vec::new(),
            sent: 0,
            carrier,
            blocked: false,
            dirty: false,
            id: 0,
            unacked: 0,
        }
    }

    /// Bytes that wait to be sent.
    pub fn pending(&self) -> usize {
        let sealed = self.carrier.as_ref().map_or(0, |carrier| carrier.pending());
        self.out.len() - self.sent + sealed
    }

    /// The packet id for a new QoS 1 or 2 message.
    pub fn next_id(&mut self) -> u16 {
        self.id = if self.id == 65_535 { 1 } else { self.id + 1 };
        self.id
    }

    /// Writes what the socket takes; `number` is this connection's in `ep`.
    pub fn flush(&mut self, ep: &Epoll, number: usize) {
        if !self.blocked {
            self.write();
            if self.blocked {
                ep.modify(self.fd, EPOLLIN | EPOLLOUT, number as u64);
            }
        }
    }

    /// Writes what the socket takes, and sets `blocked` if that is not all.
    pub fn write(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            if !self.out.is_empty() {
                carrier.send(&self.out);
                self.out.clear();
            }
            self.blocked = !carrier.write(self.fd);
            return;
        }
        while self.sent < self.out.len() {
            let n = write_fd(self.fd, &self.out[self.sent..]);
            if n >= 0 {
                self.sent += n as usize;
            } else if errno() == EAGAIN {
                self.blocked = true;
                break;
            } else {
                self.sent = self.out.len();
            }
        }
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > 1 << 20 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// The socket takes bytes again.
    pub fn unblock(&mut self, ep: &Epoll, number: usize) {
        self.blocked = false;
        ep.modify(self.fd, EPOLLIN, number as u64);
        self.flush(ep, number);
    }
}
