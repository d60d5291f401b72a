//! What holds for one listener: its own limits, else its zone's, else the node's.

use core_model::SessionLimits;

use crate::{Lapse, Limits, Overflow, OwnLimits, Rate, Size, Unset};

/// The limits that hold for one listener's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Largest packet that a client may send, its header included.
    pub max_packet_size: Size,
    /// Largest packet of a client that is not yet connected, its header included.
    pub max_connect_size: Size,
    /// Time that a client has from the established connection to its first complete packet.
    pub connect_timeout: Lapse,
    /// Connections that the system keeps until they are accepted.
    pub backlog: u32,
    /// New connections.
    pub connection_rate: Option<Rate>,
    /// Packets from one connection.
    pub message_rate: Option<Rate>,
    /// Bytes from one connection.
    pub byte_rate: Option<Rate>,
    /// Shortest keep alive.
    pub min_keep_alive: Option<Lapse>,
    /// Longest keep alive.
    pub max_keep_alive: Option<Lapse>,
    /// The bounds of a client's session.
    pub session: SessionLimits,
}

impl ListenerLimits {
    /// What holds where `levels`, the first one first, say what they want of their own, and
    /// `limits` all the rest.
    pub fn new(levels: &[&OwnLimits], limits: &Limits) -> Self {
        /// The first level's value that is set.
        fn first<T: Copy>(
            levels: &[&OwnLimits],
            own: impl Fn(&OwnLimits) -> Unset<T>,
            otherwise: T,
        ) -> T {
            levels.iter().find_map(|level| own(level).0).unwrap_or(otherwise)
        }
        macro_rules! pick {
            ($key:ident) => {
                first(levels, |own| own.$key, limits.$key)
            };
        }
        ListenerLimits {
            max_packet_size: pick!(max_packet_size),
            max_connect_size: pick!(max_connect_size),
            connect_timeout: pick!(connect_timeout),
            backlog: pick!(backlog),
            connection_rate: pick!(connection_rate).0,
            message_rate: pick!(message_rate).0,
            byte_rate: pick!(byte_rate).0,
            min_keep_alive: pick!(min_keep_alive).0,
            max_keep_alive: pick!(max_keep_alive).0,
            session: SessionLimits {
                inflight_max: pick!(max_inflight),
                queued_messages_max: to_usize(pick!(max_queued_messages).into()),
                queued_bytes_max: to_usize(pick!(max_queued_bytes).0),
                overflow: match pick!(overflow) {
                    Overflow::DropNewest => core_model::Overflow::DropNewest,
                    Overflow::DropOldest => core_model::Overflow::DropOldest,
                },
                queue_qos0_offline: pick!(queue_qos0_offline),
                // The greatest number of seconds means "never" to the core, as it does in MQTT.
                session_expiry_max_s: pick!(max_session_expiry)
                    .0
                    .map_or(u32::MAX, |max| max.whole_seconds().min(u32::MAX - 1)),
                subscriptions_max: to_usize(pick!(max_subscriptions).into()),
                topic_levels_max: pick!(max_topic_levels).into(),
            },
        }
    }
}

impl Default for ListenerLimits {
    /// Those of a listener that nobody has set limits for.
    fn default() -> Self {
        ListenerLimits::new(&[], &Limits::default())
    }
}

/// A configured number as a size of this machine.
pub fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
