use core_model::Credit;

use super::{Outgoing, Receiver, State};
use crate::context::{Cx, Note};

/// How many more deliveries a client can take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance(u32);

impl Allowance {
    pub(super) const NONE: Allowance = Allowance(0);
    const ANY: Allowance = Allowance(u32::MAX);

    pub(super) fn of(credit: Credit) -> Self {
        match credit {
            Credit::None => Allowance::NONE,
            Credit::Open => Allowance::ANY,
            Credit::Messages(count) => Allowance(count.min(u32::MAX - 1)),
        }
    }

    #[inline]
    pub(super) fn is_spent(self) -> bool {
        self == Allowance::NONE
    }

    /// Takes one delivery off; `false` when there is none left.
    #[inline]
    pub(super) fn spend(&mut self, cx: &mut Cx<'_>, to: &Receiver<'_>) -> bool {
        if *self == Allowance::ANY {
            return true;
        }
        self.spend_counted(cx, to)
    }

    /// One that was taken off was not used.
    pub(super) fn refund(&mut self) {
        if *self != Allowance::ANY {
            self.0 += 1;
        }
    }

    fn spend_counted(&mut self, cx: &mut Cx<'_>, to: &Receiver<'_>) -> bool {
        let Some(left) = self.0.checked_sub(1) else { return false };
        self.0 = left;
        if left == 0 {
            let (session, generation) = (to.index, to.generation);
            cx.notes.push(Note::CreditSpent { session, generation });
        }
        true
    }
}

/// How much the client can take.
impl Outgoing {
    /// The client says how much it can take from now on.
    pub(crate) fn set_credit(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, credit: Credit) {
        if self.has_reserved && credit != Credit::Open {
            self.take_reserved_back();
        }
        self.begin_credit(credit);
        self.pump(cx, to);
    }

    pub(super) fn begin_credit(&mut self, credit: Credit) {
        self.allowance = Allowance::of(credit);
        self.owes_drained = matches!(credit, Credit::Messages(_));
    }

    /// Deliveries that wait for the store have taken their credit from what is replaced now: they
    /// go on when the new one allows it.
    pub(super) fn take_reserved_back(&mut self) {
        self.has_reserved = false;
        for entry in &mut self.inflight {
            if entry.state == State::AwaitDurable && entry.in_quota {
                entry.in_quota = false;
                self.quota_used -= 1;
                self.resends += 1;
            }
        }
    }

    /// What is left of the client's credit.
    pub(crate) fn credit(&self) -> Credit {
        match self.allowance {
            Allowance::ANY => Credit::Open,
            Allowance::NONE => Credit::None,
            Allowance(left) => Credit::Messages(left),
        }
    }

    /// Whether the client takes messages at all now.
    pub(crate) fn is_open(&self) -> bool {
        !self.allowance.is_spent()
    }

    /// Deliveries that others may count on beside what waits already; `u32::MAX` for any number.
    pub(crate) fn spare_credit(&self) -> u32 {
        match self.credit() {
            Credit::Open => u32::MAX,
            Credit::None => 0,
            Credit::Messages(left) => left.saturating_sub(self.queue.len() as u32),
        }
    }

    /// Whether the client waits to hear that nothing waits for it.
    #[inline]
    pub(crate) fn owes_drained(&self) -> bool {
        self.owes_drained
    }

    /// Whether the client is to hear it now, which it does once.
    pub(crate) fn take_drained(&mut self) -> bool {
        let drained = self.owes_drained && self.queue.is_empty() && self.inflight.is_empty();
        self.owes_drained &= !drained;
        drained
    }
}
