//! Races that have a name, each over many schedules.

use core_model::{
    BrokerLimits, Disconnect, DisconnectCause, Expiry, Filter, QoS, RetainHandling, ShardId,
    ShareStrategy, Subscription,
};
use tests_sim::checkers::GROUP_IDENTIFIERS;
use tests_sim::rng::Rng;
use tests_sim::trace::Hello;
use tests_sim::workload::{Profile, Sim, any_qos};

use crate::bench::hello;
use crate::seeds::for_seeds;

/// A lossless node of several shards with this many clients, who do nothing of themselves.
fn stage(seed: u64, clients: usize, change: impl Fn(&mut Profile, &mut Rng)) -> Sim {
    let mut rng = Rng::new(seed);
    let mut profile = Profile::lossless(&mut rng);
    profile.clients = clients;
    profile.node.shards = rng.between(2, 4) as u16;
    std::sync::Arc::make_mut(&mut profile.node.limits.session).inflight_max = 1024;
    profile.requeues = 0;
    change(&mut profile, &mut rng);
    Sim::new(seed, profile)
}

fn subscription(filter: &str, qos: QoS) -> Subscription {
    Subscription {
        filter: Filter::parse(filter).expect("it is valid"),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

/// Connects a client with a session that stays, at home or, by chance, elsewhere.
fn join(sim: &mut Sim, client: usize, change: impl Fn(&mut Hello)) {
    let mut hello = hello(client);
    change(&mut hello);
    let shards = usize::from(sim.world.shard_count());
    let home = sim.world.home_of(&hello.client_id);
    let anywhere = ShardId(sim.rng().below(shards) as u16);
    let shard = if sim.rng().chance(50) { home } else { anywhere };
    sim.greet(client, shard, hello);
}

/// All clients connect, and all connects are answered.
fn all_join(sim: &mut Sim) {
    for client in 0..sim.clients.len() {
        join(sim, client, |_| {});
    }
    rest(sim);
}

fn rest(sim: &mut Sim) {
    assert!(sim.come_to_rest(true), "{}", sim.world.witness.report());
}

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-6
//= mqtt5:3.3.1-9
//= mqtt5:3.8.4-4
//= mqtt311:3.3.1-5
//= mqtt311:3.3.1-6
//= mqtt311:3.3.1-8
//= mqtt311:3.8.4-3
#[test]
fn subscribe_meets_retained_publish() {
    for_seeds("subscribe_meets_retained_publish", 400, |seed| {
        let mut sim = stage(seed, 4, |profile, _| profile.discards = 0);
        all_join(&mut sim);
        let qos = any_qos(sim.rng());
        for _ in 0..30 {
            match sim.rng().below(4) {
                0 => {
                    let topic = sim.rng().pick(&["r/0", "r/1"]);
                    sim.say(0, topic, qos, true);
                }
                1 => {
                    let client = sim.rng().between(1, 3);
                    let (filter, identifier) = sim.rng().pick(&[("r/0", 9), ("r/+", 11)]);
                    let granted = any_qos(sim.rng());
                    sim.ask(client, identifier, subscription(filter, granted));
                }
                2 => {
                    let client = sim.rng().between(1, 3);
                    let filter = sim.rng().pick(&["r/0", "r/+"]);
                    sim.drop_filter(client, filter);
                }
                _ => {}
            }
            let steps = sim.rng().below(12);
            sim.drift(steps);
        }
        sim.finish();
        sim
    });
}

//= mqtt5:3.10.4-2
//= mqtt5:3.10.4-3
//= mqtt311:3.10.4-2
//= mqtt311:3.10.4-3
#[test]
fn unsubscribe_meets_publish() {
    for_seeds("unsubscribe_meets_publish", 300, |seed| {
        let mut sim = stage(seed, 4, |_, _| {});
        all_join(&mut sim);
        for _ in 0..30 {
            let client = sim.rng().between(1, 3);
            let (filter, identifier) = sim.rng().pick(&[("t/0", 1), ("t/+", 3)]);
            if sim.rng().chance(50) {
                let qos = any_qos(sim.rng());
                sim.ask(client, identifier, subscription(filter, qos));
            } else {
                sim.drop_filter(client, filter);
            }
            let qos = any_qos(sim.rng());
            sim.say(0, "t/0", qos, false);
            let steps = sim.rng().below(10);
            sim.drift(steps);
        }
        sim.finish();
        sim
    });
}

//= mqtt5:4.8.2-4
//= mqtt5:4.8.2-5
#[test]
fn group_members_come_and_go_while_others_publish() {
    for_seeds("group_members_come_and_go_while_others_publish", 400, |seed| {
        let mut sim = stage(seed, 5, |profile, rng| {
            profile.node.limits.share_strategy = rng.pick(&STRATEGIES);
        });
        all_join(&mut sim);
        let group = "$share/g/t/#";
        for _ in 0..40 {
            let client = sim.rng().between(1, 4);
            match sim.rng().below(10) {
                0..3 => {
                    let qos = sim.rng().pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
                    sim.ask(client, GROUP_IDENTIFIERS, subscription(group, qos));
                }
                3 => sim.drop_filter(client, group),
                4 => {
                    let heard = sim.rng().chance(50);
                    if sim.clients[client].online {
                        sim.break_link(client, heard);
                    }
                }
                5 => {
                    let expiry = sim.rng().pick(&[None, Some(Expiry::WithLink)]);
                    let cause = DisconnectCause::Farewell;
                    if sim.clients[client].online {
                        sim.say_goodbye(client, Disconnect { cause, expiry });
                        sim.clients[client].close();
                    }
                }
                6 if sim.clients[client].slot.is_none() => {
                    let clean_start = sim.rng().chance(30);
                    let receive_max = sim.rng().pick(&[1, 2, 100]);
                    join(&mut sim, client, |hello| {
                        hello.clean_start = clean_start;
                        hello.receive_max = receive_max;
                    });
                }
                _ => {
                    let qos = any_qos(sim.rng());
                    sim.say(0, "t/1", qos, false);
                }
            }
            let steps = sim.rng().below(8);
            sim.drift(steps);
        }
        sim.finish();
        sim
    });
}

const STRATEGIES: [ShareStrategy; 7] = [
    ShareStrategy::Random,
    ShareStrategy::RoundRobin,
    ShareStrategy::Sticky,
    ShareStrategy::HashClient,
    ShareStrategy::HashTopic,
    ShareStrategy::Local,
    ShareStrategy::Claim,
];

//= mqtt5:3.1.4-3
//= mqtt5:4.3.3-10
//= mqtt5:4.4.0-1
//= mqtt311:3.1.4-2
//= mqtt311:4.3.3-2
//= mqtt311:4.4.0-1
#[test]
fn take_over_in_every_state_of_qos_2() {
    // The number of turns before the take-over decides which state it meets: for the publisher from
    // before the message is taken to after its release, for the receiver likewise.
    for_seeds("take_over_in_every_state_of_qos_2", 800, |seed| {
        let mut sim = stage(seed, 2, |profile, rng| {
            profile.node.store_delay_max = rng.pick(&[0, 3, 8]);
            profile.discards = 0;
        });
        all_join(&mut sim);
        sim.ask(1, 1, subscription("t/0", QoS::ExactlyOnce));
        sim.drift(40);
        let victim = (seed % 2) as usize;
        let receive_max = sim.rng().pick(&[1, 2, 100]);
        for _ in 0..3 {
            for _ in 0..sim.rng().between(1, 3) {
                sim.say(0, "t/0", QoS::ExactlyOnce, false);
            }
            let steps = sim.rng().below(40);
            sim.drift(steps);
            if sim.clients[victim].online {
                let heard = sim.rng().chance(30);
                sim.break_link(victim, heard);
                join(&mut sim, victim, |hello| hello.receive_max = receive_max);
            }
            let steps = sim.rng().below(15);
            sim.drift(steps);
        }
        sim.finish();
        sim
    });
}

#[test]
fn everybody_publishes_to_everybody_through_rings_of_one_batch() {
    for_seeds("everybody_publishes_to_everybody_through_rings_of_one_batch", 40, |seed| {
        let mut sim = stage(seed, 8, |profile, _| {
            profile.node.shards = 4;
            profile.node.ring_capacity = 1;
            profile.node.inputs_per_turn = 10;
            profile.discards = 0;
        });
        all_join(&mut sim);
        for client in 0..8 {
            let qos = any_qos(sim.rng());
            sim.ask(client, 4, subscription("t/#", qos));
            sim.ask(client, GROUP_IDENTIFIERS, subscription("$share/g/t/#", QoS::AtLeastOnce));
        }
        sim.drift(100);
        for _ in 0..15 {
            for client in 0..8 {
                let qos = any_qos(sim.rng());
                let topic = sim.rng().pick(&["t/0", "t/1", "t/2"]);
                sim.say(client, topic, qos, false);
            }
            let steps = sim.rng().below(20);
            sim.drift(steps);
        }
        sim.finish();
        sim
    });
}

#[test]
fn a_shard_that_stands_still_stops_readers_instead_of_filling_memory() {
    for_seeds("a_shard_that_stands_still_stops_readers_instead_of_filling_memory", 20, |seed| {
        let mut sim = stage(seed, 6, |profile, _| {
            profile.node.shards = 3;
            profile.node.ring_capacity = 1;
            profile.node.inputs_per_turn = 10;
            profile.discards = 0;
        });
        all_join(&mut sim);
        for client in 0..6 {
            sim.ask(client, 4, subscription("t/#", QoS::AtLeastOnce));
        }
        rest(&mut sim);
        for _ in 0..200 {
            for client in 0..6 {
                sim.say(client, "t/0", QoS::AtLeastOnce, false);
                sim.attend(client, 4);
            }
            // Shard 0 takes no turn.
            sim.world.turn(ShardId(1));
            sim.world.turn(ShardId(2));
        }
        let most = sim.world.outbox_max();
        // Thirty messages of each client, each for six clients; more than five times as many would
        // be written if reading went on.
        assert!(most < 1_200, "{most} letters waited for a shard that stood still");
        sim.finish();
        sim
    });
}

//= mqtt5:4.1.0-2
#[test]
fn a_session_with_ten_thousand_filters_ends_while_others_publish() {
    for_seeds("a_session_with_ten_thousand_filters_ends_while_others_publish", 4, |seed| {
        let mut sim = stage(seed, 3, |profile, _| {
            profile.node.limits = BrokerLimits { work_per_turn_max: 100, ..Default::default() };
            profile.discards = 0;
        });
        join(&mut sim, 0, |_| {});
        join(&mut sim, 1, |_| {});
        join(&mut sim, 2, |hello| hello.expiry = Expiry::WithLink);
        rest(&mut sim);
        for filters in (0..10_000).collect::<Vec<u32>>().chunks(500) {
            let ticket = sim.clients[2].ticket();
            let wanted = |n| Subscription {
                retain_handling: RetainHandling::DoNotSend,
                ..subscription(&format!("t/{n}"), QoS::AtLeastOnce)
            };
            let subscriptions = filters.iter().map(wanted).collect();
            let op = tests_sim::trace::Op::Subscribe { ticket, identifier: Some(1), subscriptions };
            sim.send(2, op);
        }
        sim.ask(1, 1, subscription("t/0", QoS::AtLeastOnce));
        sim.ask(1, 4, subscription("t/#", QoS::ExactlyOnce));
        rest(&mut sim);
        assert_eq!(subscriptions(&sim), 10_002);
        sim.break_link(2, true);
        let home = sim.world.home_of("c2");
        let mut turns = 0;
        while subscriptions(&sim) > 2 {
            let topic = format!("t/{}", sim.rng().below(10_000));
            let qos = any_qos(sim.rng());
            sim.say(0, &topic, qos, false);
            let before = subscriptions(&sim);
            sim.world.turn(home);
            // Reading a link may begin the end and so do one budget more.
            assert!(before - subscriptions(&sim) <= 200, "a turn removed too much at once");
            sim.drift(3);
            turns += 1;
            assert!(turns < 1_000, "the session does not end");
            if turns == 20 {
                // The same client comes back before the old session's filters are gone.
                join(&mut sim, 2, |hello| hello.expiry = Expiry::Never);
            }
        }
        sim.finish();
        sim
    });
}

fn subscriptions(sim: &Sim) -> u64 {
    sim.world.shards().iter().map(|shard| shard.counters().subscriptions).sum()
}
