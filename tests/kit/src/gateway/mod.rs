//! The suite for gateways.
//!
//! A gateway's tests implement [`Subject`] and [`Client`] once and call
//! [`gateway_tests!`](crate::gateway_tests). Each case runs on a real node with sockets on loopback,
//! with one shard and with four.

pub mod cases;

mod log;
mod people;
mod world;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway_host::Gateway;

/// Nothing in these tests takes so long: what a client of the suite waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP stream, whose end is seen.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What a protocol can do. A case, or a part of one, that needs more is skipped by name.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// What carries its frames.
    pub transport: Transport,
    /// A client brings its password along; otherwise the gateway's configuration has it.
    pub has_passwords: bool,
    /// A client can leave a will.
    pub has_wills: bool,
    /// A message can be retained.
    pub has_retained: bool,
    /// A session outlives its link where the client wants that.
    pub has_sessions: bool,
    /// A client is told whether its session was there.
    pub tells_session: bool,
    /// Filters may have wildcards.
    pub has_wildcards: bool,
    /// Filters may be shared, as `$share/NAME/FILTER`.
    pub has_shared: bool,
    /// A client that is closed is told so in the protocol's terms.
    pub says_goodbye: bool,
    /// One link has many clients.
    pub has_slots: bool,
}

/// What the gateway under test is to be set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Greatest packet in bytes.
    pub max_packet_size: u32,
    /// User names and passwords, for protocols that have none of their own.
    pub logins: Vec<Login>,
}

/// As whom and how a client connects. Its user name is its client identifier.
#[derive(Clone, Debug)]
pub struct Login {
    /// Its identifier: a few small letters and digits.
    pub client_id: String,
    /// Its password.
    pub password: String,
    /// Whether the session is to outlive the link; a session that was there is dropped otherwise.
    pub is_durable: bool,
    /// Topic and payload of its will.
    pub will: Option<(String, Vec<u8>)>,
}

impl Login {
    /// `client_id` with its right password.
    #[must_use]
    pub fn of(client_id: &str) -> Login {
        Login {
            client_id: client_id.to_owned(),
            password: people::password(client_id),
            is_durable: false,
            will: None,
        }
    }

    /// With a session that outlives the link.
    #[must_use]
    pub fn durable(self) -> Login {
        Login { is_durable: true, ..self }
    }

    /// With a will.
    #[must_use]
    pub fn with_will(self, topic: &str, payload: &[u8]) -> Login {
        Login { will: Some((topic.to_owned(), payload.to_vec())), ..self }
    }
}

/// A connect that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whether the session was there; `false` where the protocol does not tell.
    pub session_present: bool,
}

/// What a client was refused, in the protocol's words; for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// A message that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// The application's bytes.
    pub payload: Vec<u8>,
    /// Its retain flag.
    pub retain: bool,
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a word of the server.
    Told,
    /// Without one.
    Closed,
}

