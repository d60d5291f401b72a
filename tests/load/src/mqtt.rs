//! Just enough MQTT 3.1.1 and 5 to load a broker: packet builders and a frame splitter.

use crate::sys::die;

pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const SUBACK: u8 = 9;
pub const DISCONNECT: u8 = 14;

/// Appends a Variable Byte Integer.
pub fn varint(out: &mut Vec<u8>, mut n: usize) {
    loop {
        let b = (n & 127) as u8;
        n >>= 7;
        out.push(if n > 0 { b | 128 } else { b });
        if n == 0 {
            return;
        }
    }
}

fn string(out: &mut Vec<u8>, s: &[u8]) {
    out.extend_from_slice(&(s.len() as u16).to_be_bytes());
    out.extend_from_slice(s);
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut o = vec![first];
    varint(&mut o, body.len());
    o.extend_from_slice(body);
    o
}

/// A CONNECT with a clean start.
pub fn connect(version: u8, id: &str, keep_alive_s: u16) -> Vec<u8> {
    let mut b = Vec::new();
    string(&mut b, b"MQTT");
    b.push(version);
    b.push(2);
    b.extend_from_slice(&keep_alive_s.to_be_bytes());
    if version == 5 {
        b.push(0)
    }
    string(&mut b, id.as_bytes());
    frame(0x10, &b)
}

pub fn subscribe(version: u8, id: u16, filters: &[String], qos: u8) -> Vec<u8> {
    let mut b = id.to_be_bytes().to_vec();
    if version == 5 {
        b.push(0)
    }
    for f in filters {
        string(&mut b, f.as_bytes());
        b.push(qos);
    }
    frame(0x82, &b)
}

/// A PUBLISH ready to be copied: the packet and the offsets of its packet id and payload.
#[derive(Clone)]
pub struct Template {
    pub bytes: Vec<u8>,
    pub id_at: usize,
    pub payload_at: usize,
}

pub fn publish(version: u8, topic: &str, qos: u8, retain: bool, size: usize) -> Template {
    let mut b = Vec::new();
    string(&mut b, topic.as_bytes());
    let id_at = b.len();
    if qos > 0 {
        b.extend_from_slice(&[0, 0])
    }
    if version == 5 {
        b.push(0)
    }
    let payload_at = b.len();
    b.resize(payload_at + size, b'x');
    let bytes = frame(0x30 | qos << 1 | retain as u8, &b);
    let head = bytes.len() - b.len();
    Template { bytes, id_at: id_at + head, payload_at: payload_at + head }
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP without reason code.
pub fn ack(kind: u8, id: u16) -> [u8; 4] {
    let p = id.to_be_bytes();
    // PUBREL carries the reserved flags 0b0010.
    [if kind == PUBREL { 0x62 } else { kind << 4 }, 2, p[0], p[1]]
}

/// The next whole packet in `b`: (first byte, body start, packet end).
#[inline]
pub fn next(b: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut n, mut i, mut shift) = (0usize, 1usize, 0);
    loop {
        let c = *b.get(i)?;
        n |= ((c & 127) as usize) << shift;
        i += 1;
        if c < 128 {
            break;
        }
        shift += 7;
        if shift > 21 {
            die("malformed remaining length from the server")
        }
    }
    if b.len() < i + n { None } else { Some((b[0], i, i + n)) }
}

/// The packet id that opens an acknowledgement's body.
#[inline]
pub fn packet_id(body: &[u8]) -> u16 {
    u16::from_be_bytes([body[0], body[1]])
}

/// Splits a PUBLISH body: (topic, packet id, payload).
#[inline]
pub fn split_publish(version: u8, first: u8, body: &[u8]) -> (&[u8], u16, &[u8]) {
    let topic_len = u16::from_be_bytes([body[0], body[1]]) as usize;
    let mut i = 2 + topic_len;
    let mut id = 0;
    if first & 6 != 0 {
        id = packet_id(&body[i..]);
        i += 2;
    }
    if version == 5 {
        let (mut n, mut shift) = (0usize, 0);
        loop {
            let c = body[i];
            n |= ((c & 127) as usize) << shift;
            i += 1;
            shift += 7;
            if c < 128 {
                break;
            }
        }
        i += n;
    }
    (&body[2..2 + topic_len], id, &body[i..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_template_splits_into_its_parts() {
        for version in [4, 5] {
            for qos in 0..3 {
                let mut t = publish(version, "a/b", qos, false, 200);
                if qos > 0 {
                    t.bytes[t.id_at..t.id_at + 2].copy_from_slice(&777u16.to_be_bytes());
                }
                assert_eq!(next(&t.bytes[..t.bytes.len() - 1]), None);
                let (first, start, end) = next(&t.bytes).unwrap();
                assert_eq!(end, t.bytes.len());
                let (topic, id, payload) = split_publish(version, first, &t.bytes[start..end]);
                assert_eq!((topic, payload.len()), (&b"a/b"[..], 200));
                assert_eq!(id, if qos > 0 { 777 } else { 0 });
                assert_eq!(t.payload_at, t.bytes.len() - 200);
            }
        }
    }
}
