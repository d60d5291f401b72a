//! Who is let in.

use std::sync::Arc;

use core_model::{
    Authenticator, DisconnectCause, Evidence, Exchange, Identity, Operation, Reason, Step, Ticket,
    Timestamp, Verdict,
};

use crate::plugins::{Bans, Rules, chain, lists};
use crate::words::{Connecting, id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

fn guarded(layout: Layout) -> World {
    World::with(layout, |s| s.plugins.authenticators = chain())
}

/// What a connect is answered with, in short.
fn verdict(w: &mut World, connecting: Connecting) -> String {
    let client = w.dial(connecting);
    let seen = w.take(client);
    assert_eq!(seen.len(), 1);
    seen[0].clone()
}

//= mqtt5:3.1.4-2
#[test]
fn the_chain_ends_with_the_first_that_knows_the_client() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        assert_eq!(verdict(&mut w, id("1").user("alice", "good")), "connected new");
        assert_eq!(verdict(&mut w, id("2").user("bob", "good")), "connected new");
        assert_eq!(verdict(&mut w, id("3").user("alice", "bad")), "refused 0x86");
        assert_eq!(verdict(&mut w, id("4").user("bob", "banned")), "refused 0x8A");
        // Nobody knows him, and he gave credentials.
        assert_eq!(verdict(&mut w, id("5").user("carol", "good")), "refused 0x86");
        assert_eq!(w.counters().connects_refused, 3);
        assert_eq!(w.counters().sessions, 2);
    });
}

//= mqtt5:3.1.4-2
#[test]
fn anonymous_clients_are_let_in_where_that_is_allowed() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        assert_eq!(verdict(&mut w, id("1")), "connected new");
        assert_eq!(verdict(&mut w, id("2").no_anonymous()), "refused 0x87");
        assert_eq!(verdict(&mut w, id("3").no_anonymous().user("alice", "good")), "connected new");
        // Without any authenticator credentials prove nothing and harm nothing.
        let mut w = World::new(layout);
        assert_eq!(verdict(&mut w, id("1").user("x", "y")), "connected new");
        assert_eq!(verdict(&mut w, id("2").no_anonymous()), "refused 0x87");
        assert_eq!(verdict(&mut w, id("3").no_anonymous().user("x", "y")), "refused 0x86");
    });
}

/// A client that is refused does not even disturb the one that is connected.
//= mqtt5:3.1.4-2
//= mqtt5:3.1.4-3
#[test]
fn a_refused_client_takes_nothing_over() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        let a = w.connect(id("1").keep().user("alice", "good").will(msg("w", "x", 0).will(0)));
        w.subscribe(a, vec![sub("#", 1)]);
        assert_eq!(verdict(&mut w, id("1").user("alice", "bad")), "refused 0x86");
        assert_eq!(verdict(&mut w, id("1").method("rounds", "bad")), "refused 0x87");
        assert_eq!(w.take(a), NOTHING);
        assert_eq!(w.publish(a, msg("t", "x", 1)), 0);
        assert_eq!(w.take(a), ["q1#1 t=x"]);
    });
}

/// After a refusal the slot is as free as before.
#[test]
fn a_refused_client_can_try_again() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        let bad = w.dial(id("1").user("alice", "bad"));
        assert_eq!(w.take(bad), ["refused 0x86"]);
        let update = Operation::UpdateWill { ticket: Ticket(0), will: None };
        for operation in [update, Operation::Demand(core_model::Credit::Open)] {
            w.apply(bad, operation);
        }
        w.begin_publish(bad, &msg("t", "x", 1));
        w.run();
        assert_eq!(w.take(bad), NOTHING);
        w.lose(bad);
        w.apply(bad, Operation::Connect(Box::new(id("1").user("alice", "good").0)));
        w.run();
        assert_eq!(w.take(bad), ["connected new"]);
    });
}

fn answer(w: &mut World, client: Client, data: &str) -> Vec<String> {
    let (method, data) = ("rounds".into(), data.as_bytes().to_vec());
    w.apply(client, Operation::Authenticate { method, data });
    w.run();
    w.take(client)
}

//= mqtt5:4.12.0-2
#[test]
fn an_enhanced_authentication_takes_its_rounds() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        let a = w.dial(id("a").keep().no_anonymous().method("rounds", "hello"));
        assert_eq!(w.take(a), ["challenge number?"]);
        assert_eq!(w.counters().sessions, 0);
        // Nothing else is heard meanwhile.
        w.begin_publish(a, &msg("t", "x", 1));
        w.begin_subscribe(a, None, vec![sub("t", 1)]);
        w.run();
        assert_eq!(w.take(a), NOTHING);
        let (method, data) = ("rounds".into(), b"42".to_vec());
        w.apply(a, Operation::Authenticate { method, data });
        w.run();
        let (a, connected) = w.connected(a);
        assert_eq!(connected.authentication_data.as_deref(), Some(&b"welcome"[..]));
        assert_eq!(w.subscribe(a, vec![sub("t", 1)]), [1]);
        assert_eq!(w.publish(a, msg("t", "x", 1)), 0);
        assert_eq!(w.take(a), ["q1#1 t=x"]);
    });
}

