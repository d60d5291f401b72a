use codec_wire::EncodeError;

use crate::{Hello, Packet, packet::FLAG_KEEP};

/// Appends `packet` to `out`.
///
/// # Errors
/// A field is longer than its length can say; `out` is as it was before.
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let written = write(packet, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[0, 0, packet.packet_type() as u8]);
    match packet {
        Packet::Hello(hello) => write_hello(hello, out)?,
        Packet::Welcome(welcome) => {
            out.extend_from_slice(&[welcome.code.value(), welcome.session_present.into()]);
        }
        Packet::Publish(publish) => {
            out.extend_from_slice(&publish.number.to_be_bytes());
            let len = length(publish.topic.len(), "topic", u16::MAX.into())?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(publish.topic.as_bytes());
            out.extend_from_slice(publish.payload);
        }
        Packet::Subscribe(subscribe) => {
            out.extend_from_slice(&subscribe.number.to_be_bytes());
            out.extend_from_slice(subscribe.filter.as_bytes());
        }
        Packet::Done(done) => {
            out.extend_from_slice(&done.number.to_be_bytes());
            out.push(done.code.value());
        }
        Packet::Ping | Packet::Pong => {}
        Packet::Goodbye(code) => out.push(code.value()),
    }
    let body = out.get_mut(start..).unwrap_or_default();
    let body_len = length(body.len().saturating_sub(2), "packet", u16::MAX.into())?;
    if let Some(head) = body.first_chunk_mut::<2>() {
        *head = body_len.to_be_bytes();
    }
    Ok(())
}

fn write_hello(hello: &Hello<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if hello.client_id.is_empty() {
        return Err(EncodeError::Unrepresentable("HELLO without a client id"));
    }
    out.push(if hello.keep { FLAG_KEEP } else { 0 });
    out.extend_from_slice(&hello.keep_alive_s.to_be_bytes());
    for (field, bytes) in [
        ("client id", hello.client_id.as_bytes()),
        ("user", hello.user.as_bytes()),
        ("password", hello.password.0),
    ] {
        let [_, len] = length(bytes.len(), field, u8::MAX.into())?.to_be_bytes();
        out.push(len);
        out.extend_from_slice(bytes);
    }
    Ok(())
}

/// A length that is at most `max`.
fn length(len: usize, field: &'static str, max: usize) -> Result<u16, EncodeError> {
    let fits = u16::try_from(len).ok().filter(|_| len <= max);
    fits.ok_or(EncodeError::TooLong { field, len, max })
}
