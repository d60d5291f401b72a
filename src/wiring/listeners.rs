//! Listeners and what stands in front of them.

use std::fs;
use std::path::absolute;
use std::sync::Arc;

use gateway_host::{
    Bind, DatagramRules, ListenerConfig, ListenerFacts, ListenerRates, Rate as HostRate, Rebind,
    SourceLimits,
};
use gateway_transport::{
    CertificateField, ClientAuth, Entrance, NamedFiles, ProxyRules, ProxyVersion, TlsContext,
    TlsFiles, TlsVersion, WebSocketRules,
};

use super::Building;
use crate::config::{self, Listener, ListenerTls, ListenerUdp, ListenerWebSocket, ProxyProtocol};
use crate::settings::{self, FilePath, Files, Rate, to_usize};

/// All listeners; those at fault are left out.
pub(super) fn build(building: &mut Building<'_>) -> Vec<ListenerConfig> {
    let listeners = building.config.listeners.iter().enumerate();
    listeners.filter_map(|(index, listener)| build_one(building, index, listener)).collect()
}

fn build_one(
    building: &mut Building<'_>,
    index: usize,
    listener: &Listener,
) -> Option<ListenerConfig> {
    let table = &listener.table;
    let limits = &listener.limits;
    let entrance = entrance(building, index, listener)?;
    let key = format!("listener[{index}].{}", listener.registration.name);
    let gateway = listener.own.open_with_files(limits, &mut GatewayFiles { building, key })?;
    let udp = table.udp.0.clone().unwrap_or_default();
    let node_session = config::ListenerLimits::new(&[], &building.config.node.limits).session;
    let facts = Arc::new(ListenerFacts {
        name: table.name.as_str().into(),
        mountpoint: table.mountpoint.as_str().into(),
        allow_anonymous: listener.allows_anonymous(),
        session_limits: (limits.session != node_session).then(|| Arc::new(limits.session.clone())),
        message_rate: limits.message_rate.map(rate),
        rebind: rebind(&udp),
    });
    let mode = table.mode.0.map(|mode| mode.0);
    let bind = match table.bind.in_folder(building.config.folder()) {
        settings::Bind::Address(address) if table.transport.has_datagrams() => Bind::Udp(address),
        settings::Bind::Address(address) => Bind::Tcp(address),
        // Clients that read `listeners.json` are in other folders.
        settings::Bind::Unix(path) => Bind::Unix { path: absolute(&path).unwrap_or(path), mode },
    };
    let sources = &table.sources;
    Some(ListenerConfig {
        facts,
        bind,
        backlog: limits.backlog,
        max_connections: usize::try_from(table.max_connections).unwrap_or(usize::MAX),
        gateway,
        entrance: (!entrance.is_open()).then(|| Arc::new(entrance)),
        rates: ListenerRates {
            connection: limits.connection_rate.map(rate),
            message: limits.message_rate.map(rate),
            byte: limits.byte_rate.map(rate),
            source: SourceLimits {
                connections: sources.max_connections.0,
                connection: sources.connection_rate.0.map(rate),
                stray: sources.stray_rate.0.map(rate),
                exempt: sources.exempt.0.iter().map(|net| net.0).collect(),
            },
        },
        datagrams: datagram_rules(udp),
    })
}

/// The files of the gateway whose table is at `key`.
struct GatewayFiles<'b, 'c> {
    building: &'b mut Building<'c>,
    key: String,
}

impl Files for GatewayFiles<'_, '_> {
    fn read(&mut self, key: &str, file: &FilePath) -> Option<String> {
        let file = file.in_folder(self.building.config.folder());
        let complain = |error| self.complain(key, &format!("{}: {error}", file.display()));
        fs::read_to_string(&file).map_err(complain).ok()
    }

    fn read_secret(&mut self, key: &str, file: &FilePath) -> Option<String> {
        let path = file.in_folder(self.building.config.folder());
        self.building.warn_if_readable_by_others(&format!("{}.{key}", self.key), &path);
        self.read(key, file)
    }

    fn complain(&mut self, key: &str, what: &str) {
        let dot = if key.is_empty() { "" } else { "." };
        self.building.fault(format!("{}{dot}{key}", self.key), what);
    }
}

