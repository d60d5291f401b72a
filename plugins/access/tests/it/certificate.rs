use std::sync::Arc;

use core_model::{
    Authenticator as _, CertificateFacts, CertificateField, Evidence, Reason, Step, TransportFacts,
    Verdict,
};
use plugin_access::{CertificateSettings, CertificateUsers};

fn evidence() -> Evidence {
    let certificate = CertificateFacts {
        common_name: Some("pump-7".into()),
        subject: "CN=pump-7,O=Water".into(),
        issuer: "CN=ca".into(),
        serial: "01ab".into(),
        fingerprint: "f00d".into(),
        dns_names: vec!["p7.example.org".into(), "other.example.org".into()],
        emails: vec!["p7@example.org".into()],
        uris: vec!["urn:pump:7".into()],
        addresses: Vec::new(),
    };
    let facts = TransportFacts { certificate: Some(certificate), ..TransportFacts::default() };
    Evidence { transport: Some(Arc::new(facts)), ..Evidence::default() }
}

/// The verdict in short.
fn judge(settings: CertificateSettings, client_id: &str, evidence: &Evidence) -> String {
    let settings = CertificateSettings { name: "certificates".into(), ..settings };
    match CertificateUsers::new(settings).authenticate(client_id, evidence) {
        Verdict::Accept(identity) => {
            assert_eq!(&*identity.authenticator, "certificates");
            assert!(!identity.is_superuser);
            identity.user.unwrap().into()
        }
        Verdict::Refuse(reason) => reason.to_string(),
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Later(_) => "later".to_owned(),
    }
}

fn default() -> CertificateSettings {
    CertificateSettings::default()
}

#[test]
fn each_field_can_be_the_user() {
    let fields = [
        (CertificateField::CommonName, "pump-7"),
        (CertificateField::Subject, "CN=pump-7,O=Water"),
        (CertificateField::Serial, "01ab"),
        (CertificateField::Fingerprint, "f00d"),
        (CertificateField::Dns, "p7.example.org"),
        (CertificateField::Email, "p7@example.org"),
        (CertificateField::Uri, "urn:pump:7"),
    ];
    for (user, expected) in fields {
        let settings = CertificateSettings { user, ..default() };
        assert_eq!(judge(settings, "c", &evidence()), expected);
    }
}

#[test]
fn who_shows_no_certificate_or_one_without_the_field_is_unknown() {
    assert_eq!(judge(default(), "c", &Evidence::default()), "unknown");
    let facts = TransportFacts::default();
    let tls = Evidence { transport: Some(Arc::new(facts)), ..Evidence::default() };
    assert_eq!(judge(default(), "c", &tls), "unknown");
    let facts = TransportFacts {
        certificate: Some(CertificateFacts::default()),
        ..TransportFacts::default()
    };
    let nameless = Evidence { transport: Some(Arc::new(facts)), ..Evidence::default() };
    assert_eq!(judge(default(), "c", &nameless), "unknown");
}

#[test]
fn only_users_that_are_allowed_are_let_in() {
    let allow = |list: &[&str]| CertificateSettings {
        allow: list.iter().map(|text| (*text).to_owned()).collect(),
        ..default()
    };
    assert_eq!(judge(allow(&["pump-*"]), "c", &evidence()), "pump-7");
    assert_eq!(judge(allow(&["x", "pump-7"]), "c", &evidence()), "pump-7");
    assert_eq!(judge(allow(&["pump", "*-8"]), "c", &evidence()), "Not authorized");
}

#[test]
fn the_client_identifier_must_fit_where_that_is_said() {
    let settings = CertificateSettings { client_id: Some(CertificateField::Serial), ..default() };
    assert_eq!(judge(settings.clone(), "01ab", &evidence()), "pump-7");
    assert_eq!(judge(settings, "01AB", &evidence()), "Client Identifier not valid");
}

#[test]
fn a_user_name_beside_it_does_not_count() {
    let evidence = Evidence { user: Some("root".into()), ..evidence() };
    assert_eq!(judge(default(), "c", &evidence), "pump-7");
}

#[test]
fn a_proxys_report_counts_unless_told_otherwise() {
    let mut reported = evidence();
    let facts = Arc::make_mut(reported.transport.as_mut().unwrap());
    facts.proxy = Some("127.0.0.1:9".parse().unwrap());
    assert_eq!(judge(default(), "c", &reported), "pump-7");
    let settings = CertificateSettings { from_proxy: false, ..default() };
    assert_eq!(judge(settings.clone(), "c", &reported), "unknown");
    assert_eq!(judge(settings, "c", &evidence()), "pump-7");
}

/// A proof to those behind it does not lead around what is refused here.
#[test]
fn enhanced_authentication_does_not_save_a_certificate_that_is_refused() {
    let begin = |settings: CertificateSettings| {
        CertificateUsers::new(settings).begin("SCRAM-SHA-256", "pump-8", &evidence())
    };
    let bound = CertificateSettings { client_id: Some(CertificateField::CommonName), ..default() };
    let mut exchange = begin(bound).unwrap();
    assert!(matches!(exchange.step(b""), Step::Refuse(Reason::CLIENT_ID_NOT_VALID)));
    let unwelcome = CertificateSettings { allow: vec!["meter-*".into()], ..default() };
    let mut exchange = begin(unwelcome).unwrap();
    assert!(matches!(exchange.step(b""), Step::Refuse(Reason::NOT_AUTHORIZED)));
    assert!(begin(default()).is_none());
}
