use codec_wire::{DecodeError, Decoded, Reader, utf8};

use crate::{
    Code, Done, HEADER_BYTES, Hello, Limits, Packet, PacketType, Publish, Secret, Subscribe,
    Welcome, packet::FLAG_KEEP, violation,
};

/// Decodes the packet at the start of `input`.
pub(crate) fn decode<'a>(
    input: &'a [u8],
    limits: &Limits,
) -> Result<Decoded<Packet<'a>>, DecodeError> {
    let Some(length) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(Decoded::Need(HEADER_BYTES));
    };
    let body_len = usize::from(u16::from_be_bytes(*length));
    let len = HEADER_BYTES + body_len;
    // Before anything else, so that nothing is kept for a packet that would not be taken.
    if len > usize::try_from(limits.max_packet_size).unwrap_or(usize::MAX) {
        return Err(violation::PACKET_SIZE.at(0));
    }
    //= __name__:1-1
    if body_len == 0 {
        return Err(violation::LENGTH_ZERO.at(0));
    }
    let Some(whole) = input.get(..len) else { return Ok(Decoded::Need(len)) };
    let mut reader = Reader::with_past_end(whole, &violation::PAST_END);
    reader.take(HEADER_BYTES)?;
    let packet = packet(&mut reader)?;
    //= __name__:1-1
    if !reader.is_empty() {
        return Err(violation::LEFT_OVER.at(reader.position()));
    }
    Ok(Decoded::Frame { frame: packet, len })
}

fn packet<'a>(reader: &mut Reader<'a>) -> Result<Packet<'a>, DecodeError> {
    let at = reader.position();
    //= __name__:1-2
    let packet_type =
        PacketType::from_number(reader.u8()?).ok_or_else(|| violation::TYPE.at(at))?;
    Ok(match packet_type {
        PacketType::Hello => Packet::Hello(hello(reader)?),
        PacketType::Welcome => Packet::Welcome(welcome(reader)?),
        PacketType::Publish => Packet::Publish(publish(reader)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe(reader)?),
        PacketType::Done => Packet::Done(Done { number: reader.u16()?, code: code(reader)? }),
        PacketType::Ping => Packet::Ping,
        PacketType::Pong => Packet::Pong,
        PacketType::Goodbye => Packet::Goodbye(code(reader)?),
    })
}

fn hello<'a>(reader: &mut Reader<'a>) -> Result<Hello<'a>, DecodeError> {
    let at = reader.position();
    let flags = reader.u8()?;
    //= __name__:1-4
    if flags & !FLAG_KEEP != 0 {
        return Err(violation::FLAGS.at(at));
    }
    let keep_alive_s = reader.u16()?;
    let at = reader.position();
    let client_id = short_text(reader)?;
    //= __name__:2-2
    if client_id.is_empty() {
        return Err(violation::CLIENT_ID.at(at));
    }
    let user = short_text(reader)?;
    let len = reader.u8()?;
    let password = Secret(reader.take(len.into())?);
    Ok(Hello { keep: flags & FLAG_KEEP != 0, keep_alive_s, client_id, user, password })
}

fn welcome(reader: &mut Reader<'_>) -> Result<Welcome, DecodeError> {
    let code = code(reader)?;
    let at = reader.position();
    //= __name__:1-4
    let session_present = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(violation::FLAGS.at(at)),
    };
    Ok(Welcome { code, session_present })
}

fn publish<'a>(reader: &mut Reader<'a>) -> Result<Publish<'a>, DecodeError> {
    let number = reader.u16()?;
    let len = reader.u16()?;
    let topic = text(reader, len.into())?;
    Ok(Publish { number, topic, payload: reader.rest() })
}

fn subscribe<'a>(reader: &mut Reader<'a>) -> Result<Subscribe<'a>, DecodeError> {
    let number = reader.u16()?;
    Ok(Subscribe { number, filter: text(reader, reader.remaining())? })
}

fn code(reader: &mut Reader<'_>) -> Result<Code, DecodeError> {
    reader.u8().map(Code::new)
}

fn short_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let len = reader.u8()?;
    text(reader, len.into())
}

fn text<'a>(reader: &mut Reader<'a>, len: usize) -> Result<&'a str, DecodeError> {
    let at = reader.position();
    let bytes = reader.take(len)?;
    //= __name__:1-3
    let text = utf8(bytes, at).map_err(|error| violation::TEXT.at(error.offset))?;
    match text.bytes().position(|byte| byte == 0) {
        Some(nul) => Err(violation::TEXT.at(at + nul)),
        None => Ok(text),
    }
}
