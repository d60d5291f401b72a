use std::collections::VecDeque;
use std::hash::BuildHasher;

use codec_mqttsn::Publish;
use core_model::Timestamp;
use foldhash::fast::FixedState;

/// Exchanges that are remembered.
const FINISHED_MAX: usize = 8;
/// How far a MsgId may be from the one before for a client that counts.
const STEP_MAX: u16 = 64;

/// QoS 2 messages of a client that are finished, so that a copy which the network has held back is
/// not taken for a new message.
///
/// A MsgId is free again after PUBCOMP, and MQTT relies on a stream that repeats nothing. Here a
/// copy may come later. It is known by its MsgId, topic and data while the exchange is not long ago,
/// but only of clients that count their MsgIds: one that uses the same for every message, or a few
/// in turn, may well publish the same again.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    list: VecDeque<Exchange>,
    /// The MsgId of the newest request.
    newest: u16,
    habit: Habit,
}

#[derive(Debug)]
struct Exchange {
    msg_id: u16,
    /// Of topic and data.
    digest: u64,
    finished_at: Option<Timestamp>,
}

/// How a client chooses its MsgIds, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Habit {
    #[default]
    Unknown,
    Counts,
    /// It has used one again soon, for something else.
    Reuses,
}

impl Finished {
    /// A request with this MsgId came, such as a REGISTER.
    pub(crate) fn note(&mut self, msg_id: u16) {
        let is_next =
            self.newest != 0 && (1..=STEP_MAX).contains(&msg_id.wrapping_sub(self.newest));
        if is_next && self.habit == Habit::Unknown {
            self.habit = Habit::Counts;
        }
        if is_next || self.newest == 0 {
            self.newest = msg_id;
        }
    }

    /// Whether a QoS 2 message is the copy of one that was finished at most `window_s` ago. If not,
    /// it is remembered.
    pub(crate) fn is_copy(&mut self, publish: &Publish<'_>, window_s: u32, now: Timestamp) -> bool {
        let (msg_id, digest) = (publish.msg_id, digest(publish));
        if let Some(known) = self.list.iter_mut().find(|one| one.msg_id == msg_id) {
            let Some(finished_at) = known.finished_at else { return false };
            let is_recent = finished_at.plus_seconds(window_s) > now;
            let is_same = known.digest == digest;
            if is_recent && is_same && self.habit == Habit::Counts {
                return true;
            }
            if is_recent && !is_same {
                self.habit = Habit::Reuses;
            }
            *known = Exchange { msg_id, digest, finished_at: None };
            return false;
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
        finished.note(msg_id);
        finished.is_copy(&publish(msg_id, data), 20, at(seconds))
    }

    #[test]
    fn a_copy_that_comes_late_is_known_for_a_while() {
        let mut finished = Finished::default();
        finished.note(1);
        assert!(!take(&mut finished, 2, b"a", 0));
        // It is core that knows what is not finished.
        assert!(!take(&mut finished, 2, b"a", 1));
        finished.finish(2, at(2));
        assert!(take(&mut finished, 2, b"a", 3));
        assert!(!take(&mut finished, 3, b"b", 4));
        finished.finish(3, at(4));
        assert!(take(&mut finished, 2, b"a", 5) && take(&mut finished, 3, b"b", 5));
        assert!(!take(&mut finished, 2, b"a", 22));
    }

    #[test]
    fn who_does_not_count_loses_nothing() {
        let mut finished = Finished::default();
        for seconds in 0..5 {
            assert!(!take(&mut finished, 7, b"on", seconds));
            finished.finish(7, at(seconds));
        }
        let mut finished = Finished::default();
        for (second, data) in
            [b"a", b"b", b"c", b"a", b"b", b"c", b"c", b"c", b"c"].iter().enumerate()
        {
            let msg_id = 1 + second as u16 % 2;
            assert!(!take(&mut finished, msg_id, *data, second as u32), "{second}");
            finished.finish(msg_id, at(second as u32));
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
