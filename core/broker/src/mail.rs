use std::sync::Arc;

use core_model::{Event, Operation, QoS, Reason, ShardId, SlotId, StoredMessage, Ticket};

use crate::routes::SessionIndex;

/// Whose answer a report belongs to: the publisher's shard, session and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckRef {
    pub(crate) shard: ShardId,
    pub(crate) session: SessionIndex,
    pub(crate) generation: u32,
    pub(crate) number: u32,
}

/// A member of a shared group, as its home shard and the member's shard name it to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberRef {
    pub(crate) shard: ShardId,
    pub(crate) session: SessionIndex,
    pub(crate) generation: u32,
}

/// Whether a member can be given messages now, how many unsettled at once, and how many at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberState {
    pub(crate) online: bool,
    pub(crate) window: u16,
    /// `u32::MAX` for any number.
    pub(crate) credit: u32,
}

/// What one shard tells another, in order and without loss. Its inside is the broker's own affair.
#[derive(Debug)]
pub struct Mail(pub(crate) Letter);

#[derive(Debug)]
pub(crate) enum Letter {
    /// An operation of a slot whose link lives on the sending shard.
    Operation { slot: SlotId, operation: Operation<'static> },
    /// An event for a slot of the receiving shard.
    Event { slot: SlotId, event: Event<'static> },
    /// A message that sessions of the receiving shard want; with `ack`, its publisher waits until
    /// they have it durably. `write`: of a retained message, its number among those that the sending
    /// shard writes to the one that keeps its topic; 0 where that is the sender itself.
    Publish { message: Arc<StoredMessage>, ack: Option<AckRef>, write: u64 },
    /// The sending shard's share of a message is safe.
    Taken { ack: AckRef, reason: Reason },
    /// The sending shard wants these filters; answered by `Interested`.
    Interest { request: u32, filters: Vec<(Box<str>, bool)> },
    /// The interest is installed. `writes`: how many retained messages the sending shard had sent
    /// to each shard by then.
    Interested { request: u32, writes: Box<[u64]> },
    /// After a restart: all interest that the sending shard's sessions had is announced.
    Restored,
    /// A filter's interest got or lost durable subscribers.
    InterestChanged { filter: Box<str>, durable: bool },
    /// The sending shard wants these filters no more.
    NoInterest { filters: Vec<Box<str>> },
    /// A retained message (or, with an empty payload, its removal) for the shard that keeps its
    /// topic.
    Retain { message: Arc<StoredMessage>, ack: Option<AckRef> },
    /// Asks for retained messages, once `barrier` writes of each shard have arrived.
    Pull { pull: u32, filter: Box<str>, cursor: Option<Box<str>>, barrier: Box<[u64]> },
    /// Some of them, as they were when `arrived` writes of each shard had arrived.
    Page {
        pull: u32,
        messages: Vec<Arc<StoredMessage>>,
        cursor: Option<Box<str>>,
        arrived: Box<[u64]>,
    },
    /// A read of retained messages for a gateway.
    Read { request: u32, filter: Box<str>, cursor: Option<Box<str>>, limit: u32 },
    /// Its answer; `more`: there was more than the limit.
    ReadPage { request: u32, messages: Vec<Arc<StoredMessage>>, more: bool },
    /// A session joins a group of the receiving shard; answered by `GroupJoined`.
    GroupJoin {
        request: u32,
        group: Box<str>,
        filter: Box<str>,
        member: MemberRef,
        qos: QoS,
        state: MemberState,
    },
    /// The group is known on all shards.
    GroupJoined { request: u32 },
    /// A session left a group.
    GroupLeave { group: Box<str>, member: MemberRef },
    /// A member's link came or went.
    GroupMember { group: Box<str>, member: MemberRef, state: MemberState },
    /// A group exists; answered by `GroupKnown`.
    GroupOpen { group: Box<str>, filter: Box<str> },
    /// The sending shard routes to the group from now on.
    GroupKnown { group: Box<str> },
    /// A group is no more.
    GroupClose { group: Box<str>, filter: Box<str> },
    /// A message for a group of the receiving shard.
    GroupPublish { group: Arc<str>, message: Arc<StoredMessage>, ack: Option<AckRef> },
    /// A message for a member on the receiving shard.
    GroupDeliver {
        group: Arc<str>,
        member: MemberRef,
        qos: QoS,
        message: Arc<StoredMessage>,
        ack: Option<AckRef>,
    },
    /// A member settled one message of a group.
    GroupSettled { group: Arc<str>, member: MemberRef },
    /// A message comes back from a member that left or refused it; with `ack`, its publisher still
    /// waits for it.
    GroupReturned { group: Arc<str>, message: Arc<StoredMessage>, ack: Option<AckRef> },
}

/// An operation's ticket with the slot that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) slot: SlotId,
    pub(crate) ticket: Ticket,
}
