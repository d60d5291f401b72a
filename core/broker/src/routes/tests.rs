use std::collections::{BTreeMap, BTreeSet};

use core_model::{Filter, check_topic_name, filter_matches};
use proptest::prelude::*;

use super::*;

const PLAIN: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::AtLeastOnce,
    no_local: false,
    retain_as_published: false,
    durable: false,
    identifier: 0,
};

fn session(index: u32) -> SessionIndex {
    SessionIndex(index)
}

fn group(name: &str) -> Arc<str> {
    Arc::from(name)
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(String, SessionIndex, SubscriptionOptions),
    Unsubscribe(String, SessionIndex),
    SetInterest(String, ShardId, bool),
    ClearInterest(String, ShardId),
    SetGroup(String, String, ShardId),
    ClearGroup(String, String),
}

/// What the routes must say, computed by walking lists.
#[derive(Default)]
struct Model {
    subscriptions: BTreeMap<(SessionIndex, String), SubscriptionOptions>,
    interest: BTreeMap<(ShardId, String), bool>,
    groups: BTreeMap<(String, String), ShardId>,
}

/// QoS, retain as published and identifiers in ascending order.
type PlainGrant = (QoS, bool, Vec<u32>);

impl Model {
    fn apply(&mut self, step: &Step) {
        match step.clone() {
            Step::Subscribe(f, s, o) => {
                self.subscriptions.insert((s, f), o);
            }
            Step::Unsubscribe(f, s) => {
                self.subscriptions.remove(&(s, f));
            }
            Step::SetInterest(f, s, d) => {
                self.interest.insert((s, f), d);
            }
            Step::ClearInterest(f, s) => {
                self.interest.remove(&(s, f));
            }
            Step::SetGroup(f, k, h) => {
                self.groups.insert((k, f), h);
            }
            Step::ClearGroup(f, k) => {
                self.groups.remove(&(k, f));
            }
        }
    }

    fn interest_in(&self, filter: &str) -> Interest {
        let options = self.subscriptions.iter().filter(|((_, f), _)| f == filter);
        let of = |o: &SubscriptionOptions| match o.durable {
            true => Interest::Durable,
            false => Interest::Volatile,
        };
        options.map(|(_, o)| of(o)).max().unwrap_or(Interest::None)
    }

    fn grant(&self, topic: &str, to: SessionIndex, from_itself: bool) -> Option<PlainGrant> {
        let mut grant: Option<PlainGrant> = None;
        for ((session, filter), options) in &self.subscriptions {
            let silent = from_itself && options.no_local;
            if *session == to && filter_matches(filter, topic) && !silent {
                let (qos, retain, identifiers) =
                    grant.get_or_insert((QoS::AtMostOnce, false, Vec::new()));
                *qos = (*qos).max(options.qos);
                *retain |= options.retain_as_published;
                identifiers.extend((options.identifier != 0).then_some(options.identifier));
                identifiers.sort_unstable();
            }
        }
        grant
    }

