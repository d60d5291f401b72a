//! What carries MQTT to the server: TCP, TLS, WebSocket, or both. Bytes in, bytes out.

use crate::opts::Opts;
use crate::sys::{die, errno, read_fd, write_fd};
use libc::EAGAIN;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use std::io::{Read, Write};
use std::sync::Arc;

/// How to reach the server; cheap to clone.
#[derive(Clone)]
pub struct Road {
    tls: Option<Arc<ClientConfig>>,
    websocket: bool,
}

impl Road {
    /// Plain TCP.
    pub const TCP: Road = Road { tls: None, websocket: false };

    /// From `--road tcp | tls | ws | wss`.
    pub fn read(o: &Opts) -> Road {
        let (tls, websocket) = match o.text("road", "tcp").as_str() {
            "tcp" => (false, false),
            "tls" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            other => die(&format!("no road {other}; roads: tcp tls ws wss")),
        };
        Road { tls: tls.then(tls_config), websocket }
    }

    /// What stands between a connection's socket and MQTT; `None` for plain TCP.
    pub fn carrier(&self) -> Option<Box<Carrier>> {
        if self.tls.is_none() && !self.websocket {
            return None;
        }
        let name = ServerName::try_from("localhost").expect("it is a name");
        let tls = self.tls.clone().map(|config| {
            ClientConnection::new(config, name).unwrap_or_else(|e| die(&format!("TLS: {e}")))
        });
        let mut carrier = Carrier {
            tls,
            upgrade: if self.websocket { Upgrade::Due } else { Upgrade::None },
            wire: Vec::new(),
            written: 0,
            head: Vec::new(),
            frame_left: 0,
        };
        carrier.go_on();
        Some(Box::new(carrier))
    }
}

/// Which certificate the server has does not matter here; what the handshake costs does.
fn tls_config() -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|e| die(&format!("TLS: {e}")))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    // Every handshake is a whole one.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Upgrade {
    None,
    Due,
    Asked,
    Done,
}

/// The state of one connection's TLS and WebSocket.
pub struct Carrier {
    tls: Option<ClientConnection>,
    upgrade: Upgrade,
    /// Bytes for the socket.
    wire: Vec<u8>,
    /// How many of them the socket has taken.
    written: usize,
    /// The start of an HTTP answer or of a frame's header.
    head: Vec<u8>,
    /// Bytes of the frame at hand that are still to come.
    frame_left: usize,
}

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

impl Carrier {
    /// Whether MQTT may flow.
    pub fn is_open(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
            && matches!(self.upgrade, Upgrade::None | Upgrade::Done)
    }

    /// The bytes for the socket, which the caller drains.
    pub fn wire(&mut self) -> &mut Vec<u8> {
        &mut self.wire
    }

    /// How many bytes wait for the socket.
    pub fn pending(&self) -> usize {
        self.wire.len() - self.written
    }

    /// Writes what the socket takes; `false` when that is not all.
    pub fn write(&mut self, fd: i32) -> bool {
        while self.written < self.wire.len() {
            let count = write_fd(fd, &self.wire[self.written..]);
            if count >= 0 {
                self.written += count as usize;
            } else if errno() == EAGAIN {
                return false;
            } else {
                break;
            }
        }
        self.wire.clear();
        self.written = 0;
        true
    }

    /// Asks for the WebSocket when that can be done, and collects what TLS has to say.
    fn go_on(&mut self) {
        let shaking = self.tls.as_ref().is_some_and(|tls| tls.is_handshaking());
        if self.upgrade == Upgrade::Due && !shaking {
            self.upgrade = Upgrade::Asked;
            self.seal(REQUEST);
        }
        self.collect();
    }

    fn collect(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        while tls.wants_write() {
            tls.write_tls(&mut self.wire).expect("a Vec takes everything");
        }
    }

    fn seal(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            None => self.wire.extend_from_slice(bytes),
            Some(tls) => {
                // It buffers no more than a part of a large write.
                for chunk in bytes.chunks(16_384) {
                    tls.writer().write_all(chunk).expect("TLS takes it");
                    while tls.wants_write() {
                        tls.write_tls(&mut self.wire).expect("a Vec takes everything");
                    }
                }
            }
        }
    }

    /// Sends bytes of MQTT, as one message of WebSocket.
    pub fn send(&mut self, plain: &[u8]) {
        if self.upgrade == Upgrade::None {
            return self.seal(plain);
        }
        // A mask of zero is allowed, and leaves the bytes as they are.
        let mut head = vec![0x82];
        match plain.len() {
            len @ 0..126 => head.push(0x80 | len as u8),
            len @ 126..65_536 => {
                head.push(0x80 | 126);
                head.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                head.push(0x80 | 127);
                head.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(plain);
        self.seal(&head);
    }

    /// Takes bytes of the socket, and appends the MQTT in them to `plain`.
    pub fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) {
        let Some(tls) = &mut self.tls else { return self.unframe(bytes, plain) };
        let mut clear = Vec::new();
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes).unwrap_or_else(|e| die(&format!("TLS: {e}")));
            let state =
                tls.process_new_packets().unwrap_or_else(|e| die(&format!("TLS refused: {e}")));
            let had = clear.len();
            clear.resize(had + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut clear[had..]).expect("so much is there");
        }
        if self.upgrade == Upgrade::None {
            plain.extend_from_slice(&clear);
        } else {
            self.unframe(&clear, plain);
        }
        self.go_on();
    }

    fn unframe(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) {
        while let Some(&byte) = bytes.first() {
            if self.frame_left > 0 {
                let (now, later) = bytes.split_at(self.frame_left.min(bytes.len()));
                plain.extend_from_slice(now);
                self.frame_left -= now.len();
                bytes = later;
                continue;
            }
            self.head.push(byte);
            bytes = &bytes[1..];
            if self.upgrade == Upgrade::Asked {
                if self.head.ends_with(b"\r\n\r\n") {
                    if !self.head.starts_with(b"HTTP/1.1 101") {
                        die(&format!("no WebSocket: {}", String::from_utf8_lossy(&self.head)))
                    }
                    self.upgrade = Upgrade::Done;
                    self.head.clear();
                }
                continue;
            }
            let length = match (self.head.get(1), self.head.len()) {
                (Some(len @ 0..126), 2) => *len as usize,
                (Some(126), 4) => usize::from(u16::from_be_bytes([self.head[2], self.head[3]])),
                (Some(127), 10) => {
                    self.head[2..10].iter().fold(0, |sum, byte| sum << 8 | *byte as usize)
                }
                _ => continue,
            };
            if self.head[0] != 0x82 {
                die(&format!("a frame that begins with {:#x}", self.head[0]))
            }
            self.frame_left = length;
            self.head.clear();
        }
    }

    /// Does the whole handshake on a blocking socket.
    pub fn shake(&mut self, fd: i32) {
        let mut buffer = [0; 4096];
        let mut plain = Vec::new();
        loop {
            if !self.wire.is_empty() {
                write_fd(fd, &self.wire);
                self.wire.clear();
            }
            if self.is_open() {
                return;
            }
            let count = read_fd(fd, &mut buffer);
            if count <= 0 {
                die(&format!("no end of the handshake (read {count})"))
            }
            self.receive(&buffer[..count as usize], &mut plain);
        }
    }
}
