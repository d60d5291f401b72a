//! The cases, each for a number of shards.

mod access;
mod drain;
mod identity;
mod limits;
mod secrets;
mod sleep;
mod slots;
mod slow;
mod strangers;

pub use access::{
    mountpoints_cannot_be_left, rules_bind_publishes, rules_bind_retained_messages,
    rules_bind_subscriptions, rules_bind_wills, who_is_banned_stays_out,
};
pub use drain::a_drained_node_tells_everybody;
pub use identity::{
    an_identity_is_taken_over_by_its_owner, an_identity_moves_only_as_the_listener_allows,
};
pub use limits::{
    connections_beyond_the_limit_are_refused,
    connections_of_one_source_beyond_the_limit_are_refused, packets_beyond_the_limit_are_not_taken,
    sessions_beyond_the_limit_are_refused, subscriptions_beyond_the_limit_are_refused,
};
pub use secrets::secrets_are_shown_nowhere;
pub use sleep::{a_sleeper_is_not_woken_by_others, who_sleeps_hears_nothing};
pub use slots::slots_of_one_link_leave_each_other_alone;
pub use slow::{a_peer_that_reads_nothing_is_closed, a_slow_subscriber_harms_only_itself};
pub use strangers::{
    strangers_reach_nothing, who_is_not_yet_believed_reaches_nothing,
    who_is_refused_reaches_nothing,
};

use super::world::World;
use super::{Client, End, Login, Subject, Transport};

/// The next message of `client` is this one.
#[track_caller]
fn expect(client: &mut impl Client, topic: &str, payload: &[u8]) {
    let received = client.receive().expect("the link has ended");
    let found = (received.topic.as_str(), &*String::from_utf8_lossy(&received.payload));
    assert_eq!(found, (topic, &*String::from_utf8_lossy(payload)));
}

/// The link of `client` ends, with a word if the protocol has one.
#[track_caller]
fn expect_end<S: Subject>(client: &mut S::Client) {
    let end = client.end();
    assert!(end == End::Told || !S::ABILITIES.says_goodbye, "the client was not told");
}

/// Waits until all that `client` has sent was handled, by a client who may be a stranger: a stream
/// ends; of datagrams those behind it come later, and the client has connected as Dave then.
fn settle_stranger<S: Subject>(world: &World<S>, client: &mut S::Client) {
    if S::ABILITIES.transport == Transport::Tcp {
        client.end();
        return settle(world);
    }
    let dave = Login::of("dave");
    // The first answer may be that to somebody else's connect.
    let is_connected = (0..2).any(|_| client.connect(&dave).is_ok());
    assert!(is_connected, "nobody can connect any more");
    settle(world);
    // Passes over answers of other shards that came later.
    client.connect(&dave).unwrap();
}

/// Waits until what one shard has sent another one is handled, and answered: each question is
/// answered by all shards between two turns.
fn settle<S: Subject>(world: &World<S>) {
    for _ in 0..3 {
        world.sessions();
    }
}