    fn check(&self, topic: &str, route: &Route) {
        let sessions: BTreeSet<_> = self.subscriptions.keys().map(|(s, _)| *s).collect();
        let expected: Vec<_> = sessions
            .into_iter()
            .filter_map(|s| Some((s, self.grant(topic, s, false)?, self.grant(topic, s, true))))
            .collect();
        let plain = |grant: &Grant| {
            let mut identifiers = grant.identifiers.to_vec();
            identifiers.sort_unstable();
            (grant.qos, grant.retain_as_published, identifiers)
        };
        let found: Vec<_> = route
            .local
            .iter()
            .map(|t| (t.session, plain(t.grant(false).unwrap()), t.grant(true).map(plain)))
            .collect();
        assert_eq!(found, expected, "local of {topic:?}");

        let mut remote = BTreeMap::new();
        for ((shard, filter), durable) in &self.interest {
            if filter_matches(filter, topic) {
                *remote.entry(*shard).or_default() |= *durable;
            }
        }
        let found: Vec<_> = route.remote.iter().map(|r| (r.shard, r.durable)).collect();
        assert_eq!(found, remote.into_iter().collect::<Vec<_>>(), "remote of {topic:?}");

        let expected: BTreeSet<_> = self
            .groups
            .iter()
            .filter(|((_, filter), _)| filter_matches(filter, topic))
            .map(|((key, _), home)| (key.clone(), home.0))
            .collect();
        let found: Vec<_> = route.groups.iter().map(|g| (g.key.to_string(), g.home.0)).collect();
        assert_eq!(found.len(), expected.len(), "groups of {topic:?}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "groups of {topic:?}");
    }
}

fn apply(routes: &mut Routes, step: &Step) -> Option<Change> {
    match step {
        Step::Subscribe(f, s, o) => return Some(routes.subscribe(f, *s, *o)),
        Step::Unsubscribe(f, s) => return Some(routes.unsubscribe(f, *s)),
        Step::SetInterest(f, s, d) => routes.set_interest(f, *s, *d),
        Step::ClearInterest(f, s) => routes.clear_interest(f, *s),
        Step::SetGroup(f, k, h) => routes.set_group(f, &group(k), *h),
        Step::ClearGroup(f, k) => routes.clear_group(f, k),
    }
    None
}

fn topics() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "a", "b", "$s"]);
    prop::collection::vec(level, 1..7)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("valid", |topic| check_topic_name(topic).is_ok())
}

