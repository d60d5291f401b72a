//! Clients of the toy protocol by every road: PROXY protocol, TLS, WebSocket, and both.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use gateway_transport::{Entrance, ProxyRules, ProxyVersion, TlsContext, TlsFiles, WebSocketRules};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::toy::Client;

/// A road to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Road {
    Proxy,
    Tls,
    WebSocket,
    Both,
}

pub(crate) const ROADS: [Road; 4] = [Road::Proxy, Road::Tls, Road::WebSocket, Road::Both];
pub(crate) const FILTERED: [Road; 3] = [Road::Tls, Road::WebSocket, Road::Both];

pub(crate) const PROXY_HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n";
pub(crate) const REPORTED: &str = "192.0.2.7:40000";

/// The server's certificate and what clients have to know of it.
pub(crate) struct Keys {
    context: Arc<TlsContext>,
    certificate: CertificateDer<'static>,
}

impl Keys {
    pub(crate) fn new() -> Keys {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("server.pem"),
            key: folder.path().join("server.key"),
            ..TlsFiles::default()
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let context = Arc::new(TlsContext::new(&files).unwrap());
        Keys { context, certificate: made.cert.der().clone() }
    }

    pub(crate) fn entrance(&self, road: Road) -> Entrance {
        let mut entrance = Entrance::default();
        if road == Road::Proxy {
            let trusted = vec!["127.0.0.0/8".parse().unwrap()];
            entrance.proxy = Some(ProxyRules { version: ProxyVersion::Any, trusted });
        }
        if matches!(road, Road::Tls | Road::Both) {
            entrance.tls = Some(Arc::clone(&self.context));
        }
        if matches!(road, Road::WebSocket | Road::Both) {
            entrance.websocket = Some(WebSocketRules::default());
        }
        entrance
    }

    pub(crate) fn tls(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, Client::new(address).0)
    }

    pub(crate) fn client(&self, road: Road, address: SocketAddr) -> Client<Box<dyn Stream>> {
        Client(match road {
            Road::Proxy => {
                let mut client = Client::new(address);
                client.raw(PROXY_HEADER);
                Box::new(client.0)
            }
            Road::Tls => Box::new(self.tls(address)),
            Road::WebSocket => Box::new(Framed::upgrade(Client::new(address).0)),
            Road::Both => Box::new(Framed::upgrade(self.tls(address))),
        })
    }
}

/// A client's end, whatever it goes through.
pub(crate) trait Stream: Read + Write + Send {
    /// The code of the close frame that came, on a road that has such.
    fn close_code(&self) -> Option<CloseCode> {
        None
    }
}

impl Stream for TcpStream {}
impl Stream for StreamOwned<ClientConnection, TcpStream> {}

/// A stream in WebSocket messages.
pub(crate) struct Framed<S> {
    pub(crate) socket: WebSocket<S>,
    /// What of the last message was not read yet.
    rest: Vec<u8>,
    closed: Option<CloseCode>,
}

impl<S: Read + Write> Framed<S> {
    pub(crate) fn upgrade(stream: S) -> Self {
        let uri = "ws://localhost/mqtt".parse().unwrap();
        let request = tungstenite::ClientRequestBuilder::new(uri).with_sub_protocol("mqtt");
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        Framed { socket, rest: Vec::new(), closed: None }
    }
}

impl<S: Read + Write> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes.to_vec(),
                Ok(Message::Close(frame)) => {
                    self.closed = frame.map(|frame| frame.code);
                    return Ok(0);
                }
                Ok(_) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let count = buffer.len().min(self.rest.len());
        let rest = self.rest.split_off(count);
        buffer[..count].copy_from_slice(&self.rest);
        self.rest = rest;
        Ok(count)
    }
}

impl<S: Read + Write> Write for Framed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(bytes.to_vec())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Read + Write + Send> Stream for Framed<S> {
    fn close_code(&self) -> Option<CloseCode> {
        self.closed
    }
}
