//! Connects that wait for a look-up.

use std::sync::Arc;

use core_broker::Selector;
use core_model::{Credit, Identity, Operation, Reason, Verdict};

use crate::plugins::{Bans, Users, judge, slow};
use crate::words::{Connecting, id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

fn accepted(user: &str) -> Verdict {
    Verdict::Accept(Identity::of_user(user))
}

/// A node whose first authenticator takes its time for everybody.
fn waiting(layout: Layout) -> World {
    World::with(layout, |s| s.plugins.authenticators = vec![slow(), Arc::new(Users("a"))])
}

/// A connect that waits, on whichever shard it is at home.
fn dial(w: &mut World, connecting: Connecting) -> Client {
    let before = w.lookups();
    let client = w.dial(connecting);
    assert_eq!(w.take(client), NOTHING);
    assert_eq!(w.lookups(), before + 1);
    client
}

#[test]
fn a_connect_waits_for_its_look_up() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let a = dial(&mut w, id("a").user("alice", "good"));
        assert_eq!((w.counters().authenticating, w.counters().lookups), (1, 1));
        // Nothing that it asks for meanwhile has an effect.
        w.begin_publish(a, &msg("t", "x", 1).retain());
        w.begin_subscribe(a, None, vec![sub("#", 1)]);
        w.update_will(a, Some(msg("t", "x", 1).will(0)));
        w.demand(a, Credit::Open);
        w.apply(a, Operation::Connect(Box::new(id("b").0)));
        w.run();
        assert_eq!(w.take(a), NOTHING);
        let counters = w.counters();
        assert_eq!((counters.sessions, counters.retained, counters.subscriptions), (0, 0, 0));
        assert_eq!(w.lookups(), 1);
        w.answer_lookup(0, accepted("alice"));
        assert_eq!(w.take(a), ["connected new"]);
        assert_eq!((w.counters().authenticating, w.counters().lookups), (0, 0));
        assert_eq!(w.subscribe(a, vec![sub("t", 1)]), [1]);
    });
}

#[test]
fn the_chain_goes_on_behind_who_does_not_know() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let a = dial(&mut w, id("1").user("alice", "good"));
        w.answer_lookup(0, Verdict::Unknown);
        assert_eq!(w.take(a), ["connected new"]);
        let b = dial(&mut w, id("2").user("bob", "good"));
        w.answer_lookup(0, Verdict::Unknown);
        assert_eq!(w.take(b), ["refused 0x86"]);
        let c = dial(&mut w, id("3"));
        w.answer_lookup(0, Verdict::Unknown);
        assert_eq!(w.take(c), ["connected new"]);
        let d = dial(&mut w, id("4").no_anonymous());
        w.answer_lookup(0, Verdict::Unknown);
        assert_eq!(w.take(d), ["refused 0x87"]);
        let e = dial(&mut w, id("5").user("alice", "good"));
        w.answer_lookup(0, Verdict::Refuse(Reason::BAD_CREDENTIALS));
        assert_eq!(w.take(e), ["refused 0x86"]);
        // A look-up must not end in another one.
        let f = dial(&mut w, id("6").user("alice", "good"));
        w.answer_lookup(0, Verdict::Later(Box::pin(std::future::pending())));
        assert_eq!(w.take(f), ["refused 0x83"]);
    });
}

#[test]
fn a_chain_may_wait_more_than_once() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            s.plugins.authenticators = vec![slow(), slow(), Arc::new(Users("a"))];
        });
        let a = dial(&mut w, id("a").user("alice", "good"));
        w.answer_lookup(0, Verdict::Unknown);
        assert_eq!((w.take(a), w.lookups()), (vec![], 1));
        w.answer_lookup(0, Verdict::Unknown);
        assert_eq!(w.take(a), ["connected new"]);
    });
}

