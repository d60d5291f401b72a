use std::collections::VecDeque;
use std::hash::BuildHasher;

use codec_mqttsn::Publish;
use core_model::Timestamp;
use foldhash::fast::FixedState;

/// Exchanges that are remembered.
const FINISHED_MAX: usize = 4;
/// How far a MsgId may be from the one before for a client that counts.
const STEP_MAX: u16 = 64;

/// QoS 2 messages of a client that are finished, so that a copy which the network has held back is
/// not taken for a new message.
///
/// A MsgId is free again after PUBCOMP, and MQTT relies on a stream that repeats nothing. Here a
/// copy may come later. It is known by its MsgId, topic and data while the exchange is not long ago,
/// but only of clients that have counted their MsgIds up for longer than what is remembered here:
/// one that uses the same for every message, or a few in turn, may well publish the same again.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    list: VecDeque<Exchange>,
    /// The MsgId of the newest request.
    newest: u16,
    /// Steps upwards without one back.
    run: u8,
    /// Whether the next request may be the first of a client that has forgotten where it was.
    is_in_doubt: bool,
}

#[derive(Debug)]
struct Exchange {
    msg_id: u16,
    /// Of topic and data.
    digest: u64,
    finished_at: Option<Timestamp>,
}

impl Finished {
    /// The client has connected again, and may count from the beginning: with a new session, or if
    /// its next request says so.
    pub(crate) fn begin_anew(&mut self, clean_session: bool) {
        if clean_session {
            (self.newest, self.run) = (0, 0);
        }
        self.is_in_doubt = true;
    }

    /// A request with this MsgId came, such as a REGISTER.
    pub(crate) fn note(&mut self, msg_id: u16) {
        if self.newest == 0 {
            self.newest = msg_id;
        } else if (1..=STEP_MAX).contains(&msg_id.wrapping_sub(self.newest)) {
            self.newest = msg_id;
            self.run = self.run.saturating_add(1);
        } else if self.is_in_doubt {
            (self.newest, self.run) = (msg_id, 0);
        }
        self.is_in_doubt = false;
    }

    /// Whether a QoS 2 message is the copy of one that was finished at most `window_s` ago. If not,
    /// it is remembered.
    pub(crate) fn is_copy(&mut self, publish: &Publish<'_>, window_s: u32, now: Timestamp) -> bool {
        let (msg_id, digest) = (publish.msg_id, digest(publish));
        let counts = usize::from(self.run) > FINISHED_MAX;
        if let Some(known) = self.list.iter_mut().find(|one| one.msg_id == msg_id) {
            let Some(finished_at) = known.finished_at else { return false };
            let is_recent = finished_at.plus_seconds(window_s) > now;
            if is_recent && known.digest == digest && counts {
                return true;
            }
            (self.newest, self.run) = (msg_id, 0);
            *known = Exchange { msg_id, digest, finished_at: None };
            return false;
        }
        self.note(msg_id);
        if msg_id != self.newest {
            (self.newest, self.run) = (msg_id, 0);
        }
        if self.list.len() == FINISHED_MAX {
            self.list.pop_front();
        }
        self.list.push_back(Exchange { msg_id, digest, finished_at: None });
        false
    }

    /// The client has released a message.
    pub(crate) fn finish(&mut self, msg_id: u16, now: Timestamp) {
        let open = |one: &&mut Exchange| one.msg_id == msg_id && one.finished_at.is_none();
        if let Some(exchange) = self.list.iter_mut().find(open) {
            exchange.finished_at = Some(now);
        }
    }
}

fn digest(publish: &Publish<'_>) -> u64 {
    FixedState::default().hash_one((publish.topic_id, publish.data))
}

#[cfg(test)]
mod tests {
    use codec_mqttsn::{QoS, TopicId};

    use super::*;

    fn publish(msg_id: u16, data: &[u8]) -> Publish<'_> {
        let topic_id = TopicId::Normal(1);
        Publish { dup: false, qos: QoS::ExactlyOnce, retain: false, topic_id, msg_id, data }
    }

    fn at(seconds: u32) -> Timestamp {
        Timestamp::from_millis(1_000_000).plus_seconds(seconds)
    }

    fn take(finished: &mut Finished, msg_id: u16, data: &[u8], seconds: u32) -> bool {
        finished.is_copy(&publish(msg_id, data), 20, at(seconds))
    }

    #[test]
    fn a_copy_that_comes_late_is_known_for_a_while() {
        let mut finished = Finished::default();
        (1..=5).for_each(|msg_id| finished.note(msg_id));
        assert!(!take(&mut finished, 6, b"a", 0));
        // It is core that knows what is not finished.
        assert!(!take(&mut finished, 6, b"a", 1));
        finished.finish(6, at(2));
        assert!(take(&mut finished, 6, b"a", 3));
        assert!(!take(&mut finished, 7, b"b", 4));
        finished.finish(7, at(4));
        assert!(take(&mut finished, 6, b"a", 5) && take(&mut finished, 7, b"b", 5));
        assert!(!take(&mut finished, 6, b"a", 22));
    }

    #[test]
    fn who_does_not_count_loses_nothing() {
        for cycle in 1..=20 {
            let mut finished = Finished::default();
            for second in 0..100 {
                let msg_id = 1 + (second % cycle) as u16;
                assert!(!take(&mut finished, msg_id, b"on", second), "{cycle} {second}");
                finished.finish(msg_id, at(second));
            }
        }
    }

    #[test]
    fn who_begins_anew_loses_nothing() {
        let mut finished = Finished::default();
        for msg_id in 1..10 {
            assert!(!take(&mut finished, msg_id, b"on", 0));
            finished.finish(msg_id, at(0));
        }
        // It goes on where it was, so that a copy is known.
        finished.begin_anew(false);
        finished.note(10);
        assert!(take(&mut finished, 9, b"on", 1));
        // It has forgotten where it was.
        finished.begin_anew(false);
        finished.note(1);
        for msg_id in [7, 8, 9, 10] {
            assert!(!take(&mut finished, msg_id, b"on", 1), "{msg_id}");
            finished.finish(msg_id, at(1));
        }
        (11..20).for_each(|msg_id| finished.note(msg_id));
        finished.begin_anew(true);
        for msg_id in [10, 9, 8, 7] {
            assert!(!take(&mut finished, msg_id, b"on", 1), "{msg_id}");
        }
    }

    #[test]
    fn only_a_few_are_remembered() {
        let mut finished = Finished::default();
        for msg_id in 1..1000 {
            assert!(!take(&mut finished, msg_id, b"x", 0));
            finished.finish(msg_id, at(0));
        }
        assert!(finished.list.len() <= FINISHED_MAX);
        assert!(take(&mut finished, 999, b"x", 1));
    }
}
