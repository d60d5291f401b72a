//! Shared subscriptions: who gets a message, and what becomes of it when he does not want it.

use core_model::{Credit, Outcome, Reason, ShareStrategy};

use crate::words::{id, msg, sub};
use crate::world::{Client, HOME, Layout, NOTHING, World, everywhere};

const GROUP: &str = "$share/g/t";

/// A publisher and members of one group that stay, with the granted QoS of each.
fn group(layout: Layout, granted: &[u8]) -> (World, Client, Vec<Client>) {
    let mut w = World::new(layout);
    let p = w.connect(id("p"));
    let members = granted
        .iter()
        .enumerate()
        .map(|(n, qos)| {
            let member = w.connect(id(&format!("m{n}")).keep());
            assert_eq!(w.subscribe(member, vec![sub(GROUP, *qos)]), [*qos]);
            member
        })
        .collect();
    (w, p, members)
}

fn again(w: &mut World, n: usize) -> Client {
    let member = w.connect(id(&format!("m{n}")).keep());
    assert!(member.present);
    member
}

//= mqtt5:4.8.2-1
#[test]
fn each_message_goes_to_one_member_in_turn() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1, 1, 1]);
        for n in 0..6 {
            assert_eq!(w.publish(p, msg("t", &n.to_string(), 1)), 0);
        }
        assert_eq!(w.take(m[0]), ["q1#1 t=0", "q1#2 t=3"]);
        assert_eq!(w.take(m[1]), ["q1#1 t=1", "q1#2 t=4"]);
        assert_eq!(w.take(m[2]), ["q1#1 t=2", "q1#2 t=5"]);
        assert_eq!(w.counters().subscriptions_shared, 3);
    });
}

//= mqtt5:4.8.2-3
#[test]
fn a_member_gets_at_most_its_granted_qos() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[0, 1, 2]);
        for n in 0..3 {
            w.publish(p, msg("t", &n.to_string(), 2));
        }
        w.publish(p, msg("t", "3", 0));
        w.publish(p, msg("t", "4", 0));
        assert_eq!(w.take(m[0]), ["q0 t=0", "q0 t=3"]);
        assert_eq!(w.take(m[1]), ["q1#1 t=1", "q0 t=4"]);
        assert_eq!(w.take(m[2]), ["q2#1 t=2"]);
    });
}

//= mqtt5:4.7.2-1
#[test]
fn different_filters_and_names_are_different_groups() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, a, b) = (w.connect(id("p")), w.connect(id("a")), w.connect(id("b")));
        w.subscribe_as(a, Some(1), vec![sub("$share/g/t/+", 1)]);
        w.subscribe_as(b, Some(2), vec![sub("$share/g/t/#", 1)]);
        w.subscribe_as(b, Some(3), vec![sub("$share/h/t/x", 0)]);
        w.subscribe_as(b, Some(4), vec![sub("$share/g/#", 1)]);
        w.publish(p, msg("t/x", "x", 1));
        assert_eq!(w.take(a), ["q1#1 t/x=x [1]"]);
        let mut seen = w.take(b);
        seen.sort_by_key(|text| text.split('[').next_back().map(str::to_owned));
        assert_eq!(seen.len(), 3);
        assert!(seen[0].ends_with("[2]") && seen[2].ends_with("[4]"));
        assert_eq!(seen[1], "q0 t/x=x [3]");
        // `$share/g/#` does not see `$` topics.
        w.publish(p, msg("$SYS/x", "x", 1));
        assert_eq!(w.take(b), NOTHING);
    });
}

/// A shared and a plain subscription of one client are independent.
//= mqtt5:3.3.4-5
#[test]
fn a_member_with_a_plain_subscription_gets_both() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1, 1]);
        w.subscribe_as(m[0], Some(9), vec![sub("t", 0)]);
        for n in 0..2 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        let mut seen = w.take(m[0]);
        seen.sort();
        assert_eq!(seen, ["q0 t=0 [9]", "q0 t=1 [9]", "q1#1 t=0"]);
        assert_eq!(w.take(m[1]), ["q1#1 t=1"]);
    });
}

