use core_model::{Event, Operation, SlotId};

/// What one shard tells another, in order and without loss.
#[derive(Debug)]
#[non_exhaustive]
pub enum Mail {
    /// An operation of a slot whose link lives on the sending shard.
    Operation {
        /// The slot.
        slot: SlotId,
        /// The operation.
        operation: Operation<'static>,
    },
    /// An event for a slot of the receiving shard.
    Event {
        /// The slot.
        slot: SlotId,
        /// The event.
        event: Event<'static>,
    },
}
