//! Retained messages on their way to a new subscription.
//!
//! They lie on the shards that their topics hash to, and must neither be lost to a write that is
//! under way nor follow a newer live copy. So a pull asks only when every shard has installed the
//! subscription's interest and says how many retained writes it had sent to each shard by then; the
//! shard that keeps a topic answers only after that many have arrived. A publish before that point
//! is in the store by then, a publish after it comes live. Live copies of retained messages that
//! arrive between the subscribe and the page are remembered, with their places in the writes of
//! their publisher's shard. The page says how many writes had arrived: if a live copy's was not among
//! them, the page's message of that topic is older and is dropped. If it was, the page's message is
//! that one, and dropped since it came, or a newer one, which comes.

use std::rc::Rc;
use std::sync::{Arc, Weak};

use core_model::{QoS, Reason, ShardId, StoredMessage, Timestamp, filter_matches};
use core_store::Mutation;
use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};

use crate::mail::{AckRef, Letter};
use crate::outgoing::{Arriving, Offered, Terms};
use crate::publish::Dispatched;
use crate::retained::{Full, Page};
use crate::routes::{Route, SessionIndex};
use crate::shard::{Shard, Sink};
use crate::work::Work;

/// Messages of one page.
const PAGE_MESSAGES: usize = 64;
/// Entries of the store that one page looks at.
const PAGE_STEPS_MAX: usize = 1024;
/// A session with more than this many waiting messages gets no further page yet.
const QUEUE_LOW: usize = 32;
/// Topics with live copies that one pull remembers; beyond, a retained copy may follow a live one.
const LIVE_TOPICS_MAX: usize = 16_384;

/// A subscription that wants its retained messages.
pub(crate) struct PullWish {
    pub(crate) filter: Box<str>,
    pub(crate) qos: QoS,
    pub(crate) identifier: u32,
}

struct Pull {
    session: SessionIndex,
    wish: PullWish,
    /// The shard that is asked now, and where it continues.
    shard: u16,
    /// One past the last shard to ask.
    end: u16,
    cursor: Option<Box<str>>,
    /// For each shard that keeps topics: the writes that must have arrived there.
    barriers: Rc<[Box<[u64]>]>,
    /// By topic: live copies of retained messages that came meanwhile, the last of each shard.
    live: HashMap<Box<str>, SmallVec<[Live; 1]>, foldhash::fast::FixedState>,
    /// A question is under way, or waits in the work list.
    asked: bool,
}

/// Where a retained message stands among those that its publisher's shard writes to the shard that
/// keeps its topic.
#[derive(Clone, Copy)]
pub(crate) struct WriteRef {
    pub(crate) shard: ShardId,
    /// 0 where the publisher's shard keeps the topic itself.
    pub(crate) write: u64,
}

struct Live {
    written: WriteRef,
    /// Which message it was; it need not be kept for that.
    message: Weak<StoredMessage>,
}

impl Live {
    /// Whether the message of a page must not follow this live copy.
    fn forbids(&self, message: &Arc<StoredMessage>, arrived: &[u64]) -> bool {
        let WriteRef { shard, write } = self.written;
        let known = arrived.get(usize::from(shard.0)).is_some_and(|arrived| *arrived >= write);
        !known || std::ptr::eq(self.message.as_ptr(), Arc::as_ptr(message))
    }
}

/// A question of another shard that has to wait for writes to arrive.
struct Question {
    from: ShardId,
    pull: u32,
    filter: Box<str>,
    cursor: Option<Box<str>>,
    barrier: Box<[u64]>,
}

impl Pull {
    fn note(&mut self, topic: &str, live: Live) {
        if let Some(copies) = self.live.get_mut(topic) {
            copies.retain(|other| other.written.shard != live.written.shard);
            copies.push(live);
        } else if self.live.len() < LIVE_TOPICS_MAX {
            self.live.insert(topic.into(), smallvec![live]);
        }
    }
}

/// All pulls of this shard's sessions, and questions of other shards that wait.
#[derive(Default)]
pub(crate) struct Pulls {
    next: u32,
    pulls: HashMap<u32, Pull, foldhash::fast::FixedState>,
    questions: Vec<Question>,
}

impl Pulls {
    /// Pulls, and questions that wait.
    pub(crate) fn len(&self) -> usize {
        self.pulls.len() + self.questions.len()
    }
}

impl Shard {
    /// Registers a subscription's wish for retained messages. From here on live copies are
    /// remembered; nothing is asked for before [`Self::begin_pulls`].
    pub(crate) fn register_pull(&mut self, index: SessionIndex, wish: PullWish) -> Option<u32> {
        let (shard, end) = if wish.filter.contains(['+', '#']) {
            (0, self.shards)
        } else {
            let keeper = self.key.topic_shard(&wish.filter, self.shards).0;
            (keeper, keeper + 1)
        };
        let id = self.pulls.next;
        self.pulls.next = id.wrapping_add(1);
        self.sessions.get_mut(index.0 as usize)?.pulls.push(id);
        let pull = Pull {
            session: index,
            wish,
            shard,
            end,
            cursor: None,
            barriers: Rc::new([]),
            live: HashMap::default(),
            // Not to be resumed before it has begun.
            asked: true,
        };
        self.pulls.pulls.insert(id, pull);
        Some(id)
    }