#[test]
fn a_second_subscribe_counts_once_and_changes_the_terms() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[2, 1]);
        assert_eq!(w.subscribe_as(m[0], Some(5), vec![sub(GROUP, 1).rap()]), [1]);
        assert_eq!(w.counters().subscriptions_shared, 2);
        for n in 0..4 {
            w.publish(p, msg("t", &n.to_string(), 2).retain());
        }
        assert_eq!(w.take(m[0]), ["q1#1 retain t=0 [5]", "q1#2 retain t=2 [5]"]);
        assert_eq!(w.take(m[1]), ["q1#1 t=1", "q1#2 t=3"]);
        // No retained messages at a shared subscribe, new or not.
        w.subscribe(m[0], vec![sub(GROUP, 1), sub("$share/other/t", 1)]);
        assert_eq!(w.take(m[0]), NOTHING);
        assert_eq!(w.unsubscribe(m[0], &[GROUP]), [0]);
        w.publish(p, msg("t", "x", 1));
        w.publish(p, msg("t", "x", 1));
        assert_eq!(w.take(m[1]).len(), 2);
    });
}

#[test]
fn members_without_a_link_are_passed_over() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1, 1, 1]);
        w.lose(m[1]);
        for n in 0..4 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        assert_eq!(w.take(m[0]).len() + w.take(m[2]).len(), 4);
        let back = again(&mut w, 1);
        assert_eq!(w.take(back), NOTHING);
        // So are members that sleep.
        w.demand(m[0], Credit::None);
        w.demand(m[2], Credit::None);
        w.publish(p, msg("t", "awake", 1));
        assert_eq!(w.take(back), ["q1#1 t=awake"]);
    });
}

#[test]
fn a_group_holds_what_nobody_can_take() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1, 2]);
        w.lose(m[0]);
        w.lose(m[1]);
        for n in 0..3 {
            assert_eq!(w.publish(p, msg("t", &n.to_string(), n)), 0);
        }
        w.publish(p, msg("t", "late", 1).expiry_s(5));
        w.advance_s(5);
        let back = again(&mut w, 1);
        // QoS 0 is not held, and what expired meanwhile is dropped.
        assert_eq!(w.take(back), ["q1#1 t=1", "q2#2 t=2"]);
        assert_eq!((w.counters().dropped_qos0, w.counters().dropped_expired), (1, 1));
        let other = again(&mut w, 0);
        assert_eq!(w.take(other), NOTHING);
    });
}

#[test]
fn a_group_holds_a_bounded_number_of_messages() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.group_held_messages_max = 2);
        let (p, m) = (w.connect(id("p")), w.connect(id("m0").keep()));
        w.subscribe(m, vec![sub(GROUP, 1)]);
        w.lose(m);
        for n in 0..3 {
            // A full group is no reason to refuse the publisher.
            assert_eq!(w.publish(p, msg("t", &n.to_string(), 1)), 0);
        }
        assert_eq!(w.counters().dropped_queue_full, 1);
        let m = again(&mut w, 0);
        assert_eq!(w.take(m), ["q1#1 t=0", "q1#2 t=1"]);
    });
}

#[test]
fn a_group_ends_with_its_last_member() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1, 1]);
        w.unsubscribe(m[0], &[GROUP]);
        w.lose(m[1]);
        assert_eq!(w.publish(p, msg("t", "held", 1)), 0);
        // The last session ends, and what was held for the group with it.
        let clean = w.connect(id("m1"));
        assert_eq!(w.publish(p, msg("t", "nobody", 1)), 0x10);
        w.subscribe(clean, vec![sub(GROUP, 1)]);
        assert_eq!(w.take(clean), NOTHING);
        w.publish(p, msg("t", "new", 1));
        assert_eq!(w.take(clean), ["q1#1 t=new"]);
        assert_eq!(w.counters().dropped_discarded, 1);
        w.disconnect(clean);
        assert_eq!(w.publish(p, msg("t", "nobody", 1)), 0x10);
        assert_eq!(w.counters().subscriptions_shared, 0);
    });
}

