//! What the facts come to for one message or subscription.

use std::sync::Arc;

use core_model::{QoS, RetainHandling};

use super::{Ledger, MessageFacts, SubscriptionFacts, Window};
use crate::trace::Step;

impl Ledger {
    /// From when to when every receiver must have had its subscription: `None` if it is not certain
    /// that the message was taken at all.
    #[must_use]
    pub fn window(&self, message: &MessageFacts) -> Option<Window> {
        let let_in = message
            .applications
            .iter()
            .filter(|a| self.was_let_in(a.slot, a.applied) != Some(false));
        let taken = let_in.rev().find(|application| match application.answer {
            Some((_, reason)) => !reason.is_error(),
            // On its way to another shard it may have met a take-over.
            None => message.draft.qos == QoS::AtMostOnce && self.slots[&application.slot].local,
        })?;
        Some(Window {
            first: message.first,
            routed: taken.routed,
            acked: taken.answer.map(|(step, _)| step),
        })
    }

    /// Whether the subscription, or one that took its place without a gap, was certainly there from
    /// `from` to `until`; then the least QoS that it granted. `own`: for the client's own messages.
    #[must_use]
    pub fn holds(
        &self,
        mut subscription: usize,
        own: bool,
        from: Step,
        until: Step,
    ) -> Option<QoS> {
        let facts = &self.subscriptions[subscription];
        if facts.acked.is_none_or(|acked| acked >= from) {
            return None;
        }
        let mut qos = facts.options.qos;
        loop {
            let facts = &self.subscriptions[subscription];
            if own && facts.options.no_local {
                return None;
            }
            qos = qos.min(facts.options.qos);
            match facts.end {
                None => return Some(qos),
                Some(end) if end.applied > until => return Some(qos),
                Some(end) => subscription = end.replaced_by?,
            }
        }
    }

    /// Whether the subscription may have caught a message that was first seen at `first`.
    #[must_use]
    pub fn may_catch(&self, subscription: usize, first: Step) -> bool {
        let end = self.subscriptions[subscription].end;
        end.and_then(|end| end.acked).is_none_or(|acked| acked > first)
    }

    /// Subscriptions of a life of a session that match a topic, with their places; `shared` ones or
    /// the others.
    pub fn matching(
        &self,
        life: usize,
        topic: &str,
        shared: bool,
    ) -> impl Iterator<Item = (usize, &SubscriptionFacts)> {
        self.subscriptions.iter().enumerate().filter(move |(_, facts)| {
            facts.life == life
                && facts.options.filter.share_name().is_some() == shared
                && facts.options.filter.matches(topic)
        })
    }

    /// Whether the subscription asks for retained messages, as far as that is certain.
    #[must_use]
    pub fn wants_retained(&self, subscription: usize) -> bool {
        let facts = &self.subscriptions[subscription];
        match facts.options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => !facts.is_again,
            RetainHandling::DoNotSend => false,
        }
    }

    /// Topics of the messages, each once.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        let mut topics: Vec<_> =
            self.messages.values().map(|facts| Arc::clone(&facts.draft.topic)).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}
