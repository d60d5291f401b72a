//! Who may take a session from the link that holds it.

use core_model::Takeover;

use crate::words::{Connecting, id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

fn holder(takeover: Takeover, address: &str) -> Connecting {
    id("a").resume().expiry_s(100).from(address).manners(|m| m.takeover = takeover)
}

#[test]
fn the_holder_of_a_session_says_who_may_take_it() {
    everywhere(|layout| {
        let (home, roaming) = ("10.0.0.1:5", "10.0.0.2:5");
        let cases = [
            (Takeover::Anybody, roaming, true),
            (Takeover::SameAddress, "10.0.0.1:9", true),
            (Takeover::SameAddress, "[::ffff:10.0.0.1]:9", true),
            (Takeover::SameAddress, roaming, false),
            (Takeover::Nobody, home, false),
        ];
        for (takeover, from, may) in cases {
            let mut w = World::new(layout);
            let a = w.connect(holder(takeover, home).will(msg("t", "lost", 1).will(0)));
            w.subscribe(a, vec![sub("u", 1)]);
            // What the other one would allow is of no interest.
            let other = w.dial(holder(Takeover::Anybody, from));
            let (held, heard) = (w.take(a), w.take(other));
            if may {
                assert_eq!(
                    (held, heard),
                    (vec!["kicked 0x8E".into()], vec!["connected present".into()])
                );
                continue;
            }
            assert_eq!((held, heard), (vec![], vec!["refused 0x87".into()]), "{takeover:?} {from}");
            // Nothing has changed for the one who holds it.
            assert_eq!(w.publish(a, msg("u", "x", 1)), 0);
            assert_eq!(w.take(a), ["q1#1 u=x"]);
            w.ack(a, 1);
            // Without a link the session is there for everybody.
            w.lose(a);
            let other = w.connect(holder(Takeover::Anybody, from));
            assert!(other.present);
        }
    });
}

#[test]
fn a_clean_start_takes_no_session_either() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(holder(Takeover::Nobody, "10.0.0.1:5"));
        let other = w.dial(id("a").from("10.0.0.1:5"));
        assert_eq!((w.take(other), w.take(a)), (vec!["refused 0x87".into()], vec![]));
        w.lose(a);
        assert!(w.connect(holder(Takeover::Nobody, "10.0.0.1:5")).present);
    });
}

#[test]
fn an_address_is_the_one_that_the_client_has_now() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(holder(Takeover::SameAddress, "10.0.0.1:5"));
        w.moved(a, "10.0.0.2:6");
        let other = w.dial(holder(Takeover::SameAddress, "10.0.0.1:5"));
        assert_eq!(w.take(other), ["refused 0x87"]);
        let other = w.connect(holder(Takeover::SameAddress, "10.0.0.2:7"));
        assert!(other.present);
        assert_eq!(w.take(a), ["kicked 0x8E"]);
    });
}

/// A slot that said goodbye connects again as if it were new.
#[test]
fn a_slot_comes_back_to_its_session() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(holder(Takeover::Nobody, "10.0.0.1:5"));
        w.disconnect(a);
        let again = Box::new(holder(Takeover::Nobody, "10.0.0.1:5").0);
        w.apply(a, core_model::Operation::Connect(again));
        w.run();
        assert_eq!(w.take(a), ["connected present"]);
        assert_eq!(w.take(a), NOTHING);
    });
}
