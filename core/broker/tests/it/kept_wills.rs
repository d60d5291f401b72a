//! Wills that belong to the session rather than to the link.

use core_model::{DisconnectCause, Will};

use crate::words::{Connecting, id, msg, sub};
use crate::world::{Client, Layout, NOTHING, Setup, World, everywhere};

/// A world with somebody who hears all wills, and a store that takes its time.
fn watched(layout: Layout) -> (World, Client) {
    let late = |s: &mut Setup| s.delays.iter_mut().for_each(|delay| *delay = 2);
    let mut w = World::with(layout, late);
    let watcher = watch(&mut w);
    (w, watcher)
}

fn watch(w: &mut World) -> Client {
    let watcher = w.connect(id("watcher"));
    w.subscribe(watcher, vec![sub("will/#", 0)]);
    watcher
}

fn will(payload: &str) -> Will {
    msg("will/a", payload, 1).will(0)
}

/// A client whose session keeps its will.
fn keeper() -> Connecting {
    id("a").resume().expiry_s(100).manners(|m| m.keeps_will = true)
}

/// Connects, and says which will the session has.
fn dial(w: &mut World, connecting: Connecting) -> (Client, Option<String>) {
    let client = w.dial(connecting);
    let (client, connected) = w.connected(client);
    let text = |m: std::sync::Arc<core_model::StoredMessage>| {
        String::from_utf8_lossy(m.payload()).into_owned()
    };
    (client, connected.will.map(text))
}

fn same(known: Option<String>, expected: &str) {
    assert_eq!(known.as_deref(), Some(expected));
}

#[test]
fn a_kept_will_is_published_at_each_loss() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let (a, known) = dial(&mut w, keeper());
        assert_eq!(known, None);
        w.lose(a);
        assert_eq!(w.take(watcher), NOTHING);
        let (a, known) = dial(&mut w, keeper().will(will("1")));
        same(known, "1");
        w.lose(a);
        assert_eq!(w.take(watcher), ["q0 will/a=1"]);
        for _ in 0..2 {
            let (a, known) = dial(&mut w, keeper());
            same(known, "1");
            w.part(a, DisconnectCause::FarewellWithWill, None);
            assert_eq!(w.take(watcher), ["q0 will/a=1"]);
        }
        // Another connect takes the session: its link was lost too.
        dial(&mut w, keeper());
        let (a, known) = dial(&mut w, keeper().will(will("2")));
        same(known, "2");
        assert_eq!(w.take(watcher), ["q0 will/a=1"]);
        w.lose(a);
        assert_eq!(w.take(watcher), ["q0 will/a=2"]);
        w.advance_s(200);
        assert_eq!(w.take(watcher), NOTHING, "the end of the session is no loss of a link");
        assert_eq!(w.counters().kept_bytes, 0);
    });
}

#[test]
fn a_farewell_keeps_the_will_unpublished() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let (a, _) = dial(&mut w, keeper().will(will("1")));
        w.disconnect(a);
        w.advance_s(99);
        let (a, known) = dial(&mut w, keeper());
        same(known, "1");
        w.disconnect(a);
        w.advance_s(100);
        assert_eq!((w.take(watcher), w.counters().kept_bytes), (vec![], 0));
        // The session ends with its link, which was no loss.
        let (a, _) = dial(&mut w, id("a").manners(|m| m.keeps_will = true).will(will("2")));
        w.disconnect(a);
        assert_eq!((w.take(watcher), w.counters().kept_bytes), (vec![], 0));
        let (a, _) = dial(&mut w, id("a").manners(|m| m.keeps_will = true).will(will("3")));
        w.lose(a);
        assert_eq!(w.take(watcher), ["q0 will/a=3"]);
        assert_eq!(w.counters().kept_bytes, 0);
    });
}

