use core_model::{Authenticator as _, Evidence, Gate as _, Reason, Step, Timestamp, Verdict};
use plugin_access::{ClientIds, Listed};

fn list(listed: Listed) -> ClientIds {
    let mut ids = ClientIds::new("ids", listed);
    ["pump-7", "meter-*", "*-test-*"].iter().for_each(|text| ids.add(text));
    ids
}

#[test]
fn names_and_patterns_are_found() {
    let ids = list(Listed::Accept);
    for id in ["pump-7", "meter-", "meter-1", "a-test-b"] {
        assert!(ids.contains(id), "{id}");
    }
    for id in ["", "pump-77", "Pump-7", "xmeter-1", "a-test"] {
        assert!(!ids.contains(id), "{id}");
    }
}

#[test]
fn the_gate_refuses_all_others() {
    let ids = list(Listed::Accept);
    let admit = |id| ids.admit(Timestamp::ZERO, id, &Evidence::default(), None);
    assert_eq!(admit("pump-7"), Ok(()));
    assert_eq!(admit("pump-8"), Err(Reason::CLIENT_ID_NOT_VALID));
}

#[test]
fn a_chain_refuses_all_others_and_believes_who_is_listed_if_told() {
    let judge = |listed, id| list(listed).authenticate(id, &Evidence::default());
    let Verdict::Accept(identity) = judge(Listed::Accept, "pump-7") else { panic!() };
    assert_eq!((&*identity.authenticator, identity.user), ("ids", None));
    assert!(matches!(judge(Listed::GoOn, "pump-7"), Verdict::Unknown));
    for listed in [Listed::Accept, Listed::GoOn] {
        let refused = judge(listed, "pump-8");
        assert!(matches!(refused, Verdict::Refuse(Reason::CLIENT_ID_NOT_VALID)));
    }
}

#[test]
fn a_file_has_one_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids.txt");
    std::fs::write(&path, "# pumps\n\n pump-7 \r\nmeter-*\n").unwrap();
    let mut ids = ClientIds::new("ids", Listed::Accept);
    ids.add_file(&path).unwrap();
    assert!(ids.contains("pump-7") && ids.contains("meter-9"));
    assert!(!ids.contains("") && !ids.contains("# pumps"));
    assert!(ids.add_file(&folder.path().join("absent")).is_err());
}

/// A proof to those behind it does not lead around the list.
#[test]
fn enhanced_authentication_needs_a_listed_client_too() {
    let ids = list(Listed::GoOn);
    assert!(ids.begin("SCRAM-SHA-256", "pump-7", &Evidence::default()).is_none());
    let mut exchange = ids.begin("SCRAM-SHA-256", "pump-8", &Evidence::default()).unwrap();
    assert!(matches!(exchange.step(b"n,,n=u,r=x"), Step::Refuse(Reason::CLIENT_ID_NOT_VALID)));
}