//= mqtt5:4.8.2-5
#[test]
fn unacknowledged_messages_go_to_another_member_when_a_session_ends() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[2, 2]);
        for n in 0..6 {
            w.publish(p, msg("t", &n.to_string(), 1 + n % 2));
        }
        // The first has the QoS 1 messages 0, 2, 4, the second the QoS 2 messages 1, 3, 5.
        assert_eq!(w.take(m[0]), ["q1#1 t=0", "q1#2 t=2", "q1#3 t=4"]);
        assert_eq!(w.take(m[1]), ["q2#1 t=1", "q2#2 t=3", "q2#3 t=5"]);
        w.ack(m[0], 2);
        let clean = w.connect(id("m0"));
        assert_eq!(w.take(m[0]), ["kicked 0x8E"]);
        assert_eq!(w.take(clean), NOTHING);
        assert_eq!(w.take(m[1]), ["q1#4 t=0", "q1#5 t=4"]);
        // QoS 2 messages that were begun are not for anybody else.
        w.subscribe(clean, vec![sub(GROUP, 2)]);
        w.rec(m[1], 1);
        w.take(m[1]);
        w.connect(id("m1"));
        let seen = w.take(clean);
        assert_eq!(seen, ["q1#1 t=0", "q1#2 t=4"]);
    });
}

/// What was never sent may go to another member, QoS 2 as well.
//= mqtt5:4.8.2-5
#[test]
fn messages_that_were_not_sent_go_to_another_member() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, a) = (w.connect(id("p")), w.connect(id("a").receive_max(1)));
        w.subscribe(a, vec![sub(GROUP, 2)]);
        for n in 0..3 {
            w.publish(p, msg("t", &n.to_string(), 2));
        }
        assert_eq!(w.take(a), ["q2#1 t=0"]);
        let b = w.connect(id("b"));
        w.subscribe(b, vec![sub(GROUP, 2)]);
        w.lose(a);
        assert_eq!(w.take(b), ["q2#1 t=1", "q2#2 t=2"]);
    });
}

//= mqtt5:4.8.2-4
#[test]
fn a_begun_qos_2_delivery_is_completed_to_the_same_member() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[2, 2]);
        w.publish(p, msg("t", "0", 2));
        assert_eq!(w.take(m[0]), ["q2#1 t=0"]);
        w.lose(m[0]);
        assert_eq!(w.take(m[1]), NOTHING);
        let back = again(&mut w, 0);
        assert_eq!(w.take(back), ["q2#1 dup t=0"]);
        w.rec(back, 1);
        w.lose(back);
        let back = again(&mut w, 0);
        assert_eq!(w.take(back), ["release #1 0x00"]);
        w.ack(back, 1);
        assert_eq!(w.take(m[1]), NOTHING);
    });
}

//= mqtt5:4.8.2-6
#[test]
fn a_negative_answer_drops_the_message() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[2, 2]);
        w.publish(p, msg("t", "0", 1));
        w.publish(p, msg("t", "1", 2));
        w.settle(m[0], 1, Outcome::Discarded(Reason::UNSPECIFIED));
        w.settle(m[1], 1, Outcome::Discarded(Reason::UNSPECIFIED));
        assert_eq!(w.take(m[0]), ["q1#1 t=0"]);
        assert_eq!(w.take(m[1]), ["q2#1 t=1"]);
        w.lose(m[0]);
        w.lose(m[1]);
        for n in 0..2 {
            let back = again(&mut w, n);
            assert_eq!(w.take(back), NOTHING);
        }
        assert_eq!(w.counters().dropped_discarded, 2);
    });
}

#[test]
fn a_message_that_is_given_back_goes_to_another_member() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1, 1]);
        w.publish(p, msg("t", "0", 1));
        assert_eq!(w.take(m[0]), ["q1#1 t=0"]);
        w.settle(m[0], 1, Outcome::Requeued);
        assert_eq!(w.take(m[1]), ["q1#1 t=0"]);
        w.ack(m[1], 1);
        // The first got its place back.
        w.publish(p, msg("t", "1", 1));
        assert_eq!(w.take(m[0]), ["q1#2 t=1"]);
    });
}