fn filters() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "a", "b", "$s", "+", "+"]);
    (prop::collection::vec(level, 0..6), prop::bool::weighted(0.3))
        .prop_map(|(mut levels, below)| {
            levels.extend(below.then_some("#"));
            levels.join("/")
        })
        .prop_filter("valid", |filter| Filter::parse(filter).is_ok())
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    (0..3_u8, any::<bool>(), any::<bool>(), any::<bool>(), 0..3_u32).prop_map(
        |(qos, no_local, retain_as_published, durable, identifier)| SubscriptionOptions {
            qos: QoS::from_u8(qos).unwrap(),
            no_local,
            retain_as_published,
            durable,
            identifier,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few filters for each run, so that they are subscribed, replaced and removed again.
    let filters = prop::collection::vec(filters(), 1..10);
    let step = (any::<prop::sample::Index>(), 0..12_u8, 0..4_u32, options());
    (filters, prop::collection::vec(step, 1..60)).prop_map(|(filters, steps)| {
        let of = |(filter, kind, number, options): (prop::sample::Index, _, u32, _)| {
            let filter = filter.get(&filters).clone();
            let shard = ShardId(number as u16);
            let key = format!("$share/{}/{filter}", number % 2);
            match kind {
                0..4 => Step::Subscribe(filter, session(number), options),
                4..7 => Step::Unsubscribe(filter, session(number)),
                7..9 => Step::SetInterest(filter, shard, options.durable),
                9 => Step::ClearInterest(filter, shard),
                10 => Step::SetGroup(filter, key, shard),
                _ => Step::ClearGroup(filter, key),
            }
        };
        steps.into_iter().map(of).collect()
    })
}

proptest! {
    //= mqtt5:3.3.4-2
    //= mqtt5:3.3.4-3
    //= mqtt5:3.3.4-4
    //= mqtt5:3.8.3-3
    //= mqtt5:4.7.2-1
    //= mqtt5:4.7.3-4
    //= mqtt311:4.7.2-1
    //= mqtt311:4.7.3-4
    #[test]
    fn routes_are_what_the_filters_say_after_each_step(
        steps in steps(),
        topics in prop::collection::vec(topics(), 1..8),
    ) {
        let mut model = Model::default();
        let mut all = [Routes::new(1000, 1), Routes::new(3, 2), Routes::new(0, 3)];
        for step in &steps {
            let before = match step {
                Step::Subscribe(f, s, _) | Step::Unsubscribe(f, s) => {
                    let previous = model.subscriptions.get(&(*s, f.clone())).copied();
                    Some((previous, model.interest_in(f)))
                }
                _ => None,
            };
            model.apply(step);
            let expected = match step {
                Step::Subscribe(f, ..) | Step::Unsubscribe(f, _) => before.map(
                    |(previous, before)| Change { previous, before, after: model.interest_in(f) },
                ),
                _ => None,
            };
            for routes in &mut all {
                prop_assert_eq!(apply(routes, step), expected);
                for topic in &topics {
                    model.check(topic, &routes.route(topic));
                }
            }
            let (cached, _) = all[1].cache.size();
            prop_assert!(cached <= 3);
        }
        // Nothing is left of filters that nobody wants.
        for routes in &mut all {
            for step in &steps {
                let _ = match step.clone() {
                    Step::Subscribe(f, s, _) => apply(routes, &Step::Unsubscribe(f, s)),
                    Step::SetInterest(f, s, _) => apply(routes, &Step::ClearInterest(f, s)),
                    Step::SetGroup(f, k, _) => apply(routes, &Step::ClearGroup(f, k)),
                    _ => None,
                };
            }
            prop_assert_eq!(routes.trie.node_count(), 0);
            for topic in &topics {
                prop_assert_eq!(&*routes.route(topic), &Route::default());
            }
        }
    }
}

//= mqtt5:3.3.4-2
//= mqtt5:3.3.4-3
//= mqtt5:3.3.4-4
#[test]
fn overlapping_subscriptions_make_one_copy_with_the_highest_qos_and_all_identifiers() {
    let mut routes = Routes::new(8, 1);
    let with = |qos, identifier| SubscriptionOptions { qos, identifier, ..PLAIN };
    routes.subscribe("a/#", session(1), with(QoS::AtMostOnce, 5));
    routes.subscribe("a/+", session(1), with(QoS::ExactlyOnce, 0));
    routes.subscribe("a/b", session(1), with(QoS::AtLeastOnce, 5));
    routes.subscribe("+/b", session(1), with(QoS::AtLeastOnce, 6));
    let route = routes.route("a/b");
    assert_eq!(route.local.len(), 1);
    let grant = route.local[0].grant(false).unwrap();
    assert_eq!(grant.qos, QoS::ExactlyOnce);
    let mut identifiers = grant.identifiers.to_vec();
    identifiers.sort_unstable();
    assert_eq!(identifiers, [5, 5, 6]);
}

//= mqtt5:3.8.3-3
#[test]
fn no_local_takes_only_its_own_subscription_out() {
    let mut routes = Routes::new(8, 1);
    let silent = SubscriptionOptions { no_local: true, identifier: 1, ..PLAIN };
    let loud = SubscriptionOptions { qos: QoS::AtMostOnce, identifier: 2, ..PLAIN };
    routes.subscribe("a", session(1), silent);
    assert_eq!(routes.route("a").local[0].grant(true), None);
    assert!(routes.route("a").local[0].grant(false).is_some());

    routes.subscribe("#", session(1), loud);
    let route = routes.route("a");
    let own = route.local[0].grant(true).unwrap();
    assert_eq!((own.qos, own.identifiers.to_vec()), (QoS::AtMostOnce, vec![2]));
    assert_eq!(route.local[0].grant(false).unwrap().qos, QoS::AtLeastOnce);

    routes.unsubscribe("a", session(1));
    let route = routes.route("a");
    assert_eq!(route.local[0].grant(true), route.local[0].grant(false));
}

#[test]
fn interest_rises_and_falls_with_subscribers_and_their_durability() {
    let mut routes = Routes::new(8, 1);
    let durable = SubscriptionOptions { durable: true, ..PLAIN };
    let of = |change: Change| (change.before, change.after);
    assert_eq!(of(routes.subscribe("a", session(1), PLAIN)), (Interest::None, Interest::Volatile));
    assert_eq!(
        of(routes.subscribe("a", session(2), durable)),
        (Interest::Volatile, Interest::Durable)
    );
    assert_eq!(
        of(routes.subscribe("a", session(1), durable)),
        (Interest::Durable, Interest::Durable)
    );
    assert_eq!(of(routes.unsubscribe("a", session(2))), (Interest::Durable, Interest::Durable));
    assert_eq!(
        of(routes.subscribe("a", session(1), PLAIN)),
        (Interest::Durable, Interest::Volatile)
    );
    assert_eq!(of(routes.unsubscribe("a", session(1))), (Interest::Volatile, Interest::None));
    let nothing = Change { previous: None, before: Interest::None, after: Interest::None };
    assert_eq!(routes.unsubscribe("a", session(1)), nothing);
}

/// Whether a topic's route stays the same object, that is, cached, over a change.
fn survives(topic: &str, change: impl FnOnce(&mut Routes)) -> bool {
    let mut routes = Routes::new(100, 7);
    routes.subscribe("up/#", session(1), PLAIN);
    routes.set_interest("up/#", ShardId(1), false);
    routes.set_group("up/#", &group("$share/g/up/#"), ShardId(1));
    let before = routes.route(topic);
    change(&mut routes);
    Rc::ptr_eq(&before, &routes.route(topic))
}

#[test]
fn a_change_reaches_only_topics_that_begin_like_its_filter() {
    let subscribe = |filter: &'static str| {
        move |r: &mut Routes| {
            r.subscribe(filter, session(2), PLAIN);
        }
    };
    let topic = "up/b/c/d/e";
    for filter in ["down/#", "up/x/#", "up/b/x/+", "up/b/c/x/e", "x/+/c", "up/b/c/x"] {
        assert!(survives(topic, subscribe(filter)), "{filter}");
    }
    for filter in ["#", "+/b/#", "up/+/c/d/e", "up/b/#", "up/b/c/d/e", "up/b/c/d/#"] {
        assert!(!survives(topic, subscribe(filter)), "{filter}");
    }
    assert!(!survives("up", subscribe("up/#")));
    assert!(!survives("up/", subscribe("up/+")));
}

