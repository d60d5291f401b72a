//! The ceiling for MQTT-SN: a relay that does no more than the datagrams need. It knows no client,
//! gives every topic name one id, and sends a PUBLISH on to whoever subscribed to its name. QoS 1
//! is acknowledged without any state. It exists to be measured, never to be used.

use crate::batch::Batch;
use crate::opts::Opts;
use crate::sn::{self, CONNACK, CONNECT, PUBACK, PUBLISH, REGACK, REGISTER, SUBACK, SUBSCRIBE};
use crate::sys::*;
use libc::MSG_WAITFORONE;
use std::collections::HashMap;

const BATCH: usize = 64;
const DATAGRAM: usize = 2048;

#[derive(Default)]
struct Relay {
    ids: HashMap<Vec<u8>, u16>,
    /// By topic id.
    subscribers: Vec<Vec<(u32, u16)>>,
}

pub fn run(o: &Opts) {
    let fd = udp_socket(o.num("port", 1998) as u16, 0);
    let until = now() + (o.real("life", 600.0) * 1e9) as u64;
    set_read_timeout(fd, 200);
    let mut relay = Relay::default();
    let (mut rx, mut tx) = (Batch::new(BATCH, DATAGRAM, true), Batch::new(BATCH, DATAGRAM, true));
    while now() < until {
        rx.reset_names();
        let n = rx.receive(fd, MSG_WAITFORONE);
        let mut filled = 0;
        for i in 0..n {
            let from = rx.name(i);
            let datagram = &rx.bufs[i][..rx.received(i)];
            relay.on_datagram(from, datagram, |to, bytes| {
                if filled == BATCH {
                    flush(&mut tx, fd, &mut filled);
                }
                tx.bufs[filled][..bytes.len()].copy_from_slice(bytes);
                tx.set_len(filled, bytes.len());
                tx.set_name(filled, to);
                filled += 1;
            });
        }
        flush(&mut tx, fd, &mut filled);
    }
}

fn flush(tx: &mut Batch, fd: i32, filled: &mut usize) {
    let mut at = 0;
    while at < *filled {
        let sent = tx.send(fd, at, *filled);
        if sent == 0 {
            break;
        }
        at += sent
    }
    *filled = 0;
}

impl Relay {
    fn id(&mut self, topic: &[u8]) -> u16 {
        if let Some(id) = self.ids.get(topic) {
            return *id;
        }
        self.subscribers.push(Vec::new());
        let id = self.subscribers.len() as u16;
        self.ids.insert(topic.to_vec(), id);
        id
    }

    fn on_datagram(
        &mut self,
        from: (u32, u16),
        datagram: &[u8],
        mut send: impl FnMut((u32, u16), &[u8]),
    ) {
        match datagram {
            [_, CONNECT, ..] => send(from, &sn::packet(CONNACK, &[&[0]])),
            [_, REGISTER, _, _, m1, m2, topic @ ..] => {
                let id = self.id(topic).to_be_bytes();
                send(from, &sn::packet(REGACK, &[&id, &[*m1, *m2, 0]]));
            }
            [_, SUBSCRIBE, flags, m1, m2, topic @ ..] => {
                let id = self.id(topic);
                self.subscribers[usize::from(id) - 1].push(from);
                let suback: [&[u8]; 3] = [&[*flags], &id.to_be_bytes(), &[*m1, *m2, 0]];
                send(from, &sn::packet(SUBACK, &suback));
            }
            [_, PUBLISH, flags, t1, t2, m1, m2, ..] => {
                if flags & 0x60 == 0x20 {
                    send(from, &sn::packet(PUBACK, &[&[*t1, *t2, *m1, *m2, 0]]));
                }
                let id = usize::from(u16::from_be_bytes([*t1, *t2]));
                for to in self.subscribers.get(id.wrapping_sub(1)).into_iter().flatten() {
                    send(*to, datagram);
                }
            }
            _ => {}
        }
    }
}
