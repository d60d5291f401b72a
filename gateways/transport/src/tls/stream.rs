use std::fmt;
use std::sync::Arc;

use core_model::TransportFacts;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ProtocolVersion, ServerConfig};

use crate::Flow;

/// The most bytes that wait for the rest of a message. A record has at most 16 KiB and a bit, but a
/// handshake message, such as a certificate chain, may be spread over several.
const PENDING_BYTES_MAX: usize = 64 * 1024;
/// Bytes before the content of a record.
const RECORD_HEAD_BYTES: usize = 5;
/// The most content of one record.
const RECORD_CONTENT_BYTES_MAX: usize = 16 * 1024;
/// The most that a record adds to its content: head, explicit nonce, tag, type.
const RECORD_OVERHEAD_BYTES_MAX: usize = 5 + 8 + 16 + 1;
/// The most that an answer to a change of keys, a change of ours, and an alert have together.
const OWN_RECORDS_BYTES_MAX: usize = 3 * (RECORD_OVERHEAD_BYTES_MAX + 5);
/// The keys of both directions and the state of the protocol, which sit in boxes that cannot be
/// asked: by the growth of a process with 5 000 idle links.
const KEYS_BYTES: usize = 1700;

/// The server's side of one TLS connection.
///
/// It holds received bytes only while a record is incomplete, and nothing that is to be sent.
pub(crate) struct TlsStream {
    connection: Box<UnbufferedServerConnection>,
    /// An incomplete record, or the records of an incomplete handshake message.
    pending: Vec<u8>,
    has_failed: bool,
    has_said_farewell: bool,
}

impl TlsStream {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(TlsStream {
            connection: Box::new(UnbufferedServerConnection::new(config)?),
            pending: Vec::new(),
            has_failed: false,
            has_said_farewell: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes bytes of the wire, hands plain ones to `plain`, and appends what has to be sent to
    /// `reply`, with an error the alert. After the farewell all bytes are dropped.
    pub(crate) fn incoming(
        &mut self,
        wire: &mut [u8],
        reply: &mut Vec<u8>,
        mut plain: impl FnMut(&[u8]),
    ) -> Result<Flow, Error> {
        if self.has_failed {
            return Err(Error::HandshakeNotComplete);
        }
        if self.has_said_farewell {
            return Ok(Flow::Open);
        }
        let result = self.take(wire, reply, &mut plain);
        self.has_failed = result.is_err();
        if result != Ok(Flow::Open) {
            self.pending = Vec::new();
        }
        result
    }

    fn take(
        &mut self,
        wire: &mut [u8],
        reply: &mut Vec<u8>,
        plain: &mut impl FnMut(&[u8]),
    ) -> Result<Flow, Error> {
        let mut wire = wire;
        if !self.pending.is_empty() {
            // Complete the record, so that those after it need not be copied.
            let missing = missing_bytes(&self.pending).min(wire.len());
            let (now, later) = wire.split_at_mut(missing);
            self.pending.extend_from_slice(now);
            wire = later;
            if self.take_pending(reply, plain)? == Flow::Ended {
                return Ok(Flow::Ended);
            }
            if !self.pending.is_empty() {
                self.pending.extend_from_slice(wire);
                return self.take_pending(reply, plain);
            }
        }
        let (used, result) = process(&mut self.connection, wire, reply, plain);
        let flow = result?;
        let rest = wire.get(used..).unwrap_or_default();
        if rest.len() > PENDING_BYTES_MAX {
            return Err(too_large());
        }
        self.pending.extend_from_slice(rest);
        Ok(flow)
    }

    fn take_pending(
        &mut self,
        reply: &mut Vec<u8>,
        plain: &mut impl FnMut(&[u8]),
    ) -> Result<Flow, Error> {
        let (used, result) = process(&mut self.connection, &mut self.pending, reply, plain);
        if used >= self.pending.len() {
            self.pending = Vec::new();
        } else {
            self.pending.drain(..used);
        }
        if self.pending.len() > PENDING_BYTES_MAX {
            return Err(too_large());
        }
        result
    }

    /// Appends the records that carry `plain`.
    pub(crate) fn outgoing(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Error> {
        let start = wire.len();
        wire.resize(start + sealed_bytes_max(plain.len()), 0);
        let sealed = self.seal(plain, wire.get_mut(start..).unwrap_or_default());
        wire.truncate(start + sealed.as_ref().map_or(0, |bytes| *bytes));
        sealed.map(|_| ())
    }

    /// Replaces what `wire` holds from `start` on by the records that carry it.
    pub(crate) fn seal_tail(&mut self, wire: &mut Vec<u8>, start: usize) -> Result<(), Error> {
        let plain_bytes = wire.len().saturating_sub(start);
        if plain_bytes == 0 {
            return Ok(());
        }
        // The plain bytes move out of the way of the records.
        let plain_start = start + sealed_bytes_max(plain_bytes);
        wire.resize(plain_start + plain_bytes, 0);
        wire.copy_within(start..start + plain_bytes, plain_start);
        let (out, plain) = wire.split_at_mut(plain_start);
        let sealed = self.seal(plain, out.get_mut(start..).unwrap_or_default());
        wire.truncate(start + sealed.as_ref().map_or(0, |bytes| *bytes));
        sealed.map(|_| ())
    }

    /// Writes the records that carry `plain`; says how many bytes they have. `out` has to have room
    /// for [`sealed_bytes_max`].
    fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if plain.is_empty() {
            return Ok(0);
        }
        if self.has_failed || self.has_said_farewell {
            return Err(Error::EncryptError);
        }
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.pending);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(Error::EncryptError);
        };
        // It fails when the keys are worn out, which TLS 1.2 cannot change.
        traffic.encrypt(plain, out).map_err(|_| Error::EncryptError)
    }

