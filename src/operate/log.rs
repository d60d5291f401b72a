//! What happens to clients, as lines of the log.

use std::sync::{Mutex, PoisonError};

use core_model::{Action, BrokerEvent, Observer, Timestamp, shown_user};

/// Lines of one kind in a second; what is beyond is counted and told with the next line.
const LINES_PER_SECOND: u32 = 10;

/// Writes broker events to the log. What clients can cause as often as they like (refusals, denials,
/// drops) comes at INFO, at most ten lines of a kind in a second, with the number of those left out
/// as `left_out`. That somebody came or went comes at DEBUG, each time.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    refused: Budget,
    denied: Budget,
    dropped: Budget,
    revoked: Budget,
}

/// Says how many lines may be written.
#[derive(Debug, Default)]
struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    second: u64,
    lines: u32,
    left_out: u64,
}

impl Budget {
    /// Whether a line may be written now, and how many were not since the last one.
    fn take(&self, now: Timestamp) -> Option<u64> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.as_millis() / 1000;
        if spent.second != second {
            spent.second = second;
            spent.lines = 0;
        }
        if spent.lines == LINES_PER_SECOND {
            spent.left_out += 1;
            return None;
        }
        spent.lines += 1;
        Some(std::mem::take(&mut spent.left_out))
    }
}

impl Observer for EventLog {
    fn on_event(&self, now: Timestamp, event: &BrokerEvent<'_>) {
        match event {
            BrokerEvent::Connected { principal, session_present, .. } => tracing::debug!(
                client_id = &*principal.client.client_id,
                gateway = principal.gateway,
                listener = &*principal.listener,
                user = principal.identity.user.as_deref().map(shown_user),
                authenticator = &*principal.identity.authenticator,
                peer = principal.peer.map(tracing::field::display),
                session_present,
                "client connected"
            ),
            BrokerEvent::Disconnected { client, reason, expiry } => tracing::debug!(
                client_id = &*client.client_id,
                %reason,
                session_expiry_s = expiry.as_seconds(),
                "client disconnected"
            ),
            BrokerEvent::SessionEnded { client } => {
                tracing::debug!(client_id = &*client.client_id, "session ended");
            }
            _ => self.on_trouble(now, event),
        }
    }
}

impl EventLog {
    fn on_trouble(&self, now: Timestamp, event: &BrokerEvent<'_>) {
        match event {
            BrokerEvent::Refused { client_id, evidence, reason } => {
                let Some(left_out) = self.refused.take(now) else { return };
                tracing::info!(
                    client_id,
                    gateway = evidence.gateway,
                    listener = &*evidence.listener,
                    user = evidence.user.as_deref().map(shown_user),
                    peer = evidence.peer.map(tracing::field::display),
                    %reason,
                    left_out,
                    "connect refused"
                );
            }
            BrokerEvent::Denied { client, action, topic, times } => {
                let Some(left_out) = self.denied.take(now) else { return };
                let action = action_word(*action);
                let client_id = &*client.client_id;
                tracing::info!(client_id, action, topic, times, left_out, "client was denied");
            }
            BrokerEvent::Dropped { client, reason, messages } => {
                let Some(left_out) = self.dropped.take(now) else { return };
                let client_id = &*client.client_id;
                tracing::info!(client_id, %reason, messages, left_out, "messages dropped");
            }
            BrokerEvent::SubscriptionRevoked { client, filter } => {
                let Some(left_out) = self.revoked.take(now) else { return };
                let client_id = &*client.client_id;
                tracing::info!(client_id, filter, left_out, "subscription revoked");
            }
            _ => {}
        }
    }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Publish { .. } => "publish",
        Action::Subscribe { .. } => "subscribe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_in_a_second_and_the_rest_is_counted() {
        let budget = Budget::default();
        let now = Timestamp::from_millis(5_000);
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(budget.take(now), Some(0));
        }
        assert_eq!(budget.take(now), None);
        assert_eq!(budget.take(Timestamp::from_millis(5_999)), None);
        assert_eq!(budget.take(Timestamp::from_millis(6_000)), Some(2));
        assert_eq!(budget.take(Timestamp::from_millis(6_000)), Some(0));
    }
}
