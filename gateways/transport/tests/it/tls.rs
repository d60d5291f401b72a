use std::io::Write as _;
use std::sync::Arc;

use gateway_transport::{
    CertificateField, ClientAuth, Entrance, Farewell, FilterFaultKind, HandshakeFaultKind,
    NamedFiles, TlsContext, TlsFiles, TlsVersion,
};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, SupportedProtocolVersion};

use crate::authority::{Authority, Certified, Folder};
use crate::peer::{Server, V1_2, V1_3, client_config, connect, pump};

const PEER: Option<&str> = Some("192.0.2.1:40000");

fn entrance(files: &TlsFiles) -> Entrance {
    Entrance { tls: Some(Arc::new(TlsContext::new(files).unwrap())), ..Entrance::default() }
}

/// A listener for `localhost`, and whom clients trust.
fn simple() -> (Authority, Entrance) {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let entrance = entrance(&folder.files(&authority.server("localhost")));
    (authority, entrance)
}

fn both_versions(test: impl Fn(&'static [&'static SupportedProtocolVersion])) {
    test(V1_2);
    test(V1_3);
}

#[test]
fn bytes_go_both_ways_in_both_versions() {
    both_versions(|versions| {
        let (authority, entrance) = simple();
        let mut server = Server::new(entrance, PEER);
        let mut client = connect(client_config(&authority, versions, None), "localhost");
        pump(&mut client, &mut server).unwrap();
        assert!(server.established);
        let large: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
        for content in [b"ping".as_slice(), &large, b"!"] {
            server.plain.clear();
            client.set_buffer_limit(None);
            client.writer().write_all(content).unwrap();
            pump(&mut client, &mut server).unwrap();
            assert_eq!(server.plain, content);
            server.send(content);
            server.send(b"");
            pump(&mut client, &mut server).unwrap();
            assert_eq!(std::mem::take(&mut server.at_client), content);
        }
        let facts = server.facts.as_ref().unwrap();
        assert_eq!(facts.server_name.as_deref(), Some("localhost"));
        let (version, cipher) = match versions {
            V1_2 => ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
            _ => ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        };
        assert_eq!(facts.tls_version.as_deref(), Some(version));
        assert_eq!(facts.cipher.as_deref(), Some(cipher));
        assert_eq!(facts.certificate, None);
        assert_eq!(facts.proxy, None);
        assert_eq!(server.peer, Some("192.0.2.1:40000".parse().unwrap()));
    });
}

#[test]
fn any_split_of_the_wire_is_the_same() {
    both_versions(|versions| {
        for step in [1, 2, 3, 4, 5, 6, 7, 100, 1000, 16_000, 16_405] {
            let (authority, entrance) = simple();
            let mut server = Server::new(entrance, PEER);
            server.step = step;
            let mut client = connect(client_config(&authority, versions, None), "localhost");
            client.set_buffer_limit(None);
            let content: Vec<u8> = (0..50_000u32).map(|at| (at / 7) as u8).collect();
            client.writer().write_all(&content).unwrap();
            pump(&mut client, &mut server).unwrap();
            client.writer().write_all(&content).unwrap();
            pump(&mut client, &mut server).unwrap();
            assert_eq!(server.plain, [content.clone(), content].concat(), "step {step}");
        }
    });
}

#[test]
fn an_idle_filter_holds_no_buffer() {
    both_versions(|versions| {
        let (authority, entrance) = simple();
        let mut server = Server::new(entrance, PEER);
        let mut client = connect(client_config(&authority, versions, None), "localhost");
        pump(&mut client, &mut server).unwrap();
        let idle = server.filter.as_ref().unwrap().held_bytes();
        assert!(idle < 4096, "{idle}");
        client.writer().write_all(&[7; 10_000]).unwrap();
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.feed(&wire[..wire.len() - 1]);
        assert!(server.filter.as_ref().unwrap().held_bytes() >= idle + 9_999);
        server.feed(&wire[wire.len() - 1..]);
        assert_eq!(server.plain.len(), 10_000);
        assert_eq!(server.filter.as_ref().unwrap().held_bytes(), idle);
    });
}