//= mqtt5:4.12.0-1
//= mqtt5:4.12.0-4
#[test]
fn an_enhanced_authentication_can_fail_at_each_step() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        assert_eq!(verdict(&mut w, id("a").method("unknown", "hello")), "refused 0x8C");
        assert_eq!(verdict(&mut w, id("stranger").method("rounds", "hello")), "refused 0x8C");
        assert_eq!(verdict(&mut w, id("a").method("rounds", "wrong")), "refused 0x87");
        let a = w.dial(id("a").method("rounds", "hello"));
        assert_eq!(w.take(a), ["challenge number?"]);
        assert_eq!(answer(&mut w, a, "43"), ["refused 0x87"]);
        assert_eq!(answer(&mut w, a, "42"), NOTHING);
        assert_eq!(w.counters().connects_refused, 4);
        assert_eq!(w.counters().sessions, 0);
    });
}

#[test]
fn a_link_may_end_in_the_middle_of_an_authentication() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        let a = w.dial(id("a").method("rounds", "hello"));
        w.lose(a);
        assert_eq!(w.take(a), ["challenge number?"]);
        assert_eq!(answer(&mut w, a, "42"), NOTHING);
        assert_eq!(w.counters().sessions, 0);
    });
}

/// The identity is that which the exchange proved.
#[test]
fn rules_see_the_proved_identity() {
    everywhere(|layout| {
        let rules = Arc::new(Rules::default());
        let mut w = World::with(layout, |s| {
            s.plugins.authenticators = chain();
            s.plugins.authorizer = Some(rules.clone());
        });
        let a = w.dial(id("a").method("rounds", "hello"));
        w.take(a);
        assert_eq!(answer(&mut w, a, "42"), ["connected new"]);
        w.publish(a, msg("t", "x", 0));
        let b = w.connect(id("b").user("bob", "good"));
        w.publish(b, msg("t", "x", 0));
        assert_eq!(rules.take(), ["a/proved publish 0 t", "b/bob publish 0 t"]);
    });
}

/// An assigned client identifier goes together with an exchange.
#[test]
fn an_exchange_without_client_id_is_assigned_one() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        let a = w.dial(id("").method("rounds", "hello"));
        w.take(a);
        let (method, data) = ("rounds".into(), b"42".to_vec());
        w.apply(a, Operation::Authenticate { method, data });
        w.run();
        assert!(w.connected(a).1.assigned_client_id.is_some());
    });
}

//= mqtt5:4.12.0-2
#[test]
fn a_client_authenticates_again_while_it_goes_on() {
    everywhere(|layout| {
        let mut w = guarded(layout);
        let a = w.connect(id("a").user("alice", "good"));
        w.subscribe(a, vec![sub("t", 1)]);
        assert_eq!(answer(&mut w, a, "hello"), ["challenge number?"]);
        // Other traffic goes on meanwhile.
        assert_eq!(w.publish(a, msg("t", "x", 1)), 0);
        assert_eq!(w.take(a), ["q1#1 t=x"]);
        assert_eq!(answer(&mut w, a, "42"), ["authenticated welcome"]);
        assert_eq!(w.publish(a, msg("t", "y", 1)), 0);
        assert_eq!(w.take(a), ["q1#2 t=y"]);
        // And once more from the beginning.
        assert_eq!(answer(&mut w, a, "hello"), ["challenge number?"]);
    });
}

//= mqtt5:4.12.1-2
#[test]
fn a_failed_re_authentication_ends_the_link() {
    everywhere(|layout| {
        for unknown in [false, true] {
            let mut w = guarded(layout);
            let watcher = w.connect(id("watcher"));
            w.subscribe(watcher, vec![sub("w", 0)]);
            let a = id("a").keep().user("alice", "good").will(msg("w", "gone", 0).will(0));
            let a = w.connect(a);
            w.subscribe(a, vec![sub("t", 1)]);
            if unknown {
                let (method, data) = ("unknown".into(), b"hello".to_vec());
                w.apply(a, Operation::Authenticate { method, data });
                w.run();
                assert_eq!(w.take(a), ["refused 0x8C"]);
            } else {
                assert_eq!(answer(&mut w, a, "hello"), ["challenge number?"]);
                assert_eq!(answer(&mut w, a, "43"), ["refused 0x87"]);
            }
            w.part(a, DisconnectCause::Lost(Reason::NOT_AUTHORIZED), None);
            // The session is without a link, as after any other loss.
            assert_eq!(w.counters().clients_connected, 1);
            assert_eq!(w.take(watcher), ["q0 w=gone"]);
            w.begin_publish(a, &msg("t", "x", 1));
            w.run();
            assert_eq!(w.take(a), NOTHING);
            let a = w.connect(id("a").keep().user("alice", "good"));
            assert!(a.present);
            assert_eq!(w.take(a), NOTHING);
        }
    });
}

/// Believes everybody until a moment, and whoever authenticates again what his data says: a user,
/// and seconds from that moment.
struct Expiring {
    at: Timestamp,
}

