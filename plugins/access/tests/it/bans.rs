use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use core_model::{
    BrokerEvent, ClientKey, Evidence, Expiry, Gate, GatewayId, Identity, Observer, Reason,
    Timestamp,
};
use plugin_access::{Ban, BanError, BanList, BanTarget, Flapping, FlappingConfig};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn ban(target: BanTarget, until: Option<u64>) -> Ban {
    let until = until.map(Timestamp::from_millis);
    Ban { target, reason: "noise".into(), by: "ops".into(), until }
}

fn client(name: &str) -> BanTarget {
    BanTarget::ClientId(name.into())
}

fn user(name: &str) -> BanTarget {
    BanTarget::User(name.into())
}

fn address(text: &str) -> BanTarget {
    BanTarget::parse_address(text).unwrap()
}

fn from(peer: &str) -> Evidence {
    Evidence { peer: Some(peer.parse().unwrap()), ..Evidence::default() }
}

fn in_memory() -> BanList {
    BanList::open(None, 100).unwrap()
}

fn keeps_out(bans: &BanList, now: Timestamp, id: &str, peer: &str, user: Option<&str>) -> bool {
    let identity = user.map(Identity::of_user);
    match bans.admit(now, id, &from(peer), identity.as_ref()) {
        Ok(()) => false,
        Err(reason) => reason == Reason::BANNED,
    }
}

#[test]
fn who_is_banned_is_kept_out_until_it_ends() {
    let bans = in_memory();
    assert!(bans.is_empty() && !keeps_out(&bans, NOW, "c", "10.0.0.1:5", Some("eve")));
    bans.add(NOW, ban(client("c"), Some(1_000_500))).unwrap();
    bans.add(NOW, ban(user("eve"), None)).unwrap();
    let at = Timestamp::from_millis;
    assert!(keeps_out(&bans, at(1_000_499), "c", "10.0.0.1:5", None));
    assert!(!keeps_out(&bans, at(1_000_500), "c", "10.0.0.1:5", None));
    assert!(keeps_out(&bans, NOW, "d", "10.0.0.1:5", Some("eve")));
    assert!(!keeps_out(&bans, NOW, "d", "10.0.0.1:5", Some("adam")));
    let claimed = Evidence { user: Some("eve".into()), ..Evidence::default() };
    assert!(bans.admit(NOW, "d", &claimed, None).is_ok());
    assert_eq!(bans.list(NOW).len(), 2);
    assert_eq!(bans.list(at(1_000_500)), [ban(user("eve"), None)]);
    assert_eq!((bans.len(), bans.expire(at(1_000_500)), bans.len()), (2, 1, 1));
    assert!(bans.remove(NOW, &user("eve")).unwrap());
    assert!(!bans.remove(NOW, &user("eve")).unwrap());
    assert!(!keeps_out(&bans, NOW, "d", "10.0.0.1:5", Some("eve")));
}

#[test]
fn addresses_and_networks_are_kept_out() {
    let bans = in_memory();
    for text in ["10.1.2.3", "192.168.7.9/16", "2001:db8::/32", "::ffff:9.9.9.9"] {
        bans.add(NOW, ban(address(text), None)).unwrap();
    }
    for peer in
        ["10.1.2.3:1", "192.168.255.1:1", "[2001:db8:1::2]:1", "[::ffff:10.1.2.3]:1", "9.9.9.9:1"]
    {
        assert!(keeps_out(&bans, NOW, "c", peer, None), "{peer}");
    }
    for peer in ["10.1.2.4:1", "192.169.0.1:1", "[2001:db9::1]:1"] {
        assert!(!keeps_out(&bans, NOW, "c", peer, None), "{peer}");
    }
    assert!(bans.admit(NOW, "c", &Evidence::default(), None).is_ok());
    let shown: Vec<String> = bans.list(NOW).iter().map(|ban| ban.target.to_string()).collect();
    assert_eq!(shown, ["9.9.9.9", "10.1.2.3", "192.168.0.0/16", "2001:db8::/32"]);
    assert!(bans.remove(NOW, &address("192.168.0.0/16")).unwrap());
    assert!(!keeps_out(&bans, NOW, "c", "192.168.255.1:1", None));
    assert!(matches!(BanTarget::parse_address("10/8"), Err(BanError::Address(_))));
}

