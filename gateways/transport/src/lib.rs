//! What lies between a socket and a gateway's bytes: how listeners are opened, and the transports
//! TLS, WebSocket and PROXY protocol as machines that take bytes and give bytes.
//!
//! An [`Entrance`] says what stands before a listener. Its [`Handshake`] takes a new connection's
//! bytes until it is [`Established`]; from then on a [`Filter`] turns wire bytes into plain ones
//! and back. Datagrams are not filtered: of what stands before them only the PROXY header is known
//! here ([`read_datagram_header`]). Deliberately missing: waiting for sockets, time-outs, threads
//! (that is the business of `gateway-host`), and, for now, DTLS.
//!
//! Editions: PROXY protocol 1 and 2 (2020), TLS 1.2 (RFC 5246) and 1.3 (RFC 8446), WebSocket 13
//! (RFC 6455).
#![deny(missing_docs)]

mod certificate;
mod entrance;
mod filter;
mod proxy;
mod tcp;
mod tls;
mod udp;
mod unix;
mod websocket;

pub use core_model::CertificateField;
pub use entrance::{Entrance, Established, Handshake, HandshakeFault, HandshakeFaultKind};
pub use filter::{Farewell, Filter, FilterFault, FilterFaultKind, Flow};
pub use proxy::{DatagramHeader, ProxyRules, ProxyVersion, read_datagram_header};
pub use tcp::{AcceptFault, accept_fault, listen};
pub use tls::{ClientAuth, NamedFiles, TlsContext, TlsFileError, TlsFiles, TlsVersion};
pub use udp::bind_udp;
pub use unix::{SocketFile, listen_unix};
pub use websocket::WebSocketRules;