#[test]
fn a_group_waits_for_members_that_have_no_room() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        let m: Vec<_> = (0..2).map(|n| w.connect(id(&format!("m{n}")).receive_max(1))).collect();
        for member in &m {
            w.subscribe(*member, vec![sub(GROUP, 1)]);
        }
        // The first is busy, so the second gets the next one although it is not its turn.
        w.publish(p, msg("t", "0", 1));
        w.publish(p, msg("t", "1", 1));
        w.ack(m[1], 1);
        w.publish(p, msg("t", "2", 1));
        assert_eq!(w.take(m[0]), ["q1#1 t=0"]);
        assert_eq!(w.take(m[1]), ["q1#1 t=1", "q1#2 t=2"]);
    });
}

/// New messages do not overtake what the group still holds.
//= mqtt5:4.6.0-5
#[test]
fn held_messages_go_before_new_ones() {
    everywhere(|layout| {
        let (mut w, p, m) = group(layout, &[1]);
        w.lose(m[0]);
        for n in 1..=4 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        let back = w.connect(id("m0").keep().receive_max(2));
        assert_eq!(w.take(back), ["q1#1 t=1", "q1#2 t=2"]);
        w.publish(p, msg("t", "5", 1));
        for n in 1..=3 {
            w.ack(back, n);
            assert_eq!(w.take(back), [format!("q1#{} t={}", n + 2, n + 2)]);
        }
    });
}

/// The home of the group, the member and the publisher may be three different shards.
//= mqtt5:4.6.0-2
#[test]
fn a_group_works_wherever_its_parts_live() {
    for home in 0..4 {
        for member_at in 0..4 {
            for publisher_at in 0..4 {
                let mut w = World::new(HOME);
                let group = w.group_on(home, "t");
                let (m, p) = (w.id_on(member_at, "m"), w.id_on(publisher_at, "p"));
                let (m, p) = (w.connect(id(&m).keep()), w.connect(id(&p)));
                assert_eq!(w.subscribe(m, vec![sub(&group, 2)]), [2]);
                for qos in 0..3 {
                    assert_eq!(w.publish(p, msg("t", &qos.to_string(), qos)), 0);
                }
                assert_eq!(w.take(m), ["q0 t=0", "q1#1 t=1", "q2#2 t=2"]);
                assert_eq!(w.unsubscribe(m, &[&group]), [0]);
                assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
            }
        }
    }
}

#[test]
fn a_will_reaches_a_group() {
    everywhere(|layout| {
        let (mut w, _, m) = group(layout, &[1, 1]);
        let dying = w.connect(id("dying").will(msg("t", "gone", 1).will(0)));
        w.lose(dying);
        assert_eq!(w.take(m[0]), ["q1#1 t=gone"]);
        assert_eq!(w.take(m[1]), NOTHING);
    });
}

/// Strategies, by share name and in general.
mod strategies {
    use super::*;

    fn shared(
        layout: Layout,
        strategy: ShareStrategy,
        count: usize,
    ) -> (World, Client, Vec<Client>) {
        let mut w = World::with(layout, |s| {
            s.limits.share_strategy = ShareStrategy::RoundRobin;
            s.limits.share_strategy_by_name = vec![("g".into(), strategy)];
        });
        let p = w.connect(id("p"));
        let members = (0..count)
            .map(|n| {
                let member = w.connect(id(&format!("m{n}")));
                w.subscribe(member, vec![sub("$share/g/#", 1)]);
                member
            })
            .collect();
        (w, p, members)
    }

    fn counts(w: &mut World, members: &[Client]) -> Vec<usize> {
        members.iter().map(|member| w.take(*member).len()).collect()
    }

    #[test]
    fn random_reaches_everybody_about_evenly() {
        everywhere(|layout| {
            let (mut w, p, m) = shared(layout, ShareStrategy::Random, 4);
            for _ in 0..400 {
                w.publish(p, msg("t", "x", 0));
            }
            let counts = counts(&mut w, &m);
            assert_eq!(counts.iter().sum::<usize>(), 400);
            assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
        });
    }