impl Expiring {
    fn identity(&self, user: &str, more_s: u32) -> Identity {
        let expires_at = Some(self.at.plus_seconds(more_s));
        Identity { expires_at, ..Identity::of_user(user) }
    }
}

impl Authenticator for Expiring {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        let user = evidence.user.as_deref().unwrap_or("-");
        Verdict::Accept(self.identity(user, 0))
    }

    fn begin(&self, _: &str, _: &str, evidence: &Evidence) -> Option<Box<dyn Exchange>> {
        assert_eq!(&*evidence.listener, "in");
        Some(Box::new(Expiring { at: self.at }))
    }
}

impl Exchange for Expiring {
    fn step(&mut self, data: &[u8]) -> Step {
        let (user, seconds) = std::str::from_utf8(data).unwrap().split_once(' ').unwrap();
        Step::Accept(self.identity(user, seconds.parse().unwrap()), None)
    }
}

const LIFE_S: u64 = 60;

fn expiring(layout: Layout) -> World {
    let mut w = World::new(layout);
    let at = w.now.plus_seconds(LIFE_S as u32);
    w.set_plugins(|plugins| plugins.authenticators = vec![Arc::new(Expiring { at })]);
    w
}

#[test]
fn a_session_ends_its_link_when_the_credentials_expire() {
    everywhere(|layout| {
        for retransmits in [false, true] {
            let mut w = expiring(layout);
            let a = id("a").keep().listener("in").will(msg("w", "gone", 0).will(0));
            let a = w.connect(if retransmits { a.retransmits() } else { a });
            let watcher = w.connect(id("watcher").listener("in"));
            w.subscribe(watcher, vec![sub("w", 0)]);
            answer(&mut w, watcher, "watcher 1000");
            w.advance_ms(LIFE_S * 1000 - 1);
            assert_eq!(w.take(a), NOTHING);
            w.advance_ms(1);
            assert_eq!(w.take(a), ["kicked 0x87"]);
            assert_eq!(w.take(watcher), ["q0 w=gone"]);
            assert_eq!((w.counters().clients_connected, w.counters().sessions), (1, 2));
            // And with what is expired nobody gets in.
            assert_eq!(verdict(&mut w, id("b").listener("in")), "refused 0x87");
        }
    });
}

#[test]
fn a_re_authentication_brings_a_new_identity() {
    everywhere(|layout| {
        let mut w = expiring(layout);
        w.set_plugins(|plugins| plugins.authorizer = lists(&["own/%u"], &["own/%u", "free"]));
        let a = w.connect(id("a").listener("in").user("alice", ""));
        assert_eq!(w.subscribe(a, vec![sub("own/alice", 1), sub("free", 1)]), [1, 1]);
        assert_eq!(answer(&mut w, a, "bob 30"), ["authenticated -"]);
        // What only alice may is over, also what stands.
        assert_eq!(w.publish(a, msg("own/alice", "x", 1)), 0x87);
        assert_eq!(w.publish(a, msg("own/bob", "x", 1)), 0x10);
        assert_eq!(w.counters().subscriptions, 1);
        w.advance_s(LIFE_S + 29);
        assert_eq!(w.take(a), NOTHING);
        w.advance_s(1);
        assert_eq!(w.take(a), ["kicked 0x87"]);
    });
}

#[test]
fn a_re_authentication_can_shorten_a_life() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.plugins.authenticators = chain());
        let a = w.connect(id("a").listener("in").user("alice", "good"));
        let at = w.now.plus_seconds(5);
        w.set_plugins(|plugins| plugins.authenticators = vec![Arc::new(Expiring { at })]);
        assert_eq!(answer(&mut w, a, "alice 0"), ["authenticated -"]);
        w.advance_s(5);
        assert_eq!(w.take(a), ["kicked 0x87"]);
        // What has expired already proves nothing.
        let b = id("b").listener("in");
        assert_eq!(verdict(&mut w, b), "refused 0x87");
    });
}

/// Topics below the user's name are not moved to another name.
#[test]
fn a_re_authentication_does_not_move_topics() {
    everywhere(|layout| {
        for (mountpoint, user, expected) in [
            ("u/%u/", "bob 30", "refused 0x87"),
            ("u/%u/", "alice 30", "authenticated -"),
            ("c/%c/", "bob 30", "authenticated -"),
        ] {
            let mut w = expiring(layout);
            let a = id("a").listener("in").user("alice", "").mountpoint(mountpoint);
            let a = w.connect(a);
            assert_eq!(answer(&mut w, a, user), [expected]);
        }
    });
}

#[test]
fn gates_judge_a_new_identity_too() {
    everywhere(|layout| {
        let mut w = expiring(layout);
        let bans = Bans { users: vec!["mallory"], ..Bans::default() };
        w.set_plugins(|plugins| plugins.gates = vec![Arc::new(bans)]);
        let a = w.connect(id("a").listener("in"));
        assert_eq!(answer(&mut w, a, "mallory 30"), ["refused 0x8A"]);
        assert_eq!(w.counters().clients_connected, 0);
    });
}