#[test]
fn both_sides_say_goodbye() {
    both_versions(|versions| {
        let (authority, entrance) = simple();
        let entrance = Arc::new(entrance);
        let mut server = Server::begin(&entrance, PEER);
        let mut client = connect(client_config(&authority, versions, None), "localhost");
        pump(&mut client, &mut server).unwrap();
        client.writer().write_all(b"last").unwrap();
        client.send_close_notify();
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.feed(&wire);
        assert!(server.ended);
        assert_eq!(server.plain, b"last");
        let mut answer = std::mem::take(&mut server.out);
        client.read_tls(&mut answer.as_slice()).unwrap();
        assert!(client.process_new_packets().unwrap().peer_has_closed());
        server.say_farewell(Farewell::Normal);
        assert!(server.out.is_empty(), "it is said once");
        assert!(server.filter.as_mut().unwrap().outgoing(b"more", &mut answer).is_err());

        let mut server = Server::begin(&entrance, PEER);
        let mut client = connect(client_config(&authority, versions, None), "localhost");
        pump(&mut client, &mut server).unwrap();
        server.say_farewell(Farewell::Policy);
        client.read_tls(&mut server.out.as_slice()).unwrap();
        assert!(client.process_new_packets().unwrap().peer_has_closed());
        server.out.clear();
        client.writer().write_all(b"late").unwrap();
        pump(&mut client, &mut server).unwrap();
        server.feed(&[0xff; 100]);
        assert_eq!((server.plain.as_slice(), server.is_over()), (b"".as_slice(), false));
    });
}

#[test]
fn garbage_is_answered_with_an_alert() {
    let (_, entrance) = simple();
    let entrance = Arc::new(entrance);
    for garbage in [b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\0".as_slice(), b"GET /mqtt HTTP/1.1\r\n"] {
        let mut server = Server::begin(&entrance, PEER);
        server.feed(garbage);
        assert_eq!(server.refused.as_ref().unwrap().kind, HandshakeFaultKind::Tls);
        assert_eq!(server.out[0], 21, "an alert");
    }
}

#[test]
fn a_damaged_record_ends_the_link_with_an_alert() {
    both_versions(|versions| {
        let (authority, entrance) = simple();
        let mut server = Server::new(entrance, PEER);
        let mut client = connect(client_config(&authority, versions, None), "localhost");
        pump(&mut client, &mut server).unwrap();
        client.writer().write_all(b"whole").unwrap();
        client.writer().write_all(b"broken").unwrap();
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        *wire.last_mut().unwrap() ^= 1;
        server.feed(&wire);
        assert_eq!(server.plain, b"whole");
        assert_eq!(server.fault.as_ref().unwrap().kind, FilterFaultKind::Tls);
        let mut alert = server.out.as_slice();
        client.read_tls(&mut alert).unwrap();
        let error = client.process_new_packets().unwrap_err();
        assert_eq!(error, Error::AlertReceived(AlertDescription::BadRecordMac));
        server.out.clear();
        server.say_farewell(Farewell::ProtocolError);
        assert!(server.out.is_empty());
    });
}

#[test]
fn a_record_beyond_the_limit_is_refused_by_its_head() {
    let (authority, entrance) = simple();
    let mut server = Server::new(entrance, PEER);
    let mut client = connect(client_config(&authority, V1_3, None), "localhost");
    pump(&mut client, &mut server).unwrap();
    server.feed(&[23, 3, 3, 0xff, 0xff]);
    assert_eq!(server.fault.as_ref().unwrap().kind, FilterFaultKind::Tls);
}