    #[test]
    fn sticky_stays_with_a_member_as_long_as_it_can_take_more() {
        everywhere(|layout| {
            let (mut w, p, m) = shared(layout, ShareStrategy::Sticky, 3);
            for _ in 0..10 {
                w.publish(p, msg("t", "x", 1));
            }
            let first = counts(&mut w, &m);
            let chosen = first.iter().position(|count| *count == 10).expect("one has all");
            w.lose(m[chosen]);
            // What it had goes with the rest to one of the others.
            for _ in 0..5 {
                w.publish(p, msg("t", "x", 1));
            }
            let second = counts(&mut w, &m);
            assert!(second.contains(&15), "{second:?}");
        });
    }

    #[test]
    fn hash_client_keeps_a_publisher_with_a_member() {
        everywhere(|layout| {
            let (mut w, _, m) = shared(layout, ShareStrategy::HashClient, 3);
            let mut used = [false; 3];
            for n in 0..12 {
                let p = w.connect(id(&format!("p{n}")));
                for topic in 0..5 {
                    w.publish(p, msg(&format!("t{topic}"), "x", 1));
                }
                let counts = counts(&mut w, &m);
                let chosen = counts.iter().position(|count| *count == 5).expect("one has all");
                used[chosen] = true;
            }
            assert_eq!(used, [true; 3]);
        });
    }

    #[test]
    fn hash_topic_keeps_a_topic_with_a_member() {
        everywhere(|layout| {
            let (mut w, p, m) = shared(layout, ShareStrategy::HashTopic, 3);
            let q = w.connect(id("q"));
            let mut used = [false; 3];
            for n in 0..12 {
                for publisher in [p, q, p] {
                    w.publish(publisher, msg(&format!("t{n}"), "x", 1));
                }
                let counts = counts(&mut w, &m);
                let chosen = counts.iter().position(|count| *count == 3).expect("one has all");
                used[chosen] = true;
            }
            assert_eq!(used, [true; 3]);
        });
    }

    #[test]
    fn local_prefers_the_publishers_shard() {
        let mut w = World::with(HOME, |s| s.limits.share_strategy = ShareStrategy::Local);
        let ids: Vec<String> = (0..4).map(|shard| w.id_on(shard, "m")).collect();
        let m: Vec<Client> = ids.iter().take(3).map(|m| w.connect(id(m))).collect();
        for member in &m {
            w.subscribe(*member, vec![sub("$share/l/t", 1)]);
        }
        for shard in 0..3 {
            let p = w.id_on(shard, "p");
            let p = w.connect(id(&p));
            for _ in 0..4 {
                w.publish(p, msg("t", "x", 1));
            }
            let mut expected = vec![0; 3];
            expected[usize::from(shard)] = 4;
            assert_eq!(counts(&mut w, &m), expected);
        }
        // Where nobody is near, everybody takes turns.
        let p = w.id_on(3, "p");
        let p = w.connect(id(&p));
        for _ in 0..6 {
            w.publish(p, msg("t", "x", 1));
        }
        assert_eq!(counts(&mut w, &m), [2, 2, 2]);
    }

    #[test]
    fn claim_gives_nobody_more_than_it_can_take() {
        everywhere(|layout| {
            let mut w = World::with(layout, |s| s.limits.share_strategy = ShareStrategy::Claim);
            let p = w.connect(id("p"));
            let (a, b) = (w.connect(id("a").receive_max(3)), w.connect(id("b").receive_max(1)));
            for member in [a, b] {
                w.subscribe(member, vec![sub("$share/c/t", 1)]);
            }
            for n in 0..6 {
                assert_eq!(w.publish(p, msg("t", &n.to_string(), 1)), 0);
            }
            assert_eq!(w.take(a), ["q1#1 t=0", "q1#2 t=1", "q1#3 t=3"]);
            assert_eq!(w.take(b), ["q1#1 t=2"]);
            // The rest waits for whoever is free first.
            assert_eq!(w.counters().queued_messages, 0);
            w.ack(b, 1);
            assert_eq!(w.take(b), ["q1#2 t=4"]);
            w.ack(a, 2);
            assert_eq!(w.take(a), ["q1#4 t=5"]);
        });
    }
}