#[test]
fn a_clean_start_drops_a_kept_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let (a, _) = dial(&mut w, keeper().will(will("1")));
        w.disconnect(a);
        let clean = || id("a").expiry_s(100).manners(|m| m.keeps_will = true);
        let (a, known) = dial(&mut w, clean());
        assert_eq!(known, None);
        w.lose(a);
        let (_, known) = dial(&mut w, clean().will(will("2")));
        same(known, "2");
        w.advance_s(200);
        assert_eq!(w.take(watcher), NOTHING);
        // It was lost, and that is all that is heard of it.
        assert_eq!(dial(&mut w, clean()).1, None);
        assert_eq!(w.take(watcher), ["q0 will/a=2"]);
    });
}

#[test]
fn a_client_replaces_and_removes_its_kept_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let (a, _) = dial(&mut w, keeper().will(will("1")));
        w.update_will(a, Some(will("2")));
        assert_eq!(w.take(a), ["will 0x00"]);
        w.disconnect(a);
        let (a, known) = dial(&mut w, keeper());
        same(known, "2");
        w.lose(a);
        assert_eq!(w.take(watcher), ["q0 will/a=2"]);
        let (a, _) = dial(&mut w, keeper());
        w.update_will(a, None);
        assert_eq!(w.take(a), ["will 0x00"]);
        w.lose(a);
        assert_eq!(w.take(watcher), NOTHING);
        assert_eq!(dial(&mut w, keeper()).1, None);
        assert_eq!(w.counters().kept_bytes, 0);
    });
}

#[test]
fn a_refused_update_leaves_the_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let (a, _) = dial(&mut w, keeper().will(will("1")));
        let long = "x".repeat(65_536);
        w.update_will(a, Some(msg(&long, "2", 1).will(0)));
        assert_eq!(w.take(a), ["will 0x90"]);
        w.lose(a);
        assert_eq!(w.take(watcher), ["q0 will/a=1"]);
    });
}

/// A will that is due later, or that a client comes back before, is kept as well.
#[test]
fn a_kept_will_may_have_a_delay() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let late = || msg("will/a", "late", 1).will(10);
        let (a, _) = dial(&mut w, keeper().will(late()));
        w.lose(a);
        w.advance_s(9);
        let (a, known) = dial(&mut w, keeper());
        same(known, "late");
        w.lose(a);
        w.advance_ms(9_999);
        assert_eq!(w.take(watcher), NOTHING);
        w.advance_ms(1);
        assert_eq!(w.take(watcher), ["q0 will/a=late"]);
        w.advance_s(200);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

#[test]
fn a_kept_will_survives_a_restart() {
    everywhere(|layout| {
        // After a farewell, after it was published, and with a link that the end of the process cut.
        for end in ["farewell", "loss", "crash"] {
            let (mut w, watcher) = watched(layout);
            let (a, _) = dial(&mut w, keeper().will(will("1")));
            match end {
                "farewell" => w.disconnect(a),
                "loss" => w.lose(a),
                _ => {}
            }
            assert_eq!(w.take(watcher).len(), usize::from(end == "loss"));
            let before = w.counters().kept_bytes;
            for _ in 0..2 {
                w.restart();
                assert_eq!(w.counters().kept_bytes, before, "{end}");
            }
            // What was due at the start came before there was anybody to hear it.
            let watcher = watch(&mut w);
            let (a, known) = dial(&mut w, keeper());
            same(known, "1");
            w.lose(a);
            assert_eq!(w.take(watcher), ["q0 will/a=1"], "{end}");
            w.advance_s(200);
            assert_eq!((w.take(watcher), w.counters().kept_bytes), (vec![], 0));
        }
    });
}

/// A link that was open counts as lost; one that had said farewell does not.
#[test]
fn a_restart_publishes_the_kept_wills_of_links_that_it_cut() {
    everywhere(|layout| {
        let (mut w, _) = watched(layout);
        let durable = w.connect(id("d").keep());
        w.subscribe(durable, vec![sub("will/#", 1)]);
        let (a, _) = dial(&mut w, keeper().will(will("1")));
        w.disconnect(a);
        w.restart();
        assert_eq!(w.counters().queued_messages, 0);
        dial(&mut w, keeper());
        w.restart();
        assert_eq!(w.counters().queued_messages, 1);
        w.restart();
        assert_eq!(w.counters().queued_messages, 1);
    });
}