#[test]
fn there_are_only_so_many_bans() {
    let bans = BanList::open(None, 2).unwrap();
    bans.add(NOW, ban(client("a"), Some(1_000_100))).unwrap();
    bans.add(NOW, ban(client("b"), None)).unwrap();
    bans.add(NOW, ban(client("b"), Some(2_000_000))).unwrap();
    let error = bans.add(NOW, ban(client("c"), None)).unwrap_err();
    assert_eq!(error.to_string(), "there are 2 bans already");
    bans.add(Timestamp::from_millis(1_000_100), ban(client("c"), None)).unwrap();
    let long = Ban { reason: "x".repeat(1_025).into(), ..ban(client("b"), None) };
    assert!(matches!(bans.add(NOW, long.clone()), Err(BanError::TooLong)));
    let fits = Ban { reason: "x".repeat(1_024).into(), ..long };
    bans.add(NOW, fits).unwrap();
}

#[test]
fn bans_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bans.json");
    let bans = BanList::open(Some(path.clone()), 100).unwrap();
    assert!(!path.exists());
    let all = [
        ban(client("c \"1\""), Some(2_000_000)),
        ban(user("eve"), None),
        ban(address("10.0.0.0/8"), None),
    ];
    for ban in &all {
        bans.add(NOW, ban.clone()).unwrap();
    }
    bans.hold(NOW, ban(client("brief"), None)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(BanList::open(Some(path.clone()), 100).unwrap().list(NOW), all);
    assert!(bans.remove(NOW, &user("eve")).unwrap());
    let again = BanList::open(Some(path), 100).unwrap();
    assert_eq!(again.list(NOW).len(), 3);
    assert!(keeps_out(&again, NOW, "brief", "11.0.0.1:1", None));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_broken_file_is_named_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bans.json");
    for (text, problem) in [
        ("", "EOF"),
        ("{\"bans\": [{}]}", "ban 1: needs one of"),
        ("{\"bans\": [{\"client\": \"a\", \"user\": \"b\"}]}", "ban 1: needs one of"),
        ("{\"bans\": [{\"user\": \"b\"}, {\"address\": \"x\"}]}", "ban 2: \"x\" is not an address"),
        ("{\"bans\": [{\"user\": 7}]}", "line 1"),
        ("{\"bans\": [{\"user\": \"a\", \"till\": 7}]}", "till"),
        (&"[".repeat(10_000), "line 1"),
    ] {
        fs::write(&path, text).unwrap();
        let error = BanList::open(Some(path.clone()), 100).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains(problem), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_ban_that_cannot_be_written_is_in_force() {
    let bans = BanList::open(Some(Path::new("/nowhere/bans.json").into()), 100).unwrap();
    let error = bans.add(NOW, ban(client("c"), None)).unwrap_err();
    assert!(matches!(error, BanError::Write { .. }));
    assert!(keeps_out(&bans, NOW, "c", "10.0.0.1:1", None));
}

proptest! {
    #[test]
    fn networks_are_found_as_by_looking_at_each(
        networks in prop::collection::vec((any::<[u8; 4]>(), 0..=32_u8), 0..20),
        addresses in prop::collection::vec(any::<[u8; 4]>(), 1..20),
    ) {
        let bans = in_memory();
        let mut nets = Vec::new();
        for (bytes, length) in networks {
            let net = ipnet::IpNet::new(bytes.into(), length).unwrap().trunc();
            bans.add(NOW, ban(BanTarget::Address(net), None)).unwrap();
            nets.push(net);
        }
        for bytes in addresses {
            let address = std::net::IpAddr::from(bytes);
            let peer = std::net::SocketAddr::new(address, 1).to_string();
            let expected = nets.iter().any(|net| net.contains(&address));
            prop_assert_eq!(keeps_out(&bans, NOW, "c", &peer, None), expected);
        }
    }
}

struct Flaps {
    bans: Arc<BanList>,
    flapping: Flapping,
}

impl Flaps {
    fn new(config: FlappingConfig) -> Self {
        let bans = Arc::new(in_memory());
        Flaps { flapping: Flapping::new(config, bans.clone()), bans }
    }

    fn disconnect(&self, at_ms: u64, id: &str, reason: Reason) {
        let client = ClientKey { gateway: GatewayId(0), client_id: id.into() };
        let expiry = Expiry::WithLink;
        let event = BrokerEvent::Disconnected { client: &client, reason, expiry };
        self.flapping.on_event(Timestamp::from_millis(at_ms), &event);
    }

    fn is_banned(&self, at_ms: u64, id: &str) -> bool {
        keeps_out(&self.bans, Timestamp::from_millis(at_ms), id, "10.0.0.1:1", None)
    }
}

fn three_a_second() -> FlappingConfig {
    FlappingConfig { disconnects_max: 3, window_ms: 1_000, ban_ms: Some(5_000), clients_max: 2 }
}

#[test]
fn who_comes_and_goes_too_often_is_banned_for_a_while() {
    let flaps = Flaps::new(three_a_second());
    for at in [0, 100, 200] {
        flaps.disconnect(at, "c", Reason::SUCCESS);
    }
    assert!(!flaps.is_banned(200, "c"));
    flaps.disconnect(999, "c", Reason::KEEP_ALIVE_TIMEOUT);
    assert!(flaps.is_banned(999, "c") && flaps.is_banned(5_998, "c"));
    assert!(!flaps.is_banned(5_999, "c") && !flaps.is_banned(999, "d"));
    assert_eq!(&*flaps.bans.list(Timestamp::from_millis(999))[0].by, "flapping detection");
}

#[test]
fn disconnections_count_within_the_window_only() {
    let flaps = Flaps::new(three_a_second());
    for at in [0, 100, 200, 1_000, 1_100, 1_999] {
        flaps.disconnect(at, "c", Reason::SUCCESS);
        assert!(!flaps.is_banned(at, "c"), "{at}");
    }
}

#[test]
fn what_the_server_does_to_a_client_does_not_count() {
    let flaps = Flaps::new(three_a_second());
    for reason in
        [Reason::SESSION_TAKEN_OVER, Reason::ADMINISTRATIVE_ACTION, Reason::SERVER_SHUTTING_DOWN]
    {
        for _ in 0..10 {
            flaps.disconnect(0, "c", reason);
        }
    }
    assert!(!flaps.is_banned(0, "c"));
}

#[test]
fn only_so_many_clients_are_counted() {
    let flaps = Flaps::new(three_a_second());
    for at in 0..4 {
        for id in ["a", "b", "c"] {
            flaps.disconnect(at, id, Reason::SUCCESS);
        }
    }
    assert!(flaps.is_banned(4, "a") && flaps.is_banned(4, "b") && !flaps.is_banned(4, "c"));
    for at in 1_100..1_104 {
        flaps.disconnect(at, "c", Reason::SUCCESS);
    }
    assert!(flaps.is_banned(1_104, "c"));
}

/// Nor can they keep a shard busy with looking for room.
#[test]
fn bans_that_clients_bring_on_themselves_leave_room_for_others() {
    let bans = BanList::open(None, 4).unwrap();
    let at = Timestamp::from_millis;
    let hold = |now, name, until| bans.hold(at(now), ban(client(name), Some(until)));
    hold(1_000, "a", 1_500).unwrap();
    hold(1_000, "b", 9_000).unwrap();
    assert!(matches!(hold(1_000, "c", 9_000), Err(BanError::Full(2))));
    hold(1_000, "b", 9_500).unwrap();
    // One has ended, but the last search was less than a second ago.
    assert!(matches!(hold(1_999, "c", 9_000), Err(BanError::Full(2))));
    hold(2_000, "c", 9_000).unwrap();
    bans.add(at(2_000), ban(client("d"), None)).unwrap();
    bans.add(at(2_000), ban(client("e"), None)).unwrap();
    assert!(matches!(bans.add(at(2_000), ban(client("f"), None)), Err(BanError::Full(4))));
    bans.add(at(9_000), ban(client("f"), None)).unwrap();
}