#[test]
fn what_changes_nothing_keeps_the_cache() {
    assert!(survives("up/1", |r| {
        r.subscribe("up/#", session(1), PLAIN);
    }));
    assert!(survives("up/1", |r| {
        let durable = SubscriptionOptions { durable: true, ..PLAIN };
        assert_eq!(r.subscribe("up/#", session(1), durable).after, Interest::Durable);
    }));
    assert!(survives("up/1", |r| {
        r.unsubscribe("up/#", session(2));
    }));
    assert!(survives("up/1", |r| {
        r.unsubscribe("up/1", session(1));
    }));
    assert!(survives("up/1", |r| r.set_interest("up/#", ShardId(1), false)));
    assert!(survives("up/1", |r| r.clear_interest("up/#", ShardId(2))));
    assert!(survives("up/1", |r| r.set_group("up/#", &group("$share/g/up/#"), ShardId(1))));
    assert!(survives("up/1", |r| r.clear_group("up/#", "$share/h/up/#")));

    assert!(!survives("up/1", |r| {
        r.unsubscribe("up/#", session(1));
    }));
    assert!(!survives("up/1", |r| r.set_interest("up/#", ShardId(1), true)));
    assert!(!survives("up/1", |r| r.clear_interest("up/#", ShardId(1))));
    assert!(!survives("up/1", |r| r.set_group("up/#", &group("$share/g/up/#"), ShardId(2))));
    assert!(!survives("up/1", |r| r.clear_group("up/#", "$share/g/up/#")));
}

#[test]
fn the_cache_stays_within_its_topics_and_bytes() {
    let mut routes = Routes::new(10, 3);
    for number in 0..30 {
        routes.subscribe(&format!("wide/{number}"), session(number), PLAIN);
        routes.subscribe("wide/+", session(number), PLAIN);
    }
    for number in 0..100 {
        routes.route(&format!("none/{number}"));
        assert!(routes.cache.size().0 <= 10);
    }
    assert_eq!(routes.cache.size().0, 10);
    for number in 0..1000 {
        let topic = format!("wide/{number}");
        let route = routes.route(&topic);
        assert!(Rc::ptr_eq(&route, &routes.route(&topic)));
        let (topics, bytes) = routes.cache.size();
        assert!(topics <= 10 && bytes <= 10 * 1024, "{topics} {bytes}");
    }
    let long = "x".repeat(2_000);
    for number in 0..100 {
        routes.route(&format!("{long}{number}"));
        assert!(routes.cache.size().1 <= 10 * 1024);
    }
    assert!(routes.cache.size().0 >= 4);
}

