use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::answer::Judgement;

/// A keyed hash of what was asked.
pub(super) type Digest = [u8; 32];

/// What was answered lately, bounded; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Answers {
    answers: HashMap<Digest, (Judgement, Instant)>,
    /// In the order in which they came; the time tells an entry from a later one of the same hash.
    order: VecDeque<(Digest, Instant)>,
}

impl Answers {
    pub(super) fn find(&self, question: &Digest, now: Instant) -> Option<&Judgement> {
        let (judgement, until) = self.answers.get(question)?;
        (now < *until).then_some(judgement)
    }

    pub(super) fn keep(
        &mut self,
        question: Digest,
        judgement: Judgement,
        until: Instant,
        answers_max: usize,
    ) {
        while self.order.len() >= answers_max {
            let Some((oldest, its_until)) = self.order.pop_front() else { return };
            if self.answers.get(&oldest).is_some_and(|(_, until)| *until == its_until) {
                self.answers.remove(&oldest);
            }
        }
        self.answers.insert(question, (judgement, until));
        self.order.push_back((question, until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use core_model::Reason;

    use super::*;

    fn keep(answers: &mut Answers, number: u8, until: Instant) {
        answers.keep([number; 32], Judgement::Refuse(Reason::BANNED), until, 2);
    }

    #[test]
    fn answers_end_and_the_oldest_makes_room() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut answers = Answers::default();
        keep(&mut answers, 1, later);
        assert!(answers.find(&[1; 32], now).is_some() && answers.find(&[1; 32], later).is_none());
        keep(&mut answers, 2, later);
        keep(&mut answers, 3, later);
        let found = [1, 2, 3].map(|number| answers.find(&[number; 32], now).is_some());
        assert_eq!(found, [false, true, true]);
        for _ in 0..100 {
            keep(&mut answers, 3, later + Duration::from_secs(1));
        }
        assert!(answers.find(&[3; 32], later).is_some());
        assert!(answers.answers.len() <= 2 && answers.order.len() <= 2);
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let now = Instant::now();
        let mut answers = Answers::default();
        answers.keep([1; 32], Judgement::Unknown, now + Duration::from_secs(1), 0);
        assert!(answers.find(&[1; 32], now).is_none());
    }
}
