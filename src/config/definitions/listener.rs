use super::CertificateField;
use crate::settings::{
    Bind, FileMode, FilePath, Lapse, List, Named, Net, Octets, Optional, OwnLimits, RateLimit,
    Required, Size, Transport, Unset,
};
use crate::{choice, settings};

settings! {
    /// An address where clients connect, with its protocol and policy; write one for each. A file
    /// without any has one like this.
    pub struct ListenerTable {
        /// Name in logs and in `listeners.json`; no two listeners have the same.
        name: String = "mqtt".into();
        /// Protocol spoken here.
        gateway: String = "mqtt".into();
        /// What carries the protocol: TCP, TLS, WebSocket, WebSocket over TLS, a Unix socket, or UDP.
        /// Each protocol has its own choice of them.
        transport: Transport = Transport::Tcp;
        /// Address and port; port 0 lets the system choose. A Unix socket has the path of its file.
        bind: Bind = Bind::Address(std::net::SocketAddr::from(([127, 0, 0, 1], 1883)));
        /// Permissions of a Unix socket; unset, the system's default.
        mode: Unset<FileMode> = Unset(None);
        /// Prefix of all topics of this listener's clients, which they do not see; `%c` stands for
        /// the client id, `%u` for the user name. Who has a `/`, `+` or `#` in the name that is
        /// filled in is refused.
        mountpoint: String = String::new();
        /// Names of `[authentication.NAME]` tables, asked in this order. When none of them knows a
        /// client, it is refused.
        authentication: List<String> = List::default();
        /// Whether clients without credentials are let in. Unset it means yes where
        /// `authentication` is empty, which only a loopback address or a Unix socket may leave at
        /// that.
        allow_anonymous: Unset<bool> = Unset(None);
        /// Connections at once, or addresses that datagrams come from; one more is closed or refused
        /// at once.
        max_connections: u32 = 100_000, 1..=10_000_000;
        /// Name of a `[zone.NAME]` table with limits.
        zone: Unset<String> = Unset(None);
        /// Whether a proxy stands in front of the listener and says by the PROXY protocol who its
        /// clients are, in this version or in any. With datagrams it is version 2, in each of them.
        proxy_protocol: ProxyProtocol = ProxyProtocol::Off;
        /// Addresses of the proxies. They have to send the header; nobody else may.
        proxy_protocol_from: List<Net> = List::default();
        /// TLS, for the transports "tls" and "wss".
        tls: Optional<ListenerTls> = Optional(None);
        /// WebSocket, for the transports "ws" and "wss".
        websocket: Optional<ListenerWebSocket> = Optional(None);
        /// Datagrams, for the transport "udp".
        udp: Optional<ListenerUdp> = Optional(None);
        /// What each address may have that connections come from.
        sources: ListenerSources = ListenerSources::default();
        /// Bounds of this listener's clients.
        limits: OwnLimits = OwnLimits::default();
    }
}

choice! {
    /// Version of the PROXY protocol.
    pub enum ProxyProtocol {
        /// None.
        Off = "off",
        /// Version 1, a line of text.
        V1 = "v1",
        /// Version 2, binary.
        V2 = "v2",
        /// Either.
        Any = "any",
    }
}

settings! {
    /// TLS, for the transports "tls" and "wss". The files are read again at a reload.
    pub struct ListenerTls {
        /// The server's certificate and those up to its authority, in PEM.
        certificate: Required<FilePath> = Required::default();
        /// Its private key, in PEM, without a password. Only the server should be able to read it.
        key: Required<FilePath> = Required::default();
        /// Whether clients have to show a certificate.
        client_auth: ClientAuth = ClientAuth::None;
        /// The authorities that clients' certificates have to come from, in PEM.
        client_ca: Unset<FilePath> = Unset(None);
        /// Lists of revoked client certificates, in PEM or DER; one for each authority.
        crl: List<FilePath> = List::default();
        /// Lowest version that is spoken.
        min_version: TlsVersion = TlsVersion::V12;
        /// The field of a client's certificate that becomes its client id, whatever it sends
        /// itself.
        client_id: Unset<CertificateField> = Unset(None);
        /// Other certificates for clients that ask for a server by this name, which can be like
        /// `"*.example.org"`.
        sni: Named<SniCertificate> = Named::default();
    }
    later ["psk_file"]
}

settings! {
    /// Another certificate for clients that ask for this name.
    pub struct SniCertificate {
        /// Certificate and those up to its authority, in PEM.
        certificate: Required<FilePath> = Required::default();
        /// Its private key, in PEM.
        key: Required<FilePath> = Required::default();
    }
}

choice! {
    /// Whether clients have to show a certificate.
    pub enum ClientAuth {
        /// They are not asked for one.
        None = "none",
        /// They may have none; one that they show must be good.
        Optional = "optional",
        /// Whoever has none is refused.
        Required = "required",
    }
}

choice! {
    /// Version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2
        V12 = "1.2",
        /// TLS 1.3
        V13 = "1.3",
    }
}

settings! {
    /// WebSocket, for the transports "ws" and "wss".
    pub struct ListenerWebSocket {
        /// Path of the requests; others are answered with 404.
        path: String = "/mqtt".into();
        /// Web pages that may connect, such as `https://example.org`; empty for all. Programs that
        /// are not browsers send no origin and are let in.
        origins: List<String> = List::default();
    }
}

settings! {
    /// Datagrams, for the transport "udp".
    pub struct ListenerUdp {
        /// Silence after which a client is lost, if it has not agreed on a longer one with the
        /// protocol, such as a keep alive or a time of sleep.
        idle_timeout: Lapse = Lapse::seconds(180), 1_000..=86_400_000;
        /// From where a client that names itself may go on, or connect again while it is connected.
        rebind: Rebind = Rebind::SameIp;
        /// Bytes of datagrams that the system keeps for each shard until they are read, as far as
        /// it allows so many; unset, its default.
        receive_buffer: Unset<Size> = Unset(None), 4_096..=1_073_741_824;
        /// The datagram with which a load balancer asks whether the server lives; set both or none.
        health_request: Unset<Octets> = Unset(None), 1..=512;
        /// The answer to it, at most three times as long.
        health_answer: Unset<Octets> = Unset(None), 1..=512;
    }
}

choice! {
    /// From where a client that names itself may go on.
    pub enum Rebind {
        /// From the same IP address, whatever the port.
        SameIp = "same-ip",
        /// From everywhere.
        Trust = "trust",
        /// From where it proves by DTLS who it is: over plain UDP from nowhere else.
        DtlsOnly = "dtls-only",
    }
}

settings! {
    /// What each address may have that connections come from; an IPv6 address counts by its first
    /// 64 bits. Behind a proxy without PROXY protocol all clients have the proxy's address.
    pub struct ListenerSources {
        /// Connections at once; one more is closed at once.
        max_connections: Unset<u32> = Unset(None), 1..=10_000_000;
        /// New connections; those beyond it are closed at once.
        connection_rate: RateLimit = RateLimit(None);
        /// Datagrams of no client that is connected, for the transport "udp"; those beyond it are
        /// dropped. Each shard counts for itself.
        stray_rate: RateLimit = RateLimit(None);
        /// Addresses without these limits.
        exempt: List<Net> = Net::loopback();
    }
}
