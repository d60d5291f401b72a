//! Who gets what.

use core_model::{Filter, QoS, Reason, RetainHandling, Subscription, Ticket};

use super::{Entry, Fit, MPull, MSubscription, MWill, Model};
use crate::trace::{Draft, Ev};

/// A session's messages of one moment.
type Offers = Vec<(usize, Vec<Entry>)>;

impl Model {
    pub(super) fn publish(&mut self, client: usize, id: u16, draft: &Draft) -> Fit {
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if !session.connected {
            return Ok(());
        }
        let answer = |reason| Ev::Published(Ticket::default(), reason);
        if draft.qos == QoS::ExactlyOnce {
            // 4.3.3-10
            if session.incoming.contains(&id) {
                return self.seen.expect(client, &answer(Reason::SUCCESS));
            }
            session.incoming.push(id);
        }
        let matched = self.dispatch(&[(client, draft.clone())])?;
        if draft.qos == QoS::AtMostOnce {
            return Ok(());
        }
        let reason = if matched { Reason::SUCCESS } else { Reason::NO_MATCHING_SUBSCRIBERS };
        self.seen.expect(client, &answer(reason))
    }

    pub(super) fn release(&mut self, client: usize, id: u16) -> Fit {
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if !session.connected {
            return Ok(());
        }
        let known = session.incoming.contains(&id);
        session.incoming.retain(|other| *other != id);
        let reason = if known { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
        self.seen.expect(client, &Ev::Released(Ticket::default(), reason))
    }

    /// Brings messages of one moment, each with its publisher, to all who want them; whether anybody
    /// did.
    fn dispatch(&mut self, messages: &[(usize, Draft)]) -> Result<bool, String> {
        let mut matched = false;
        let mut offers: Offers = Vec::new();
        for (publisher, draft) in messages {
            let clients: Vec<usize> = self.sessions.keys().copied().collect();
            for client in clients {
                if let Some(entry) = self.entry_for(client, *publisher, draft) {
                    matched = true;
                    add(&mut offers, client, entry);
                }
            }
            for name in self.groups_for(&draft.topic) {
                matched = true;
                if let Some((client, entry)) = self.give(&name, draft, draft.retain)? {
                    add(&mut offers, client, entry);
                }
            }
            // 3.3.1-5 to 8
            if draft.retain {
                if draft.empty {
                    self.retained.remove(&*draft.topic);
                } else {
                    self.retained.insert(draft.topic.to_string(), draft.clone());
                }
            }
        }
        for (client, entries) in offers {
            self.offer_bag(client, entries)?;
        }
        Ok(matched)
    }

    /// The copy that a session gets: one, with the terms of all subscriptions that match.
    fn entry_for(&mut self, client: usize, publisher: usize, draft: &Draft) -> Option<Entry> {
        let session = self.sessions.get_mut(&client)?;
        let matching: Vec<&MSubscription> = session
            .subscriptions
            .iter()
            .filter(|s| s.options.filter.share_name().is_none())
            .filter(|s| s.options.filter.matches(&draft.topic))
            // 3.8.3-3
            .filter(|s| !(s.options.no_local && client == publisher))
            .collect();
        // 3.3.4-2, 3.8.4-8
        let granted = matching.iter().map(|s| s.options.qos).max()?;
        let mut identifiers: Vec<u32> = matching.iter().filter_map(|s| s.identifier).collect();
        identifiers.sort_unstable();
        // 3.3.1-12 and 13
        let retain = draft.retain && matching.iter().any(|s| s.options.retain_as_published);
        for pull in &mut session.pulls {
            if draft.retain && pull.filter.matches(&draft.topic) {
                pull.live.push(draft.number);
            }
        }
        Some(Entry {
            draft: draft.clone(),
            qos: draft.qos.min(granted),
            retain,
            identifiers,
            group: None,
            bag: 0,
        })
    }

    fn groups_for(&self, topic: &str) -> Vec<Box<str>> {
        let of_topic = |name: &str| Filter::parse(name).is_ok_and(|f| f.matches(topic));
        self.groups.keys().filter(|name| of_topic(name)).cloned().collect()
    }

    /// Gives a message to that member of a group that was seen to get it.
    fn give(
        &mut self,
        name: &str,
        draft: &Draft,
        retain: bool,
    ) -> Result<Option<(usize, Entry)>, String> {
        let members = self.groups.get(name).map(|group| group.members.clone()).unwrap_or_default();
        let mut online = Vec::new();
        for member in members {
            let session = &self.sessions[&member];
            if session.connected && session.open {
                online.push((member, self.group_entry(name, member, draft, retain)?));
            }
        }
        if online.is_empty() {
            // 4.8.2: nobody can take it now; QoS 0 is not kept.
            if draft.qos > QoS::AtMostOnce
                && let Some(group) = self.groups.get_mut(name)
            {
                group.held.push_back((draft.clone(), retain));
            }
            return Ok(None);
        }
        let taker = online.iter().find(|(member, e)| self.seen.found(*member, e).next().is_some());
        match taker {
            Some(taker) => Ok(Some(taker.clone())),
            None => Err(format!("no member of {name} got {draft:?}")),
        }
    }

    fn group_entry(
        &self,
        name: &str,
        member: usize,
        draft: &Draft,
        retain: bool,
    ) -> Result<Entry, String> {
        let of_group = |s: &&MSubscription| s.options.filter.as_str() == name;
        let terms = self.sessions[&member].subscriptions.iter().find(of_group);
        let terms = terms.ok_or("a member without its subscription")?;
        Ok(Entry {
            draft: draft.clone(),
            // 4.8.2-3
            qos: draft.qos.min(terms.options.qos),
            retain: retain && terms.options.retain_as_published,
            identifiers: terms.identifier.into_iter().collect(),
            group: Some(name.into()),
            bag: 0,
        })
    }

    /// What groups hold goes to a member that can take messages.
    pub(super) fn tell_groups(&mut self, client: usize) -> Fit {
        let names: Vec<Box<str>> = self
            .groups
            .iter()
            .filter(|(_, group)| group.members.contains(&client))
            .map(|(name, _)| name.clone())
            .collect();
        let mut offers: Offers = Vec::new();
        for name in names {
            self.drain(&name, &mut offers)?;
        }
        for (client, entries) in offers {
            self.offer_bag(client, entries)?;
        }
        Ok(())
    }

    fn drain(&mut self, name: &str, offers: &mut Offers) -> Fit {
        let now = self.now;
        let held = self.groups.get_mut(name).map(|group| std::mem::take(&mut group.held));
        for (draft, retain) in held.into_iter().flatten() {
            if draft.expires_at.is_some_and(|at| at <= now) {
                continue;
            }
            if let Some((client, entry)) = self.give(name, &draft, retain)? {
                add(offers, client, entry);
            }
        }
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        client: usize,
        identifier: Option<u32>,
        subscriptions: &[Subscription],
    ) -> Fit {
        if !self.is_connected(client) {
            return Ok(());
        }
        let mut reasons = Vec::new();
        let mut joined = Vec::new();
        for options in subscriptions {
            reasons.push(Reason::from_u8(options.qos as u8));
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            let same = |s: &MSubscription| s.options.filter == options.filter;
            let is_new = !session.subscriptions.iter().any(same);
            session.subscriptions.retain(|s| !same(s));
            session.subscriptions.push(MSubscription { options: options.clone(), identifier });
            if options.filter.share_name().is_some() {
                let name = options.filter.as_str();
                let group = self.groups.entry(name.into()).or_default();
                if !group.members.contains(&client) {
                    group.members.push(client);
                }
                joined.push(name);
                continue;
            }
            // 3.3.1-9 to 11
            let wanted = match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            let pending = session.pulls.iter_mut().find(|p| p.filter == options.filter);
            match pending {
                Some(pull) => {
                    (pull.qos, pull.identifier) = (options.qos, identifier);
                    if wanted {
                        pull.live.clear();
                    }
                }
                None if wanted => session.pulls.push(MPull {
                    filter: options.filter.clone(),
                    qos: options.qos,
                    identifier,
                    live: Vec::new(),
                }),
                None => {}
            }
        }
        self.seen.expect(client, &Ev::Subscribed(Ticket::default(), reasons))?;
        let mut offers: Offers = Vec::new();
        for name in joined {
            self.drain(name, &mut offers)?;
        }
        for (client, entries) in offers {
            self.offer_bag(client, entries)?;
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, client: usize, filters: &[Box<str>]) -> Fit {
        if !self.is_connected(client) {
            return Ok(());
        }
        let mut reasons = Vec::new();
        for filter in filters {
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            let before = session.subscriptions.len();
            session.subscriptions.retain(|s| s.options.filter.as_str() != &**filter);
            session.pulls.retain(|pull| pull.filter.as_str() != &**filter);
            let found = session.subscriptions.len() < before;
            reasons.push(if found { Reason::SUCCESS } else { Reason::NO_SUBSCRIPTION_EXISTED });
            self.leave_group(client, filter);
        }
        self.seen.expect(client, &Ev::Unsubscribed(Ticket::default(), reasons))
    }

    fn leave_group(&mut self, client: usize, name: &str) {
        if let Some(group) = self.groups.get_mut(name) {
            group.members.retain(|member| *member != client);
            if group.members.is_empty() {
                self.groups.remove(name);
            }
        }
    }

    /// Sessions end, and wills without an end of the session are due, at one moment.
    pub(super) fn end_all(&mut self, over: &[usize], wills: Vec<(usize, MWill)>) -> Fit {
        let mut wills = wills;
        for client in over {
            let will = self.sessions.get_mut(client).and_then(|session| session.will.take());
            wills.extend(will.map(|will| (*client, will)));
        }
        let now = self.now;
        let messages: Vec<(usize, Draft)> = wills
            .into_iter()
            .map(|(client, will)| {
                let expires_at = will.expiry_s.map(|seconds| now.plus_seconds(seconds));
                (client, Draft { expires_at, ..will.draft })
            })
            .collect();
        self.dispatch(&messages)?;
        let mut returned = Vec::new();
        for client in over {
            let Some(session) = self.sessions.remove(client) else { continue };
            for subscription in &session.subscriptions {
                self.leave_group(*client, subscription.options.filter.as_str());
            }
            // 4.8.2-4 and 5: QoS 1 goes to another member, QoS 2 that was begun to none.
            let unacked = session.inflight.into_iter().map(|f| f.entry);
            let unacked = unacked.filter(|entry| entry.qos == QoS::AtLeastOnce);
            let queued = session.queue.into_iter().filter(|e| e.qos > QoS::AtMostOnce);
            returned.extend(unacked.chain(queued).filter_map(|entry| {
                let group = entry.group?;
                Some((group, entry.draft))
            }));
        }
        let mut offers: Offers = Vec::new();
        for (name, draft) in returned {
            let retain = draft.retain;
            let expired = draft.expires_at.is_some_and(|at| at <= now);
            if !expired
                && self.groups.contains_key(&name)
                && let Some((client, entry)) = self.give(&name, &draft, retain)?
            {
                add(&mut offers, client, entry);
            }
        }
        for (client, entries) in offers {
            self.offer_bag(client, entries)?;
        }
        Ok(())
    }

    /// Retained messages go to the subscriptions that wait for them.
    pub(super) fn run_pulls(&mut self) -> Fit {
        let clients: Vec<usize> = self.sessions.keys().copied().collect();
        for client in clients {
            let now = self.now;
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            if !session.connected || !session.open || session.pulls.is_empty() {
                continue;
            }
            let mut entries = Vec::new();
            for pull in std::mem::take(&mut session.pulls) {
                for (topic, draft) in &self.retained {
                    let expired = draft.expires_at.is_some_and(|at| at <= now);
                    let came_live = pull.live.contains(&draft.number);
                    if expired || !pull.filter.matches(topic) || came_live {
                        continue;
                    }
                    entries.push(Entry {
                        draft: draft.clone(),
                        qos: draft.qos.min(pull.qos),
                        retain: true,
                        identifiers: pull.identifier.into_iter().collect(),
                        group: None,
                        bag: 0,
                    });
                }
            }
            self.offer_bag(client, entries)?;
        }
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        client: usize,
        filter: &Filter,
        limit: u32,
        after: Option<&str>,
    ) -> Fit {
        if !self.is_connected(client) {
            return Ok(());
        }
        let now = self.now;
        let mut page: Vec<(Box<str>, u64)> = self
            .retained
            .iter()
            .filter(|(_, draft)| draft.expires_at.is_none_or(|at| at > now))
            .filter(|(topic, _)| filter.matches(topic))
            .filter(|(topic, _)| after.is_none_or(|after| topic.as_str() > after))
            .map(|(topic, draft)| (topic.as_str().into(), draft.number))
            .collect();
        let more = page.len() > limit as usize;
        page.truncate(limit as usize);
        let cursor = page.last().filter(|_| more).map(|(topic, _)| topic.clone());
        self.seen.expect(client, &Ev::Retained(Ticket::default(), page, cursor))
    }
}

fn add(offers: &mut Offers, client: usize, entry: Entry) {
    match offers.iter_mut().find(|(other, _)| *other == client) {
        Some((_, entries)) => entries.push(entry),
        None => offers.push((client, vec![entry])),
    }
}