    /// The subscription to a filter is gone, or asks once more: its pull ends.
    pub(crate) fn cancel_pull(&mut self, index: SessionIndex, filter: &str) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        let pulls = &mut self.pulls.pulls;
        session.pulls.retain(|id| {
            let is_it = pulls.get(id).is_some_and(|pull| *pull.wish.filter == *filter);
            if is_it {
                pulls.remove(id);
            }
            !is_it
        });
    }

    /// The subscription to a filter was replaced: what is still to come comes on the new terms.
    pub(crate) fn change_pull(&mut self, index: SessionIndex, wish: &PullWish) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        for id in &session.pulls {
            if let Some(pull) = self.pulls.pulls.get_mut(id)
                && pull.wish.filter == wish.filter
            {
                (pull.wish.qos, pull.wish.identifier) = (wish.qos, wish.identifier);
            }
        }
    }

    /// Starts to bring retained messages to subscriptions. `writes[p][r]`: the retained messages
    /// that shard `p` had sent to shard `r` when it had installed the interest.
    pub(crate) fn begin_pulls(&mut self, ids: &[u32], writes: &[Box<[u64]>]) {
        let barriers: Rc<[Box<[u64]>]> = (0..usize::from(self.shards))
            .map(|keeper| {
                writes.iter().map(|sent| sent.get(keeper).copied().unwrap_or(0)).collect()
            })
            .collect();
        for id in ids {
            if let Some(pull) = self.pulls.pulls.get_mut(id) {
                pull.barriers = Rc::clone(&barriers);
                self.work.push_back(Work::Pull { id: *id });
            }
        }
    }

    /// Asks for the next page of a pull, if its session has room for one.
    pub(crate) fn step_pull(&mut self, now: Timestamp, id: u32, sink: &mut dyn Sink) {
        let Some(pull) = self.pulls.pulls.get_mut(&id) else { return };
        let room = self.sessions.get(pull.session.0 as usize).is_some_and(|session| {
            let sent = session.slot.is_some() && session.outgoing.is_open();
            sent && session.outgoing.queued() <= QUEUE_LOW
        });
        if !room {
            pull.asked = false;
            return;
        }
        let (filter, cursor) = (pull.wish.filter.clone(), pull.cursor.clone());
        let barrier = pull.barriers.get(usize::from(pull.shard)).cloned().unwrap_or_default();
        let keeper = ShardId(pull.shard);
        if keeper == self.id {
            let question = Question { from: self.id, pull: id, filter, cursor, barrier };
            if let Some(question) = self.answer_question(now, question, Some(sink)) {
                self.pulls.questions.push(question);
            }
        } else {
            self.out.send(keeper, Letter::Pull { pull: id, filter, cursor, barrier });
        }
    }

    pub(crate) fn on_pull(
        &mut self,
        now: Timestamp,
        from: ShardId,
        pull: u32,
        filter: Box<str>,
        cursor: Option<Box<str>>,
        barrier: Box<[u64]>,
    ) {
        let question = Question { from, pull, filter, cursor, barrier };
        if let Some(question) = self.answer_question(now, question, None) {
            self.pulls.questions.push(question);
        }
    }

    /// Answers a question, or gives it back when writes are still to arrive.
    fn answer_question(
        &mut self,
        now: Timestamp,
        question: Question,
        sink: Option<&mut dyn Sink>,
    ) -> Option<Question> {
        if !self.requests.has_passed(&question.barrier) {
            return Some(question);
        }
        let mut messages = Vec::new();
        let page = self.retained.page(
            &question.filter,
            question.cursor.as_deref(),
            PAGE_MESSAGES,
            PAGE_STEPS_MAX,
            now,
            &mut messages,
        );
        let cursor = match page {
            Page::Done => None,
            Page::More { cursor } => Some(cursor),
        };
        let (pull, arrived) = (question.pull, self.requests.arrived());
        match sink {
            Some(sink) if question.from == self.id => {
                self.on_page(now, pull, messages, cursor, &arrived, sink);
            }
            _ => self.out.send(question.from, Letter::Page { pull, messages, cursor, arrived }),
        }
        None
    }

    /// Writes arrived: questions that waited for them can be answered.
    fn retry_questions(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        for question in std::mem::take(&mut self.pulls.questions) {
            if let Some(waiting) = self.answer_question(now, question, Some(sink)) {
                self.pulls.questions.push(waiting);
            }
        }
    }

    /// A page of retained messages for a pull.
    pub(crate) fn on_page(
        &mut self,
        now: Timestamp,
        id: u32,
        messages: Vec<Arc<StoredMessage>>,
        cursor: Option<Box<str>>,
        arrived: &[u64],
        sink: &mut dyn Sink,
    ) {
        let Some(pull) = self.pulls.pulls.get_mut(&id) else { return };
        let index = pull.session;
        let live = std::mem::take(&mut pull.live);
        let (qos, identifier) = (pull.wish.qos, pull.wish.identifier);
        let identifiers: &[u32] = if identifier == 0 { &[] } else { &[identifier] };
        for message in messages {
            let copies = live.get(message.topic());
            if copies.is_some_and(|copies| copies.iter().any(|c| c.forbids(&message, arrived))) {
                continue;
            }
            let view = message.view();
            //= mqtt311:3.3.1-8
            let terms = Terms { qos: view.qos.min(qos), retain: true, identifiers, group: None };
            let mut arriving = Arriving::new(&view, Some(Arc::clone(&message)));
            self.with_session(now, sink, index, |session, cx| {
                let (to, outgoing) = session.sending();
                if outgoing.offer(cx, to, &mut arriving, terms) == Offered::Refused {
                    cx.counters.dropped_queue_full += 1;
                    cx.report_drop(to, Reason::QUOTA_EXCEEDED);
                }
            });
        }
        let Some(pull) = self.pulls.pulls.get_mut(&id) else { return };
        pull.live = live;
        if cursor.is_none() {
            pull.shard += 1;
        }
        pull.cursor = cursor;
        if pull.shard >= pull.end {
            self.finish_pull(id);
            self.tell_drained(now, index, sink);
        } else {
            self.work.push_back(Work::Pull { id });
        }
    }

    fn finish_pull(&mut self, id: u32) {
        let Some(pull) = self.pulls.pulls.remove(&id) else { return };
        if let Some(session) = self.sessions.get_mut(pull.session.0 as usize) {
            session.pulls.retain(|other| *other != id);
        }
    }

    /// A session has room again: its pulls go on.
    pub(crate) fn resume_pulls(&mut self, index: SessionIndex) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        for id in &session.pulls {
            if let Some(pull) = self.pulls.pulls.get_mut(id)
                && !pull.asked
            {
                pull.asked = true;
                self.work.push_back(Work::Pull { id: *id });
            }
        }
    }

    /// A session ended: its pulls with it.
    pub(crate) fn drop_pulls(&mut self, index: SessionIndex) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        for id in std::mem::take(&mut session.pulls) {
            self.pulls.pulls.remove(&id);
        }
    }

    /// Remembers, for the pulls of a retained message's receivers, that a live copy came.
    #[cold]
    pub(crate) fn note_live(
        &mut self,
        route: &Route,
        written: WriteRef,
        arriving: &mut Arriving<'_>,
    ) {
        let (topic, origin) = (arriving.view.topic, arriving.view.origin);
        let message = Arc::downgrade(arriving.stored());
        for target in &route.local {
            let Some(session) = self.sessions.get(target.session.0 as usize) else { continue };
            if target.grant(session.is_origin(origin)).is_none() {
                continue;
            }
            for id in &session.pulls {
                let Some(pull) = self.pulls.pulls.get_mut(id) else { continue };
                if filter_matches(&pull.wish.filter, topic) {
                    pull.note(topic, Live { written, message: Weak::clone(&message) });
                }
            }
        }
    }

    /// Stores or removes the retained message of a topic that this shard keeps.
    pub(crate) fn retain(
        &mut self,
        _now: Timestamp,
        message: Arc<StoredMessage>,
    ) -> Result<(), Reason> {
        //= mqtt5:3.3.1-6
        //= mqtt5:3.3.1-7
        //= mqtt311:3.3.1-10
        //= mqtt311:3.3.1-11
        let topic: Box<str> = message.topic().into();
        if message.payload().is_empty() {
            self.retained.remove(&topic);
            self.journal.push(Mutation::Retained { topic, message: None });
            return Ok(());
        }
        let kept = Arc::clone(&message);
        match self.retained.set(message) {
            Ok(_) => {
                self.journal.push(Mutation::Retained { topic, message: Some(kept) });
                Ok(())
            }
            Err(Full) => Err(Reason::QUOTA_EXCEEDED),
        }
    }

    /// Takes retained messages out whose time is over.
    pub(crate) fn expire_retained(&mut self, now: Timestamp, budget: usize) {
        if self.retained.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        let mut expired = Vec::new();
        self.retained.expire(now, budget.max(1), &mut expired);
        for message in expired {
            self.counters.dropped_expired += 1;
            let topic = message.topic().into();
            self.journal.push(Mutation::Retained { topic, message: None });
        }
    }

    /// A retained message of another shard's client.
    pub(crate) fn on_retain_mail(
        &mut self,
        now: Timestamp,
        from: ShardId,
        message: Arc<StoredMessage>,
        ack: Option<AckRef>,
        sink: &mut dyn Sink,
    ) {
        self.requests.count_arrival(from);
        let refused = self.retain(now, message).err();
        let dispatched = Dispatched { durable: true, refused, ..Dispatched::default() };
        match ack {
            Some(ack) => self.report(now, ack, &dispatched, sink),
            None => self.count_refused(None, &dispatched),
        }
        if !self.pulls.questions.is_empty() {
            self.retry_questions(now, sink);
        }
    }
}
