//! What gateways have sessions remember.

use core_model::Expiry;

use crate::words::{Connecting, id};
use crate::world::{Client, NOTHING, Setup, World, everywhere};

fn mortal() -> Connecting {
    id("s").resume().expiry_s(100)
}

/// Connects, and says what the session remembers.
fn notes(w: &mut World, connecting: Connecting) -> (Client, Vec<String>) {
    let client = w.dial(connecting);
    let (client, connected) = w.connected(client);
    let notes = connected.notes.iter();
    let text = notes.map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value)));
    (client, text.collect())
}

#[test]
fn the_next_link_gets_what_a_session_remembers() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (s, known) = notes(&mut w, mortal());
        assert_eq!(known, NOTHING);
        for (key, value) in [(7, "seven"), (2, "two"), (u32::MAX, ""), (3, "three")] {
            w.note(s, key, Some(value));
        }
        w.note(s, 2, Some("zwei"));
        w.note(s, 3, None);
        w.note(s, 9, None);
        assert_eq!(w.take(s), NOTHING);
        w.lose(s);
        for _ in 0..2 {
            let (s, known) = notes(&mut w, mortal());
            assert_eq!(known, ["2=zwei", "7=seven", "4294967295="]);
            w.disconnect(s);
        }
        // Those of another gateway's client of that name are its own.
        assert_eq!(notes(&mut w, mortal().gateway(1)).1, NOTHING);
    });
}

#[test]
fn notes_go_with_their_session() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let begin = |w: &mut World, connecting| {
            let (s, known) = notes(w, connecting);
            assert_eq!(known, NOTHING);
            w.note(s, 1, Some("one"));
            assert!(w.counters().kept_bytes > 3);
            s
        };
        begin(&mut w, mortal());
        let s = begin(&mut w, id("s").expiry_s(100));
        w.lose(s);
        w.advance_s(100);
        assert_eq!(w.counters().kept_bytes, 0, "it has expired");
        let s = begin(&mut w, id("s").resume());
        w.lose(s);
        assert_eq!(w.counters().kept_bytes, 0, "it ended with its link");
        let s = begin(&mut w, mortal());
        w.note(s, 1, None);
        w.note(s, 1, None);
        assert_eq!(w.counters().kept_bytes, 0, "it is forgotten");
        w.part(s, core_model::DisconnectCause::Farewell, Some(Expiry::WithLink));
        assert_eq!(w.leftovers(), NOTHING);
    });
}

#[test]
fn notes_survive_a_restart() {
    everywhere(|layout| {
        let late = |s: &mut Setup| s.delays.iter_mut().for_each(|delay| *delay = 3);
        let mut w = World::with(layout, late);
        let (s, _) = notes(&mut w, mortal());
        for (key, value) in [(1, Some("a")), (2, Some("b")), (1, Some("c")), (2, None)] {
            w.note(s, key, value);
        }
        let other = w.connect(id("t"));
        w.note(other, 5, Some("not durable"));
        w.disconnect(other);
        let before = w.counters().kept_bytes;
        for _ in 0..2 {
            w.restart();
            assert_eq!(w.counters().kept_bytes, before);
        }
        let (s, known) = notes(&mut w, mortal());
        assert_eq!(known, ["1=c"]);
        // A link that ends the session with itself has them, the one after it has not.
        w.lose(s);
        let (_, known) = notes(&mut w, id("s").resume());
        assert_eq!(known, ["1=c"]);
        w.restart();
        assert_eq!(w.counters().kept_bytes, 0);
        assert_eq!(notes(&mut w, mortal()).1, NOTHING);
    });
}