/// A blocking client of the protocol, over a socket of its own. It does nothing but when it is
/// called: it acknowledges what [`Client::receive`] returns and nothing else. What takes longer
/// than [`PATIENCE`] panics.
pub trait Client: Send + Sized + 'static {
    /// Connects and waits for the answer. Over datagrams, answers to what was sent before may come
    /// first and are passed over, and a client that is connected connects anew.
    ///
    /// # Errors
    /// The server refuses, or closes the link.
    fn connect(&mut self, login: &Login) -> Result<Accepted, Refused>;

    /// The frame with which a connect begins.
    fn connect_frame(&mut self, login: &Login) -> Vec<u8>;

    /// Publishes so that the server says whether it has taken the message, and waits for that. A
    /// topic that needs a number first gets one.
    ///
    /// # Errors
    /// The server says that it has not, or closes the link.
    fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) -> Result<(), Refused>;

    /// The frame of a message of which the server says nothing. The topic has two letters, so that
    /// it needs no number where protocols have such.
    fn publish_frame(&mut self, topic: &str, payload: &[u8]) -> Vec<u8>;

    /// Subscribes so that messages have to be acknowledged, and waits for the answer.
    ///
    /// # Errors
    /// The server refuses, or closes the link.
    fn subscribe(&mut self, filter: &str) -> Result<(), Refused>;

    /// The next message, acknowledged. `None` when the link has ended.
    fn receive(&mut self) -> Option<Received>;

    /// Waits until the server has handled what was sent before: `false` when the link has ended.
    fn ping(&mut self) -> bool;

    /// Sends bytes as they are, a datagram where the protocol has such. A link that has ended takes
    /// them too.
    fn send(&mut self, bytes: &[u8]);

    /// Reads until the link has ended.
    fn end(&mut self) -> End;

    /// Falls asleep, and waits until the server knows; only asked of a protocol that has sleep.
    fn sleep(&mut self) {
        panic!("the protocol has no sleep");
    }

    /// The frame with which `client_id` wakes up.
    fn wake_frame(&mut self, _client_id: &str) -> Vec<u8> {
        panic!("the protocol has no sleep");
    }

    /// Wakes up as `client_id`, takes and acknowledges what has come meanwhile, and sleeps again.
    ///
    /// # Panics
    /// Something came while the client slept.
    fn wake(&mut self, _client_id: &str) -> Vec<Received> {
        panic!("the protocol has no sleep");
    }

    /// Takes leave, so that its will is not published, and waits until the server knows.
    fn disconnect(self);
}

/// A gateway as the suite sees it.
pub trait Subject: 'static {
    /// A client of its protocol.
    type Client: Client;

    /// What the protocol can do.
    const ABILITIES: Abilities;

    /// Whether a client can say that it hears nothing until it asks for what has come meanwhile.
    const SLEEPS: bool = false;

    /// The gateway under test.
    fn gateway(settings: &Settings) -> Arc<dyn Gateway>;

    /// A client on a socket with a port of its own at the local address `from`. It has sent nothing
    /// yet; a stream is connected.
    fn client(server: SocketAddr, from: IpAddr) -> Self::Client;

    /// `count` clients that share one link; only asked where links have slots.
    fn clients_of_one_link(_server: SocketAddr, _count: usize) -> Vec<Self::Client> {
        Vec::new()
    }

    /// One frame of each kind that a client may send when it is connected, or the server: what is
    /// not for strangers, with the topic `"st"` where it has one.
    fn frames_of_strangers() -> Vec<(&'static str, Vec<u8>)>;
}

/// Runs all cases for one gateway. Call it in a module of its own.
#[macro_export]
macro_rules! gateway_tests {
    ($subject:ty) => {
        $crate::gateway_tests! { $subject:
            packets_beyond_the_limit_are_not_taken
            connections_beyond_the_limit_are_refused
            connections_of_one_source_beyond_the_limit_are_refused
            sessions_beyond_the_limit_are_refused
            subscriptions_beyond_the_limit_are_refused
            a_drained_node_tells_everybody
            an_identity_is_taken_over_by_its_owner
            an_identity_moves_only_as_the_listener_allows
            secrets_are_shown_nowhere
            strangers_reach_nothing
            who_is_refused_reaches_nothing
            who_is_not_yet_believed_reaches_nothing
            rules_bind_publishes
            rules_bind_subscriptions
            rules_bind_wills
            rules_bind_retained_messages
            mountpoints_cannot_be_left
            who_is_banned_stays_out
            a_slow_subscriber_harms_only_itself
            a_peer_that_reads_nothing_is_closed
            slots_of_one_link_leave_each_other_alone
            who_sleeps_hears_nothing
            a_sleeper_is_not_woken_by_others
        }
    };
    ($subject:ty: $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                for shards in [1, 4] {
                    $crate::gateway::cases::$case::<$subject>(shards);
                }
            }
        )+
    };
}

/// Says that `case` is skipped, and why.
fn skipped(case: &str, why: &str) {
    eprintln!("skipped: {case}: {why}");
}