#[test]
fn keys_are_changed_on_both_sides() {
    let (authority, entrance) = simple();
    let mut server = Server::new(entrance, PEER);
    let mut client = connect(client_config(&authority, V1_3, None), "localhost");
    pump(&mut client, &mut server).unwrap();
    for round in 0..20u8 {
        for _ in 0..round % 3 {
            client.refresh_traffic_keys().unwrap();
        }
        client.writer().write_all(&[round]).unwrap();
        pump(&mut client, &mut server).unwrap();
        server.send(&[round]);
        pump(&mut client, &mut server).unwrap();
        assert_eq!(server.at_client, (0..=round).collect::<Vec<u8>>());
    }
    assert_eq!(server.plain, (0..20).collect::<Vec<u8>>());
}

#[test]
fn the_lowest_version_is_kept_to() {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let files =
        TlsFiles { min_version: TlsVersion::V1_3, ..folder.files(&authority.server("localhost")) };
    let entrance = Arc::new(entrance(&files));
    let mut server = Server::begin(&entrance, PEER);
    let mut client = connect(client_config(&authority, V1_2, None), "localhost");
    let error = pump(&mut client, &mut server).unwrap_err();
    assert_eq!(error, Error::AlertReceived(AlertDescription::ProtocolVersion));
    assert_eq!(server.refused.as_ref().unwrap().kind, HandshakeFaultKind::Tls);
    let mut server = Server::begin(&entrance, PEER);
    let mut client = connect(client_config(&authority, V1_3, None), "localhost");
    pump(&mut client, &mut server).unwrap();
    assert!(server.established);
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let mut files = folder.files(&authority.server("default.example"));
    for (file, name) in
        [("one", "one.example"), ("wildcard", "*.many.example"), ("exact", "exact.many.example")]
    {
        let (certificate, key) = folder.certified(file, &authority.server(name));
        files.names.push(NamedFiles { name: name.into(), certificate, key });
    }
    let entrance = Arc::new(entrance(&files));
    let chosen = |name: &str| {
        let mut server = Server::begin(&entrance, PEER);
        let mut client = connect(client_config(&authority, V1_3, None), name);
        let result = pump(&mut client, &mut server);
        result.map(|()| server.facts.unwrap().server_name.clone().unwrap().to_string())
    };
    for name in ["one.example", "any.many.example", "exact.many.example", "default.example"] {
        assert_eq!(chosen(name).as_deref(), Ok(name));
    }
    assert_eq!(chosen("ONE.example").as_deref(), Ok("one.example"));
    for name in ["other.example", "many.example", "a.b.many.example"] {
        let error = chosen(name).unwrap_err();
        assert!(matches!(
            error,
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ));
    }
}

#[test]
fn a_client_without_a_server_name_gets_the_default() {
    let (authority, entrance) = simple();
    let mut config = client_config(&authority, V1_3, None);
    config.enable_sni = false;
    let mut server = Server::new(entrance, PEER);
    let mut client = connect(config, "localhost");
    pump(&mut client, &mut server).unwrap();
    assert_eq!(server.facts.unwrap().server_name, None);
}

