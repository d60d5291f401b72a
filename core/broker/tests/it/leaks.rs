//! Long random lives of sessions, after which nothing may be left.

use core_model::{
    Credit, Disconnect, DisconnectCause, Expiry, Operation, Outcome, Overflow, Reason,
    ShareStrategy, Ticket,
};

use crate::words::{Connecting, id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TOPICS: [&str; 3] = ["t", "t/1", "u"];
const FILTERS: [&str; 7] = ["t", "t/+", "#", "u", "$share/g/t", "$share/g/#", "$share/h/u"];
const STEPS: usize = 400;

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Some clients, each on its newest link if it has one.
struct Life {
    w: World,
    dice: Dice,
    online: [Option<Client>; IDS.len()],
}

impl Life {
    fn new(layout: Layout, seed: u64) -> Life {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let w = World::with(layout, |s| {
            s.limits.kept_bytes_total_max = 12 * msg("t", "xx", 1).size();
            s.limits.subscription_bytes_total_max = 12 * 540;
            std::sync::Arc::make_mut(&mut s.limits.session).queued_messages_max = 5;
            s.limits.group_held_messages_max = 5;
            s.limits.work_per_turn_max = 3;
            s.limits.retransmit_after_s = 5;
            std::sync::Arc::make_mut(&mut s.limits.session).queue_qos0_offline = dice.below(2) == 0;
            std::sync::Arc::make_mut(&mut s.limits.session).overflow =
                dice.pick(&[Overflow::DropNewest, Overflow::DropOldest]);
            s.limits.share_strategy = dice.pick(&[ShareStrategy::RoundRobin, ShareStrategy::Claim]);
            s.delays.iter_mut().for_each(|delay| *delay = dice.below(3));
            s.seed = seed;
        });
        Life { w, dice, online: [None; IDS.len()] }
    }

    fn step(&mut self) {
        let n = self.dice.below(IDS.len() as u64) as usize;
        match (self.dice.below(20), self.online[n]) {
            (0, _) if self.dice.below(10) == 0 => {
                self.w.restart();
                self.online = [None; IDS.len()];
            }
            (0..=2, _) => {
                let millis = self.dice.below(8_000);
                self.w.advance_ms(millis);
            }
            (3, _) | (_, None) => {
                let connecting = self.connecting(IDS[n]);
                self.online[n] = Some(self.w.link(connecting));
            }
            (4, Some(client)) => {
                self.part(client);
                self.online[n] = None;
            }
            (5..=6, Some(client)) => {
                let wanted = vec![sub(self.dice.pick(&FILTERS), self.dice.below(3) as u8)];
                self.w.begin_subscribe(client, None, wanted);
            }
            (7, Some(client)) => {
                self.w.begin_unsubscribe(client, &[self.dice.pick(&FILTERS)]);
            }
            (8..=12, Some(client)) => self.publish(client),
            (13, Some(client)) => {
                let will = msg("t", "w", 1).will(self.dice.below(3) as u32 * 4);
                let will = (self.dice.below(2) == 0).then(|| Box::new(will));
                self.w.apply(client, Operation::UpdateWill { ticket: Ticket(0), will });
            }
            (14, Some(client)) => {
                let credit = self.dice.pick(&[Credit::None, Credit::Open, Credit::Open]);
                self.w.apply(client, Operation::Demand(credit));
            }
            (_, Some(client)) => {
                let handle = self.dice.below(12) as u16 + 1;
                let outcome = self.dice.pick(&[
                    Outcome::Accepted,
                    Outcome::Accepted,
                    Outcome::Received,
                    Outcome::Discarded(Reason::UNSPECIFIED),
                    Outcome::Requeued,
                ]);
                self.w.apply(client, Operation::Settle { handle, outcome });
            }
        }
        match self.dice.below(3) {
            0 => self.w.run(),
            1 => self.w.turn(),
            _ => {}
        }
    }

    fn connecting(&mut self, client_id: &str) -> Connecting {
        let mut connecting = id(client_id).receive_max(self.dice.pick(&[1, 3, 10]));
        if self.dice.below(4) > 0 {
            connecting = connecting.resume();
        }
        connecting = match self.dice.below(3) {
            0 => connecting,
            1 => connecting.expiry_s(10),
            _ => connecting.expiry(Expiry::Never),
        };
        if self.dice.below(2) == 0 {
            let delay_s = self.dice.below(3) as u32 * 4;
            connecting = connecting.will(msg("t", "w", 2).will(delay_s));
        }
        match self.dice.below(3) {
            0 => connecting,
            1 => connecting.requeues(),
            _ => connecting.retransmits(),
        }
    }

    fn part(&mut self, client: Client) {
        let cause = self.dice.pick(&[
            DisconnectCause::Farewell,
            DisconnectCause::FarewellWithWill,
            DisconnectCause::Lost(Reason::UNSPECIFIED),
        ]);
        let expiry = self.dice.pick(&[None, None, Some(Expiry::WithLink)]);
        self.w.apply(client, Operation::Disconnect(Disconnect { cause, expiry }));
    }

    fn publish(&mut self, client: Client) {
        let qos = self.dice.below(3) as u8;
        let mut message = msg(self.dice.pick(&TOPICS), self.dice.pick(&["x", "xx"]), qos);
        if self.dice.below(4) == 0 {
            message = message.expiry_s(3);
        }
        if self.dice.below(8) == 0 {
            message = message.retain();
        }
        self.w.begin_publish(client, &message);
    }

    /// All clients end their sessions, and what is retained is removed.
    fn end(&mut self) {
        self.w.run();
        for client_id in IDS {
            let last = self.w.connect(id(client_id));
            self.w.disconnect(last);
        }
        let p = self.w.connect(id("last"));
        for topic in TOPICS {
            self.w.publish(p, msg(topic, "", 1).retain());
        }
        self.w.disconnect(p);
        self.w.advance_s(100);
    }
}

#[test]
fn after_any_life_nothing_is_left() {
    everywhere(|layout| {
        let (mut refused, mut dropped) = (0, 0);
        for seed in 0..40 {
            let mut life = Life::new(layout, seed);
            for _ in 0..STEPS {
                life.step();
            }
            dropped += life.w.counters().dropped_queue_full;
            refused += life.w.counters().connects_refused;
            life.end();
            let c = life.w.counters();
            let left = [
                ("kept bytes", c.kept_bytes),
                ("queued", c.queued_messages),
                ("queued bytes", c.queued_bytes),
                ("subscriptions", c.subscriptions),
                ("shared", c.subscriptions_shared),
                ("subscription bytes", c.subscription_bytes),
                ("sessions", c.sessions),
                ("connected", c.clients_connected),
                ("retained", c.retained),
                ("retained bytes", c.retained_bytes),
            ];
            let left: Vec<_> = left.into_iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(left, [], "seed {seed}");
            assert_eq!(life.w.leftovers(), NOTHING, "seed {seed}");
        }
        // The limits were reached, or the lives were too quiet.
        assert!(refused > 0 && dropped > 0, "{refused} refused, {dropped} dropped");
    });
}