#[test]
fn answers_for_links_that_are_gone_are_dropped() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let a = dial(&mut w, id("a").user("alice", "good"));
        w.lose(a);
        assert_eq!((w.counters().authenticating, w.counters().lookups), (0, 1));
        // The same slot tries again, with another look-up.
        w.apply(a, Operation::Connect(Box::new(id("a").user("alice", "good").0)));
        w.run();
        w.answer_lookup(0, accepted("alice"));
        assert_eq!(w.take(a), NOTHING);
        w.answer_lookup(0, accepted("alice"));
        assert_eq!(w.take(a), ["connected new"]);
        w.disconnect(a);
        assert_eq!(w.leftovers(), NOTHING);
    });
}

/// Look-ups that nobody waits for any more count until they end.
#[test]
fn look_ups_are_bounded() {
    let mut w = World::with(crate::world::ONE, |s| {
        s.plugins.authenticators = vec![slow()];
        s.limits.lookups_max = 2;
    });
    let a = dial(&mut w, id("a"));
    let b = dial(&mut w, id("b"));
    let c = w.dial(id("c"));
    assert_eq!(w.take(c), ["refused 0x89"]);
    w.lose(a);
    let d = w.dial(id("d"));
    assert_eq!(w.take(d), ["refused 0x89"]);
    w.answer_lookup(0, accepted("a"));
    let e = dial(&mut w, id("e"));
    w.answer_lookup(0, accepted("b"));
    w.answer_lookup(0, accepted("e"));
    assert_eq!((w.take(a), w.take(b), w.take(e)), (vec![], one("connected"), one("connected")));
    assert_eq!(w.counters().connects_refused, 2);
}

fn one(text: &str) -> Vec<String> {
    vec![format!("{text} new")]
}

//= mqtt5:3.1.4-3
#[test]
fn the_newest_connect_gets_the_session_whoever_is_answered_first() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let (old, new) = (dial(&mut w, id("a")), dial(&mut w, id("a")));
        w.answer_lookup(1, accepted("a"));
        assert_eq!(w.take(new), ["connected new"]);
        assert_eq!(w.take(old), ["refused 0x8E"]);
        w.answer_lookup(0, accepted("a"));
        assert_eq!((w.take(old), w.take(new)), (vec![], vec![]));

        let mut w = waiting(layout);
        let (old, new) = (dial(&mut w, id("a")), dial(&mut w, id("a")));
        w.answer_lookup(0, accepted("a"));
        assert_eq!(w.take(old), ["connected new"]);
        w.answer_lookup(0, accepted("a"));
        assert_eq!(w.take(old), ["kicked 0x8E"]);
        assert_eq!(w.take(new), ["connected new"]);

        // One who cannot prove himself disturbs nobody.
        let mut w = waiting(layout);
        let (old, new) = (dial(&mut w, id("a")), dial(&mut w, id("a")));
        w.answer_lookup(1, Verdict::Refuse(Reason::BAD_CREDENTIALS));
        assert_eq!(w.take(new), ["refused 0x86"]);
        w.answer_lookup(0, accepted("a"));
        assert_eq!(w.take(old), ["connected new"]);
    });
}

#[test]
fn who_waits_can_be_kicked() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let a = dial(&mut w, id("a").from("10.0.0.1:5"));
        assert!(w.kick("a", Reason::ADMINISTRATIVE_ACTION));
        assert_eq!(w.take(a), ["refused 0x98"]);
        assert!(!w.kick("a", Reason::ADMINISTRATIVE_ACTION));
        let b = dial(&mut w, id("b").from("10.0.0.2:5"));
        let c = dial(&mut w, id("c").from("10.1.0.2:5"));
        let net = Some("10.0.0.0/16".parse().unwrap());
        let selector = Selector { net, ..Selector::default() };
        let mut kicked = 0;
        w.on_shards(|shard, now, sink| {
            kicked += shard.kick_where(now, &selector, None, Reason::BANNED, sink).clients;
        });
        assert_eq!(kicked, 1);
        assert_eq!((w.take(b), w.take(c)), (vec!["refused 0x8A".into()], vec![]));
        while w.lookups() > 0 {
            w.answer_lookup(0, accepted("x"));
        }
        assert_eq!((w.take(a), w.take(b), w.take(c)), (vec![], vec![], one("connected")));
    });
}

