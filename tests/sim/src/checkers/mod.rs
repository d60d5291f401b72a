//! Who judges a run. A checker sees the trace and the facts that follow from it, never the workload
//! or the inside of a shard.

mod acks;
mod credits;
mod deliveries;
mod gates;
mod groups;
mod guards;
mod kept_wills;
mod notes;
mod retained;
mod slots;
mod stores;
mod takeovers;
mod wills;
mod window;

pub use acks::Acks;
pub use credits::Credits;
pub use deliveries::Deliveries;
pub use gates::Gates;
pub use groups::Groups;
pub use guards::Guards;
pub use kept_wills::KeptWills;
pub use notes::Notes;
pub use retained::RetainedCopies;
pub use slots::Slots;
pub use stores::Stores;
pub use takeovers::Takeovers;
pub use wills::Wills;
pub use window::Windows;

use crate::ledger::Ledger;
use crate::trace::{Arrival, Entry, Step};

/// Judges a run.
pub trait Checker {
    /// One more entry; `ledger` has taken it into account.
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults);

    /// The run is over: every client came back, took all there was, and nothing moves any more.
    fn finish(&mut self, _ledger: &Ledger, _faults: &mut Faults) {}
}

/// What was wrong.
#[derive(Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds one; after a few no more are kept.
    pub fn add(&mut self, text: String) {
        if self.0.len() < 10 {
            self.0.push(text);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// What a run promises, so that checkers know what to expect.
#[derive(Clone, Copy, Debug)]
pub struct Promises {
    /// Nothing is dropped by a queue limit or an expiry.
    pub lossless: bool,
    /// Deliveries are repeated only on a new link.
    pub no_retransmission: bool,
    /// Filters may be refused.
    pub guarded: bool,
}

/// On whose behalf a copy of a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Subscriptions that are not shared.
    Live,
    /// A shared subscription with this identifier.
    Group(u32),
    /// A new subscription that asked for retained messages.
    Retained,
}

/// Identifiers from here on belong to shared subscriptions. In a simulation every subscription has
/// the identifier of its filter.
pub const GROUP_IDENTIFIERS: u32 = 1_000;

/// The class of a copy. Simulated clients never ask to keep the retain flag.
#[must_use]
pub fn class_of(arrival: &Arrival) -> Class {
    match arrival.identifiers.as_slice() {
        [identifier] if *identifier >= GROUP_IDENTIFIERS => Class::Group(*identifier),
        _ if arrival.retain => Class::Retained,
        _ => Class::Live,
    }
}

/// Every checker.
#[must_use]
pub fn all(promises: Promises, key: core_broker::HashKey) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(Slots::default()),
        Box::new(Stores::default()),
        Box::new(Acks::new(promises)),
        Box::new(Guards::default()),
        Box::new(Windows::new(promises)),
        Box::new(Deliveries::new(promises)),
        Box::new(Gates::new(promises, key)),
        Box::new(Groups::new(promises)),
        Box::new(RetainedCopies::new(promises)),
        Box::new(Wills::new(promises)),
        Box::new(KeptWills::new(promises)),
        Box::new(Credits::default()),
        Box::new(Notes::default()),
        Box::new(Takeovers::new(promises)),
    ]
}