#[test]
fn application_protocols_are_negotiated() {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let files =
        TlsFiles { alpn: vec!["mqtt".into()], ..folder.files(&authority.server("localhost")) };
    let entrance = Arc::new(entrance(&files));
    let connect_with = |offers: &[&str]| {
        let mut config = client_config(&authority, V1_3, None);
        config.alpn_protocols = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut server = Server::begin(&entrance, PEER);
        let mut client = connect(config, "localhost");
        pump(&mut client, &mut server).map(|()| client.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(connect_with(&[]), Ok(None));
    assert_eq!(connect_with(&["h2", "mqtt"]), Ok(Some(b"mqtt".to_vec())));
    let refused = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(connect_with(&["h2"]), Err(refused));
}

struct Mutual {
    servers: Authority,
    clients: Authority,
    folder: Folder,
    files: TlsFiles,
}

fn mutual(client_auth: ClientAuth) -> Mutual {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let folder = Folder::new();
    let files = folder.mutual_files(&servers.server("localhost"), &clients, client_auth);
    Mutual { servers, clients, folder, files }
}

impl Mutual {
    /// Connects; also says what the client was told.
    fn connect(
        &self,
        entrance: Entrance,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Certified>,
    ) -> (Server, Result<(), Error>) {
        self.connect_with(entrance, client_config(&self.servers, versions, certificate))
    }

    fn connect_with(
        &self,
        entrance: Entrance,
        config: ClientConfig,
    ) -> (Server, Result<(), Error>) {
        let mut server = Server::new(entrance, PEER);
        let mut client = connect(config, "localhost");
        let result = pump(&mut client, &mut server);
        (server, result)
    }
}

#[test]
fn a_client_is_known_by_its_certificate() {
    both_versions(|versions| {
        for client_auth in [ClientAuth::Required, ClientAuth::Optional] {
            let mutual = mutual(client_auth);
            let certificate = mutual.clients.client("pump-7", 7);
            let (server, result) =
                mutual.connect(entrance(&mutual.files), versions, Some(&certificate));
            assert_eq!(result, Ok(()));
            let facts = server.facts.unwrap();
            let facts = facts.certificate.as_ref().unwrap();
            assert_eq!(facts.common_name.as_deref(), Some("pump-7"));
            assert_eq!(&*facts.subject, "CN=pump-7");
            assert_eq!(&*facts.issuer, "CN=clients");
            assert_eq!(&*facts.serial, "07");
            assert_eq!(server.client_id, None);
        }
    });
}

#[test]
fn a_certificate_is_required_only_where_it_is() {
    both_versions(|versions| {
        let optional = mutual(ClientAuth::Optional);
        let (server, _) = optional.connect(entrance(&optional.files), versions, None);
        assert_eq!(server.facts.unwrap().certificate, None);
        let required = mutual(ClientAuth::Required);
        let (server, result) = required.connect(entrance(&required.files), versions, None);
        assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Certificate);
        assert!(matches!(result, Err(Error::AlertReceived(_))), "{result:?}");
        let none = mutual(ClientAuth::None);
        let certificate = none.clients.client("pump-7", 7);
        let (server, _) = none.connect(entrance(&none.files), versions, Some(&certificate));
        assert_eq!(server.facts.unwrap().certificate, None);
    });
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    both_versions(|versions| {
        for client_auth in [ClientAuth::Required, ClientAuth::Optional] {
            let mutual = mutual(client_auth);
            // Of the same name, so that only the key differs.
            let stranger = Authority::new("clients").client("pump-7", 7);
            let (server, result) =
                mutual.connect(entrance(&mutual.files), versions, Some(&stranger));
            assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Certificate);
            assert!(matches!(result, Err(Error::AlertReceived(_))), "{result:?}");
        }
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    let mutual = mutual(ClientAuth::Required);
    let expired = mutual.clients.sign(|params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let (server, result) = mutual.connect(entrance(&mutual.files), V1_3, Some(&expired));
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Certificate);
    assert_eq!(result, Err(Error::AlertReceived(AlertDescription::CertificateExpired)));
}

#[test]
fn a_revoked_certificate_is_refused() {
    both_versions(|versions| {
        let mut mutual = mutual(ClientAuth::Required);
        let (good, revoked) = (mutual.clients.client("good", 1), mutual.clients.client("bad", 2));
        let before = entrance(&mutual.files);
        assert_eq!(mutual.connect(before, versions, Some(&revoked)).1, Ok(()));
        let list = mutual.clients.revoke(&[2]);
        for content in [list.pem().unwrap().into_bytes(), list.der().to_vec()] {
            mutual.files.crls = vec![mutual.folder.write("clients.crl", content)];
            let (server, result) =
                mutual.connect(entrance(&mutual.files), versions, Some(&revoked));
            assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Certificate);
            let revoked = Error::AlertReceived(AlertDescription::CertificateRevoked);
            assert_eq!(result, Err(revoked));
            let (server, _) = mutual.connect(entrance(&mutual.files), versions, Some(&good));
            assert!(server.established);
        }
    });
}

#[test]
fn with_lists_each_authority_of_a_chain_needs_one() {
    let mut mutual = mutual(ClientAuth::Required);
    let below = mutual.clients.below("district");
    let mut certificate = below.client("pump-7", 7);
    certificate.chain.push(below.issuer.der().clone());
    assert_eq!(mutual.connect(entrance(&mutual.files), V1_3, Some(&certificate)).1, Ok(()));
    let lists = [below.revoke(&[1]), mutual.clients.revoke(&[1])];
    let paths: Vec<_> = ["district.crl", "clients.crl"]
        .into_iter()
        .zip(&lists)
        .map(|(name, list)| mutual.folder.write(name, list.pem().unwrap()))
        .collect();
    mutual.files.crls = vec![paths[0].clone()];
    let (server, _) = mutual.connect(entrance(&mutual.files), V1_3, Some(&certificate));
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Certificate);
    mutual.files.crls = paths;
    assert_eq!(mutual.connect(entrance(&mutual.files), V1_3, Some(&certificate)).1, Ok(()));
}

