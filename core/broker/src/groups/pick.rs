use std::collections::VecDeque;
use std::sync::Arc;

use core_model::{OriginId, QoS, ShardId, ShareStrategy, StoredMessage};

use crate::mail::{MemberRef, MemberState};
use crate::shard::Random;

pub(super) struct Group {
    pub(super) filter: Box<str>,
    pub(super) strategy: ShareStrategy,
    pub(super) members: Vec<Member>,
    /// Where round robin stands.
    pub(super) next: usize,
    pub(super) sticky: Option<MemberRef>,
    /// What nobody could take yet, each with its place in the group's order.
    pub(super) held: VecDeque<(i64, Arc<StoredMessage>)>,
    /// Shards that do not know the group yet.
    pub(super) unknown_to: u16,
    /// Joins that are answered when all shards know it.
    pub(super) joining: Vec<(ShardId, u32)>,
}

pub(super) struct Member {
    pub(super) who: MemberRef,
    /// The QoS that it was granted.
    pub(super) qos: QoS,
    pub(super) state: MemberState,
    /// Messages with QoS above 0 that it has and has not settled.
    pub(super) outstanding: u16,
}

impl Member {
    /// Whether it can be given anything now.
    fn is_ready(&self) -> bool {
        self.state.online && self.state.credit > 0
    }

    pub(super) fn has_credit(&self) -> bool {
        self.is_ready() && self.outstanding < self.state.window
    }

    fn credit(&self) -> u32 {
        let room = u32::from(self.state.window.saturating_sub(self.outstanding));
        if self.state.online { room.min(self.state.credit) } else { 0 }
    }

    /// It is given a message with QoS above 0.
    pub(super) fn count(&mut self) {
        self.outstanding += 1;
        // Until it says anew how much it takes.
        if self.state.credit != u32::MAX {
            self.state.credit = self.state.credit.saturating_sub(1);
        }
    }
}

/// What a strategy may look at.
pub(super) struct Question<'q> {
    pub(super) topic: &'q str,
    pub(super) origin: OriginId,
    pub(super) shard: ShardId,
    /// Whether the member must have credit (QoS above 0).
    pub(super) needs_credit: bool,
}

impl Group {
    /// The place of the member that gets the next message; `None` when nobody can take one.
    pub(super) fn pick(&mut self, question: &Question<'_>, random: &mut Random) -> Option<usize> {
        let fits =
            |member: &Member| member.is_ready() && (!question.needs_credit || member.has_credit());
        let count = self.members.iter().filter(|member| fits(member)).count();
        if count == 0 {
            return self.pick_without_credit(question);
        }
        let nth = |n: usize| {
            let mut fitting = self.members.iter().enumerate().filter(|(_, m)| fits(m));
            fitting.nth(n % count).map(|(place, _)| place)
        };
        match self.strategy {
            ShareStrategy::Random => nth(random.below(count)),
            ShareStrategy::RoundRobin => self.next_fitting(&fits),
            ShareStrategy::HashClient => self.hashed(question.origin.0),
            ShareStrategy::HashTopic => self.hashed(hash(question.topic)),
            ShareStrategy::Sticky => {
                let held = self.sticky.and_then(|who| {
                    self.members.iter().position(|member| member.who == who && fits(member))
                });
                let place = held.or_else(|| nth(random.below(count)))?;
                self.sticky = self.members.get(place).map(|member| member.who);
                Some(place)
            }
            ShareStrategy::Local => {
                let near = |m: &Member| m.who.shard == question.shard && fits(m);
                self.next_fitting(&near).or_else(|| self.next_fitting(&fits))
            }
            ShareStrategy::Claim => {
                let (place, _) = self
                    .members
                    .iter()
                    .enumerate()
                    .filter(|(_, member)| fits(member))
                    .max_by_key(|(_, member)| member.credit())?;
                Some(place)
            }
        }
    }

    /// Nobody has credit. A member that is online queues it, except under `claim`, where it waits
    /// for whoever has credit first.
    fn pick_without_credit(&mut self, question: &Question<'_>) -> Option<usize> {
        if !question.needs_credit || self.strategy == ShareStrategy::Claim {
            return None;
        }
        self.next_fitting(&Member::is_ready)
    }

    fn next_fitting(&mut self, fits: &dyn Fn(&Member) -> bool) -> Option<usize> {
        let len = self.members.len();
        let place = (0..len)
            .map(|step| (self.next + step) % len)
            .find(|place| self.members.get(*place).is_some_and(fits))?;
        self.next = (place + 1) % len;
        Some(place)
    }

    /// The same member for the same hash as long as the members stay; its queue takes what is
    /// beyond its credit, or the order per hash would break.
    fn hashed(&mut self, hash: u64) -> Option<usize> {
        let ready = self.members.iter().filter(|m| m.is_ready()).count();
        let nth = (hash % ready.max(1) as u64) as usize;
        let mut ready = self.members.iter().enumerate().filter(|(_, m)| m.is_ready());
        ready.nth(nth).map(|(place, _)| place)
    }

    pub(super) fn member(&mut self, who: MemberRef) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.who == who)
    }
}

fn hash(text: &str) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}