#[test]
fn a_large_route_is_built_anew_instead_of_pushing_the_others_out() {
    let mut routes = Routes::new(10, 3);
    for number in 0..40 {
        routes.subscribe("all", session(number), PLAIN);
    }
    let (other, all) = (routes.route("other"), routes.route("all"));
    assert!(Rc::ptr_eq(&all, &routes.route("all")));
    for number in 40..60 {
        routes.subscribe("all", session(number), PLAIN);
    }
    assert_eq!(routes.route("all").local.len(), 60);
    assert!(!Rc::ptr_eq(&routes.route("all"), &routes.route("all")));
    assert!(Rc::ptr_eq(&other, &routes.route("other")));
    assert_eq!(routes.cache.size().0, 1);
}

#[test]
fn topics_seen_once_do_not_push_out_one_in_use() {
    let mut routes = Routes::new(8, 3);
    let steady = routes.route("steady");
    for number in 0..1000 {
        assert!(Rc::ptr_eq(&steady, &routes.route("steady")));
        routes.route(&number.to_string());
    }
}

#[test]
fn a_round_of_more_topics_than_have_room_still_finds_some() {
    let mut routes = Routes::new(700, 3);
    let topics: Vec<String> = (0..1000).map(|n| format!("t/{n}")).collect();
    let mut last: Vec<_> = topics.iter().map(|topic| routes.route(topic)).collect();
    let mut found = 0;
    for _ in 0..10 {
        for (topic, last) in topics.iter().zip(&mut last) {
            let route = routes.route(topic);
            found += u32::from(Rc::ptr_eq(&route, last));
            *last = route;
        }
    }
    assert!(found > 2000, "{found} of 10000");
}

#[test]
fn a_filter_takes_many_subscribers_and_gives_them_back() {
    let mut routes = Routes::new(0, 1);
    // 7 and 500 have no common divisor, so this is every session once in a mixed order.
    let order = || (0..500).map(|n| session(n * 7 % 500));
    for (count, number) in order().enumerate() {
        assert_eq!(routes.subscribe("f/#", number, PLAIN).previous, None);
        assert_eq!(routes.subscribe("f/#", number, PLAIN).previous, Some(PLAIN));
        assert_eq!(routes.route("f").local.len(), count + 1);
    }
    assert!(routes.route("f").local.is_sorted_by_key(|t| t.session));
    for (count, number) in order().enumerate() {
        assert_eq!(routes.unsubscribe("f/#", number).previous, Some(PLAIN));
        assert_eq!(routes.unsubscribe("f/#", number).previous, None);
        assert_eq!(routes.route("f").local.len(), 499 - count);
        assert!(routes.route("f").local.is_sorted_by_key(|t| t.session));
    }
    assert_eq!(routes.trie.node_count(), 0);
}

#[test]
fn the_deepest_topics_are_only_long() {
    let mut routes = Routes::new(8, 1);
    let topic = "/".repeat(65_535);
    let pluses = vec!["+"; 32_768].join("/");
    routes.subscribe(&topic, session(1), PLAIN);
    routes.subscribe(&pluses, session(2), PLAIN);
    routes.subscribe(&format!("{}/#", &pluses[..pluses.len() - 2]), session(3), PLAIN);
    let sessions = |route: &Route| route.local.iter().map(|t| t.session.0).collect::<Vec<_>>();
    assert_eq!(sessions(&routes.route(&topic)), [1, 3]);
    assert_eq!(sessions(&routes.route(&topic[..32_767])), [2, 3]);
    for (filter, number) in [(topic.as_str(), 1), (pluses.as_str(), 2)] {
        assert_eq!(routes.unsubscribe(filter, session(number)).previous, Some(PLAIN));
    }
    assert_eq!(sessions(&routes.route(&topic)), [3]);
    assert_eq!(routes.trie.node_count(), 32_767);
}

#[test]
fn a_filter_of_a_fleet_costs_less_than_220_bytes() {
    let mut routes = Routes::new(0, 1);
    let count = 100_000;
    for number in 0..count {
        let filter = format!("a/b/{}/+/{number}/up", number % 100);
        routes.subscribe(&filter, session(number / 100), PLAIN);
    }
    let each = routes.trie.memory() / count as usize;
    assert!(each < 220, "{each} bytes");
    assert_eq!(routes.route("a/b/42/x/99942/up").local[0].session, session(999));
}
