//! What is published for clients that are gone.

use core_model::{Action, Event, Reason, Ticket, Timestamp, Will};

use crate::publish::TOPIC_BYTES_MAX;
use crate::routes::SessionIndex;
use crate::shard::{Shard, Sink};

impl Shard {
    /// Whether there is room for a will in place of another one.
    pub(crate) fn admit_will(
        &self,
        old: Option<&Will>,
        topic: &str,
        will: &Will,
    ) -> Result<(), Reason> {
        if topic.len() > TOPIC_BYTES_MAX {
            return Err(Reason::TOPIC_NAME_INVALID);
        }
        let freed = old.map_or(0, |old| old.message.size()) as u64;
        let kept = self.counters.kept_bytes + will.message.size() as u64;
        if kept > self.limits.kept_bytes_total_max as u64 + freed {
            return Err(Reason::QUOTA_EXCEEDED);
        }
        Ok(())
    }

    /// Publishes the will of a session whose client is gone, if it has one that is armed.
    pub(crate) fn publish_will(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        sink: &mut dyn Sink,
    ) {
        self.refresh_rules(index);
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        session.will_at = None;
        let is_durable = session.is_durable();
        let Some(will) = session.fire_will(&mut self.counters) else { return };
        if is_durable {
            self.journal.push(session.will_mutation());
        }
        let topic = format!("{}{}", session.mountpoint, will.message.topic());
        //= mqtt5:3.1.2-14
        //= mqtt5:3.1.2-15
        //= mqtt5:3.1.3-10
        //= mqtt311:3.1.2-16
        //= mqtt311:3.1.2-17
        let mut message = will.message.view();
        message.topic = &topic;
        message.origin = session.origin;
        message.expires_at = will.expiry_s.map(|seconds| now.plus_seconds(seconds));
        let action = Action::Publish { qos: message.qos, retain: message.retain };
        // It was permitted when the client left it, which may be long ago.
        if !self.permits(index, action, &topic) {
            self.counters.publishes_refused += 1;
            return;
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        for interceptor in &self.plugins.interceptors {
            if interceptor.on_publish(Some(&session.key), &mut message).is_err() {
                self.counters.publishes_refused += 1;
                return;
            }
        }
        let dispatched = self.dispatch(now, &message, None, sink);
        self.count_refused(None, &dispatched);
        self.settle_notes(now, sink);
    }

    /// Replaces or removes the will; a will that the client may not leave changes nothing.
    pub(crate) fn on_update_will(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        ticket: Ticket,
        will: Option<Box<Will>>,
        sink: &mut dyn Sink,
    ) {
        let reason = self.replace_will(index, will).err().unwrap_or(Reason::SUCCESS);
        self.with_session(now, sink, index, |session, cx| {
            if let Some(slot) = session.slot {
                cx.event(slot, Event::WillUpdated { ticket, reason });
            }
        });
    }

    fn replace_will(&mut self, index: SessionIndex, will: Option<Box<Will>>) -> Result<(), Reason> {
        let Some(session) = self.sessions.get(index.0 as usize) else {
            return Err(Reason::UNSPECIFIED);
        };
        if let Some(will) = &will {
            let topic = format!("{}{}", session.mountpoint, will.message.topic());
            let permitted = self.admit_will(session.will(), &topic, will).and_then(|()| {
                let permits = self.permits(index, publish_of(will), &topic);
                if permits { Ok(()) } else { Err(Reason::NOT_AUTHORIZED) }
            });
            if let Err(reason) = permitted {
                self.counters.publishes_refused += 1;
                return Err(reason);
            }
        }
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return Ok(()) };
        session.set_will(will, &mut self.counters);
        if session.is_durable() {
            self.journal.push(session.will_mutation());
        }
        Ok(())
    }
}

/// What a client does who leaves a will.
pub(crate) fn publish_of(will: &Will) -> Action {
    Action::Publish { qos: will.message.qos(), retain: will.message.retain() }
}
