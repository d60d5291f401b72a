//! Both ends of a connection in memory.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_transport::{
    Entrance, Established, Farewell, Filter, FilterFault, Flow, Handshake, HandshakeFault,
};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use crate::authority::{Authority, Certified};

/// Our end: handshake, then filter, as the host drives them.
pub(crate) struct Server {
    handshake: Handshake,
    pub(crate) established: bool,
    pub(crate) filter: Option<Box<dyn Filter>>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) facts: Option<Arc<core_model::TransportFacts>>,
    pub(crate) client_id: Option<Box<str>>,
    /// What came from the client.
    pub(crate) plain: Vec<u8>,
    /// What goes to the client.
    pub(crate) out: Vec<u8>,
    /// What the client has read.
    pub(crate) at_client: Vec<u8>,
    pub(crate) refused: Option<HandshakeFault>,
    pub(crate) fault: Option<FilterFault>,
    pub(crate) ended: bool,
    /// Bytes that are handed over at once.
    pub(crate) step: usize,
}

impl Server {
    pub(crate) fn new(entrance: Entrance, peer: Option<&str>) -> Self {
        Self::begin(&Arc::new(entrance), peer)
    }

    pub(crate) fn begin(entrance: &Arc<Entrance>, peer: Option<&str>) -> Self {
        let peer = peer.map(|peer| peer.parse().unwrap());
        Server {
            handshake: entrance.begin(peer),
            established: false,
            filter: None,
            peer: None,
            facts: None,
            client_id: None,
            plain: Vec::new(),
            out: Vec::new(),
            at_client: Vec::new(),
            refused: None,
            fault: None,
            ended: false,
            step: usize::MAX,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.step.min(bytes.len().max(1))) {
            self.feed_chunk(chunk);
        }
    }

    fn feed_chunk(&mut self, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        if !self.established {
            match self.handshake.input(bytes, &mut self.out) {
                Ok(None) => {}
                Ok(Some(Established { filter, plain, peer, facts, client_id })) => {
                    self.established = true;
                    self.filter = filter;
                    self.plain.extend(plain);
                    (self.peer, self.facts, self.client_id) = (peer, facts, client_id);
                }
                Err(fault) => self.refused = Some(fault),
            }
            return;
        }
        let Some(filter) = &mut self.filter else { return self.plain.extend(bytes) };
        match filter.incoming(&mut bytes.to_vec(), &mut self.plain, &mut self.out) {
            Ok(Flow::Open) => {}
            Ok(Flow::Ended) => self.ended = true,
            Err(fault) => self.fault = Some(fault),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.refused.is_some() || self.fault.is_some() || self.ended
    }

    pub(crate) fn send(&mut self, plain: &[u8]) {
        let filter = self.filter.as_mut().unwrap();
        filter.outgoing(plain, &mut self.out).unwrap();
    }

    pub(crate) fn say_farewell(&mut self, why: Farewell) {
        self.filter.as_mut().unwrap().farewell(why, &mut self.out);
    }
}

/// The client's stream: what is written is taken by the server at once.
pub(crate) struct Pipe<'a>(pub(crate) &'a mut Server);

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.out.is_empty() {
            return if self.0.is_over() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let count = buffer.len().min(self.0.out.len());
        for (to, from) in buffer.iter_mut().zip(self.0.out.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) const V1_2: &[&SupportedProtocolVersion] = &[&TLS12];
pub(crate) const V1_3: &[&SupportedProtocolVersion] = &[&TLS13];

/// A rustls client that trusts `authority`.
pub(crate) fn client_config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    certificate: Option<&Certified>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match certificate {
        Some(certified) => {
            builder.with_client_auth_cert(certified.chain.clone(), certified.key()).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

pub(crate) fn connect(config: ClientConfig, name: &str) -> ClientConnection {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// Passes bytes between both until neither has any; the error is what the client makes of it.
pub(crate) fn pump(
    client: &mut ClientConnection,
    server: &mut Server,
) -> Result<(), rustls::Error> {
    loop {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.feed(&wire);
        if wire.is_empty() && server.out.is_empty() {
            return Ok(());
        }
        let answer = std::mem::take(&mut server.out);
        let mut answer = answer.as_slice();
        while !answer.is_empty() {
            client.read_tls(&mut answer).unwrap();
            client.process_new_packets()?;
            server.at_client.extend(read(client));
        }
    }
}

fn read(client: &mut ClientConnection) -> Vec<u8> {
    let mut plain = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        match client.reader().read(&mut buffer) {
            Ok(0) => return plain,
            Ok(count) => plain.extend(&buffer[..count]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return plain;
            }
        }
    }
}