#[test]
fn the_client_id_is_read_from_the_certificate() {
    let mutual = mutual(ClientAuth::Optional);
    let with_field = |field| Entrance { client_id: Some(field), ..entrance(&mutual.files) };
    let certificate = mutual.clients.client("pump-7", 7);
    let common_name = with_field(CertificateField::CommonName);
    let (server, _) = mutual.connect(common_name.clone(), V1_3, Some(&certificate));
    assert_eq!(server.client_id.as_deref(), Some("pump-7"));
    let (server, _) = mutual.connect(with_field(CertificateField::Uri), V1_3, Some(&certificate));
    assert_eq!(server.refused.as_ref().unwrap().kind, HandshakeFaultKind::Certificate);
    let (server, _) = mutual.connect(common_name, V1_3, None);
    assert!(server.established && server.client_id.is_none());
}

#[test]
fn a_certificate_whose_name_has_a_nul_is_refused() {
    both_versions(|versions| {
        let mutual = mutual(ClientAuth::Required);
        let certificate = mutual.clients.client("admin\0.example", 7);
        let (server, _) = mutual.connect(entrance(&mutual.files), versions, Some(&certificate));
        let fault = server.refused.unwrap();
        assert_eq!(fault.kind, HandshakeFaultKind::Certificate);
        assert!(fault.text.contains("control characters"), "{fault}");
    });
}

#[test]
fn sessions_are_resumed_unless_clients_show_certificates() {
    both_versions(|versions| {
        let resumes = |mutual: &Mutual, entrance: &Arc<Entrance>, certificate| {
            let config = Arc::new(client_config(&mutual.servers, versions, certificate));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let mut server = Server::begin(entrance, PEER);
                let name = "localhost".try_into().unwrap();
                let mut client = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
                pump(&mut client, &mut server).unwrap();
                assert_eq!(server.facts.unwrap().server_name.as_deref(), Some("localhost"));
                kinds.push(client.handshake_kind().unwrap());
            }
            kinds[1] == rustls::HandshakeKind::Resumed
        };
        let plain = mutual(ClientAuth::None);
        assert!(resumes(&plain, &Arc::new(entrance(&plain.files)), None));
        let required = mutual(ClientAuth::Required);
        let certificate = required.clients.client("pump-7", 7);
        let entrance = Arc::new(entrance(&required.files));
        assert!(!resumes(&required, &entrance, Some(&certificate)));
    });
}

#[test]
fn a_hello_that_never_ends_is_cut_off() {
    let (_, entrance) = simple();
    let mut server = Server::new(entrance, PEER);
    // A client hello of 16 MiB, in records of 1 KiB.
    let mut record = vec![22, 3, 1, 4, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 1024, 0);
    let mut fed = 0;
    while !server.is_over() && fed < 1 << 20 {
        server.feed(&record);
        fed += record.len();
    }
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Tls);
    assert!(fed <= 80 * 1024, "{fed} bytes were taken");
}