fn rate(rate: Rate) -> HostRate {
    HostRate { per_second: rate.per_second, burst: rate.burst }
}

fn rebind(udp: &ListenerUdp) -> Rebind {
    match udp.rebind {
        config::Rebind::SameIp => Rebind::SameIp,
        config::Rebind::Trust => Rebind::Trust,
        config::Rebind::DtlsOnly => Rebind::DtlsOnly,
    }
}

fn datagram_rules(udp: ListenerUdp) -> DatagramRules {
    DatagramRules {
        idle_timeout_s: udp.idle_timeout.whole_seconds(),
        receive_buffer_bytes: udp.receive_buffer.0.map_or(0, |size| to_usize(size.0)),
        health_check: udp
            .health_request
            .0
            .zip(udp.health_answer.0)
            .map(|(request, answer)| (request.0, answer.0)),
    }
}

/// What stands between a listener's socket and its gateway.
fn entrance(building: &mut Building<'_>, index: usize, listener: &Listener) -> Option<Entrance> {
    let table = &listener.table;
    let version = match table.proxy_protocol {
        ProxyProtocol::Off => None,
        ProxyProtocol::V1 => Some(ProxyVersion::V1),
        ProxyProtocol::V2 => Some(ProxyVersion::V2),
        ProxyProtocol::Any => Some(ProxyVersion::Any),
    };
    let trusted = || table.proxy_protocol_from.0.iter().map(|net| net.0).collect();
    let (mut tls, mut client_id) = (None, None);
    if let Some(own) = &table.tls.0 {
        let files = tls_files(building, own);
        let key = format!("listener[{index}].tls");
        building.warn_if_readable_by_others(&key, &files.key);
        for named in &files.names {
            building.warn_if_readable_by_others(&format!("{key}.sni.{}", named.name), &named.key);
        }
        tls = Some(Arc::new(building.keep(&key, TlsContext::new(&files))?));
        client_id = own.client_id.0.map(certificate_field);
    }
    let websocket = table.transport.has_websocket().then(|| websocket_rules(&table.websocket.0));
    Some(Entrance {
        proxy: version.map(|version| ProxyRules { version, trusted: trusted() }),
        tls,
        websocket,
        client_id,
    })
}

fn tls_files(building: &Building<'_>, own: &ListenerTls) -> TlsFiles {
    let folder = building.config.folder();
    TlsFiles {
        certificate: own.certificate.in_folder(folder),
        key: own.key.in_folder(folder),
        names: own
            .sni
            .list
            .iter()
            .map(|(name, files)| NamedFiles {
                name: name.as_str().into(),
                certificate: files.certificate.in_folder(folder),
                key: files.key.in_folder(folder),
            })
            .collect(),
        client_ca: own.client_ca.0.as_ref().map(|path| path.in_folder(folder)),
        client_auth: match own.client_auth {
            config::ClientAuth::None => ClientAuth::None,
            config::ClientAuth::Optional => ClientAuth::Optional,
            config::ClientAuth::Required => ClientAuth::Required,
        },
        crls: own.crl.0.iter().map(|path| path.in_folder(folder)).collect(),
        min_version: match own.min_version {
            config::TlsVersion::V12 => TlsVersion::V1_2,
            config::TlsVersion::V13 => TlsVersion::V1_3,
        },
        alpn: Vec::new(),
    }
}

fn websocket_rules(own: &Option<ListenerWebSocket>) -> WebSocketRules {
    let own = own.clone().unwrap_or_default();
    WebSocketRules {
        paths: vec![own.path.into()],
        origins: own.origins.0.into_iter().map(Into::into).collect(),
        ..WebSocketRules::default()
    }
}

pub(super) fn certificate_field(field: config::CertificateField) -> CertificateField {
    use config::CertificateField as Own;
    match field {
        Own::CommonName => CertificateField::CommonName,
        Own::Subject => CertificateField::Subject,
        Own::Serial => CertificateField::Serial,
        Own::Fingerprint => CertificateField::Fingerprint,
        Own::Dns => CertificateField::Dns,
        Own::Email => CertificateField::Email,
        Own::Uri => CertificateField::Uri,
    }
}