#[test]
fn a_node_that_stops_tells_those_who_wait() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let clients: Vec<_> = (0..5).map(|n| dial(&mut w, id(&format!("c{n}")))).collect();
        w.on_shards(|shard, now, sink| shard.drain(now, sink));
        for client in &clients {
            assert_eq!(w.take(*client), ["draining"]);
        }
        // Nobody gets in any more.
        w.answer_lookup(0, accepted("x"));
        let told: Vec<_> = clients.iter().flat_map(|client| w.take(*client)).collect();
        assert_eq!(told, ["refused 0x88"]);
        let late = w.dial(id("late"));
        assert_eq!(w.take(late), ["refused 0x88"]);
    });
}

/// An authenticator that is not in the chain any more has no say, whatever it found.
#[test]
fn a_changed_chain_is_asked_from_its_beginning() {
    everywhere(|layout| {
        let mut w = waiting(layout);
        let a = dial(&mut w, id("1").user("alice", "good"));
        let b = dial(&mut w, id("2").user("bob", "good"));
        w.set_plugins(|plugins| plugins.authenticators = vec![Arc::new(Users("a"))]);
        w.answer_lookup(0, accepted("alice"));
        w.answer_lookup(0, accepted("bob"));
        assert_eq!(w.take(a), ["connected new"]);
        assert_eq!(w.take(b), ["refused 0x86"]);
    });
}

#[test]
fn each_listener_has_its_own_chain() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            s.plugins.authenticators = vec![Arc::new(Users("a"))];
            s.plugins.chains.insert("inner".into(), vec![Arc::new(Users("b"))]);
            s.plugins.chains.insert("open".into(), vec![]);
        });
        let mut verdict = |connecting: Connecting| {
            let client = w.dial(connecting);
            w.take(client).remove(0)
        };
        assert_eq!(verdict(id("1").user("alice", "good")), "connected new");
        assert_eq!(verdict(id("2").user("bob", "good")), "refused 0x86");
        assert_eq!(verdict(id("3").listener("inner").user("alice", "good")), "refused 0x86");
        assert_eq!(verdict(id("4").listener("inner").user("bob", "good")), "connected new");
        assert_eq!(verdict(id("5").listener("open").user("carol", "x")), "connected new");
        let strict = id("6").listener("open").no_anonymous();
        assert_eq!(verdict(strict.user("carol", "x")), "refused 0x86");
    });
}

/// A name that nobody has looked at proves nothing, so rules must not see it.
#[test]
fn an_anonymous_client_has_no_user_name() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        w.connect(id("a").user("root", "guess"));
        let key = crate::world::key_of("a");
        let home = w.home("a").0;
        let details = w.shard(home).0.client(&key).unwrap();
        assert_eq!((details.info.user, &*details.authenticator), (None, ""));
    });
}

#[test]
fn gates_are_asked_before_and_after_the_chain() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            s.plugins.authenticators = vec![judge(|id, evidence| {
                assert_ne!(id, "banned", "a gate refused it");
                let user = evidence.user.as_deref().unwrap_or("-");
                Verdict::Accept(Identity::of_user(user))
            })];
            let bans = Bans { clients: vec!["banned"], users: vec!["mallory"] };
            s.plugins.gates = vec![Arc::new(Bans::default()), Arc::new(bans)];
        });
        let mut verdict = |connecting: Connecting| {
            let client = w.dial(connecting);
            w.take(client).remove(0)
        };
        assert_eq!(verdict(id("banned").user("alice", "x")), "refused 0x8A");
        assert_eq!(verdict(id("a").user("mallory", "x")), "refused 0x8A");
        assert_eq!(verdict(id("a").user("alice", "x")), "connected new");
    });
}
