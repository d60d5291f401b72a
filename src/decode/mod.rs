//! `manifold decode`: frames of a protocol as JSON for people, from bytes or from a capture.

mod capture;
mod streams;

use gateway_settings::{DecodedFrames, Decoder, Registration, Transport};
use serde_json::Value as Json;

use capture::{Carrier, Packet};
use streams::{Connection, Piece, Streams};

/// What is to be decoded.
#[derive(Debug)]
pub(crate) enum Input {
    /// Frames, one behind the other.
    Bytes(Vec<u8>),
    /// What was seen on a network.
    Capture(Vec<Packet>),
}

impl Input {
    /// The input that the content of a file is: a capture, hexadecimal text, or else the bytes
    /// themselves.
    ///
    /// # Errors
    /// It begins like a capture and is none, in words for people.
    pub(crate) fn of_file(bytes: Vec<u8>) -> Result<Input, String> {
        if capture::is_capture(&bytes) {
            return capture::read(&bytes).map(Input::Capture);
        }
        let text = std::str::from_utf8(&bytes).ok().and_then(|text| of_hex(text).ok());
        Ok(Input::Bytes(text.unwrap_or(bytes)))
    }

    /// The input that hexadecimal text spells.
    ///
    /// # Errors
    /// It is none, in words for people.
    pub(crate) fn of_text(text: &str) -> Result<Input, String> {
        of_hex(text).map(Input::Bytes)
    }
}

/// White space and colons may stand between bytes.
fn of_hex(text: &str) -> Result<Vec<u8>, String> {
    codec_wire::hex::decode(&text.replace(':', " "))
        .map_err(|error| format!("not hexadecimal: {error}"))
}

/// What came out: a JSON object for each frame and each error.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shown {
    pub(crate) lines: Vec<Json>,
    pub(crate) has_errors: bool,
}

/// How one protocol is decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'r> {
    pub(crate) gateway: &'r Registration,
    pub(crate) decoder: Decoder,
    /// The version to take, if not the one that the bytes tell.
    pub(crate) version: Option<&'r str>,
    /// Of a capture only what goes from or to one of these ports; all of it if there is none.
    pub(crate) ports: &'r [u16],
}

impl Reading<'_> {
    /// Decodes all of `input`.
    pub(crate) fn show(&self, input: Input) -> Shown {
        match input {
            Input::Bytes(bytes) => {
                let decoded = (self.decoder.decode)(&bytes, self.version);
                let has_errors = decoded.error.is_some();
                let frames = decoded.frames.into_iter().map(|frame| frame.json);
                Shown { lines: frames.chain(decoded.error).collect(), has_errors }
            }
            Input::Capture(packets) => self.show_capture(packets),
        }
    }

    fn show_capture(&self, packets: Vec<Packet>) -> Shown {
        let has = |is: fn(Transport) -> bool| self.gateway.transports.iter().any(|one| is(*one));
        let has_datagrams = has(Transport::has_datagrams);
        let has_streams = has(|transport| !transport.has_datagrams());
        let mut lines = Lines::default();
        let mut streams = Streams::default();
        for packet in packets {
            let ends = [packet.source.port(), packet.destination.port()];
            if !self.ports.is_empty() && !ends.iter().any(|port| self.ports.contains(port)) {
                continue;
            }
            match packet.carrier {
                Carrier::Udp if has_datagrams && !packet.payload.is_empty() => {
                    let decoded = (self.decoder.decode)(&packet.payload, self.version);
                    lines.add_datagram(&packet, decoded);
                }
                Carrier::Tcp { .. } if has_streams => streams.add(packet),
                Carrier::Fragment => lines.add(&packet, fragment()),
                Carrier::Udp | Carrier::Tcp { .. } => {}
            }
        }
        for connection in streams.finish() {
            self.show_connection(&connection, &mut lines);
        }
        lines.finish()
    }

    /// Both directions of a connection, of which one may tell the version for both.
    fn show_connection(&self, connection: &Connection, lines: &mut Lines) {
        let decode = |piece: &Piece, version| (self.decoder.decode)(&piece.bytes, version);
        let mut decoded: Vec<_> =
            connection.directions.iter().map(|piece| decode(piece, self.version)).collect();
        let told = decoded.iter().find_map(|one| one.version);
        if let (Some(version), None) = (told, self.version) {
            for (piece, one) in connection.directions.iter().zip(&mut decoded) {
                if one.version.is_none() {
                    *one = decode(piece, Some(version));
                }
            }
        }
        for (piece, one) in connection.directions.iter().zip(decoded) {
            lines.add_stream(piece, one);
        }
    }
}

fn fragment() -> Json {
    serde_json::json!({ "error": {
        "kind": "fragment",
        "what": "fragments of IP packets are not put together",
    } })
}

/// The lines of a capture, which come out in the order of time.
#[derive(Default)]
struct Lines {
    list: Vec<(u64, Json)>,
    has_errors: bool,
}

impl Lines {
    /// A line for what `packet` had, with where it comes from.
    fn add(&mut self, packet: &Packet, line: Json) {
        let ends = (packet.source, packet.destination);
        self.push(packet.time_us, ends, line);
    }

    fn push(&mut self, time_us: u64, ends: capture::Ends, mut line: Json) {
        if let Json::Object(object) = &mut line {
            self.has_errors |= object.contains_key("error");
            object.insert("time_us".into(), time_us.into());
            object.insert("source".into(), ends.0.to_string().into());
            object.insert("destination".into(), ends.1.to_string().into());
        }
        self.list.push((time_us, line));
    }

    fn add_datagram(&mut self, packet: &Packet, decoded: DecodedFrames) {
        let frames = decoded.frames.into_iter().map(|frame| frame.json);
        for line in frames.chain(decoded.error) {
            self.add(packet, line);
        }
    }

    fn add_stream(&mut self, piece: &Piece, decoded: DecodedFrames) {
        for frame in decoded.frames {
            let last = (frame.at + frame.len).saturating_sub(1);
            self.push(piece.time_us(last), piece.ends, frame.json);
        }
        let end = piece.bytes.len();
        // A hole in the capture explains what looks like half a frame.
        let error = if piece.has_gap { Some(gap(end)) } else { decoded.error };
        if let Some(error) = error {
            self.push(piece.time_us(end), piece.ends, error);
        }
    }

    fn finish(mut self) -> Shown {
        self.list.sort_by_key(|(time_us, _)| *time_us);
        let lines = self.list.into_iter().map(|(_, line)| line).collect();
        Shown { lines, has_errors: self.has_errors }
    }
}

fn gap(offset: usize) -> Json {
    serde_json::json!({ "error": {
        "kind": "gap",
        "offset": offset,
        "what": "bytes of the stream are not in the capture; nothing behind them is decoded",
    } })
}

#[cfg(test)]
mod tests;