    /// Appends close_notify, once.
    pub(crate) fn farewell(&mut self, wire: &mut Vec<u8>) {
        if self.has_failed || self.has_said_farewell || self.is_handshaking() {
            return;
        }
        self.has_said_farewell = true;
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.pending);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else { return };
        let start = wire.len();
        wire.resize(start + sealed_bytes_max(0), 0);
        let out = wire.get_mut(start..).unwrap_or_default();
        let bytes = traffic.queue_close_notify(out).unwrap_or(0);
        wire.truncate(start + bytes);
    }

    /// What the handshake has found out, without the certificate.
    pub(crate) fn facts(&self) -> TransportFacts {
        let version = self.connection.protocol_version().map(|version| match version {
            ProtocolVersion::TLSv1_2 => "TLSv1.2".into(),
            ProtocolVersion::TLSv1_3 => "TLSv1.3".into(),
            other => format!("{other:?}").into(),
        });
        let cipher = self.connection.negotiated_cipher_suite().and_then(|suite| {
            let name = suite.suite();
            // rustls marks the suites of TLS 1.3, whose standard names are as those of 1.2.
            Some(name.as_str()?.replacen("TLS13_", "TLS_", 1).into())
        });
        TransportFacts { tls_version: version, cipher, ..TransportFacts::default() }
    }

    /// The client's own certificate, which was verified.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        Some(self.connection.peer_certificates()?.first()?)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        let chain = self.connection.peer_certificates().unwrap_or_default();
        let chain_bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
        size_of::<UnbufferedServerConnection>() + KEYS_BYTES + chain_bytes + self.pending.capacity()
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("pending", &self.pending.len())
            .field("has_failed", &self.has_failed)
            .field("has_said_farewell", &self.has_said_farewell)
            .finish_non_exhaustive()
    }
}

/// Whether the client's certificate, or the lack of one, is what an error is about.
pub(crate) fn is_about_certificate(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::InvalidCertRevocationList(_)
    )
}

/// Takes what is complete in `buffer`; says how many bytes of it are done with.
fn process(
    connection: &mut UnbufferedServerConnection,
    buffer: &mut [u8],
    reply: &mut Vec<u8>,
    plain: &mut impl FnMut(&[u8]),
) -> (usize, Result<Flow, Error>) {
    let mut used = 0;
    let mut flow = Flow::Open;
    loop {
        let rest = buffer.get_mut(used..).unwrap_or_default();
        let UnbufferedStatus { mut discard, state } = connection.process_tls_records(rest);
        let mut is_done = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            plain(record.payload);
                        }
                        Err(error) => return (used, Err(error)),
                    }
                }
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, reply),
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(ConnectionState::PeerClosed) => flow = Flow::Ended,
            Ok(ConnectionState::Closed) => {
                flow = Flow::Ended;
                is_done = true;
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                is_done = true;
            }
            // Early data is never offered.
            Ok(_) => {
                return (used, Err(Error::General("a state of TLS that was not asked for".into())));
            }
            Err(error) => {
                used += discard;
                encode_alert(connection, buffer.get_mut(used..).unwrap_or_default(), reply);
                return (used, Err(error));
            }
        }
        used += discard;
        if is_done {
            return (used, Ok(flow));
        }
    }
}

/// Appends what an error has left to be sent. No input may be looked at after an error, so this
/// asks only while there is something.
fn encode_alert(connection: &mut UnbufferedServerConnection, rest: &mut [u8], reply: &mut Vec<u8>) {
    while connection.wants_write() {
        match connection.process_tls_records(rest).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, reply),
            _ => return,
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, rustls::server::ServerConnectionData>, out: &mut Vec<u8>) {
    let start = out.len();
    // Asked without room first, since only the error tells the size.
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
        data.encode(&mut [])
    else {
        return;
    };
    out.resize(start + required_size, 0);
    let written = data.encode(out.get_mut(start..).unwrap_or_default()).unwrap_or(0);
    out.truncate(start + written);
}

/// How many bytes complete the first record; as many as there are if it is complete.
fn missing_bytes(pending: &[u8]) -> usize {
    let Some([_, _, _, high, low]) = pending.first_chunk::<RECORD_HEAD_BYTES>() else {
        return RECORD_HEAD_BYTES - pending.len();
    };
    let record = RECORD_HEAD_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
    match record.saturating_sub(pending.len()) {
        0 => usize::MAX,
        missing => missing,
    }
}

/// The most bytes that the records for so many plain ones have, with those that tell of new keys or
/// of the end.
fn sealed_bytes_max(plain_bytes: usize) -> usize {
    let records = plain_bytes.div_ceil(RECORD_CONTENT_BYTES_MAX);
    plain_bytes + records * RECORD_OVERHEAD_BYTES_MAX + OWN_RECORDS_BYTES_MAX
}

#[cold]
fn too_large() -> Error {
    Error::InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge)
}
