//! Questions about clients, subscriptions and retained messages, to all shards at once.

use std::sync::Arc;

use core_broker::{
    ClientDetails, ClientInfo, ClientQuery, RetainedQuery, Selector, SubscriptionInfo,
    SubscriptionQuery,
};
use core_model::{ClientKey, Reason, ShardId, SlotId, StoredMessage, Timestamp};

use crate::links::Links;
use crate::{Control, ControlError};

/// Times that one question makes a shard look through its entries, of which it sees some thousands
/// each time. What is not found by then is on the next page.
const ROUNDS_MAX: usize = 256;

/// A part of an answer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, K> {
    /// What was found.
    pub items: Vec<T>,
    /// Where to go on: the `after` of the next question. `None` at the end; otherwise there may be
    /// more, although the page is not full.
    pub next: Option<K>,
}

/// A client as a list shows it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its session.
    pub session: ClientInfo,
    /// Its link, if it has one on the shard of its session.
    pub link: Option<LinkInfo>,
}

/// What is known of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its transport as the configuration names it: `tcp`, `tls`, `ws`, `wss` or `unix`.
    pub transport: &'static str,
    /// When it was opened, to the second.
    pub opened_at: Timestamp,
    /// When something was last read from it, to the second.
    pub heard_at: Timestamp,
    /// Bytes read from its socket.
    pub bytes_read: u64,
    /// Bytes written to its socket.
    pub bytes_written: u64,
    /// Bytes of output that wait for its socket.
    pub output_bytes: usize,
    /// Whether it is not read now since it sent too fast.
    pub is_throttled: bool,
}

impl Control {
    /// A page of the clients of all shards, in the order of gateway and client id.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn clients(&self, query: &ClientQuery) -> Result<Page<Client, ClientKey>, ControlError> {
        let after = query.after.clone();
        self.merge(query.limit, after, |shard, after| {
            let query = ClientQuery { after, ..query.clone() };
            self.shared.ask(shard, move |loops| {
                let page = loops.shard.clients(&query);
                let clients = page.clients.into_iter().map(|session| {
                    let link = session.slot.and_then(|slot| loops.links.info(slot));
                    (session.client.clone(), Client { session, link })
                });
                (clients.collect(), page.next)
            })
        })
    }

    /// All there is to say of one client, and of its link.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn client(
        &self,
        client: &ClientKey,
    ) -> Result<Option<(ClientDetails, Option<LinkInfo>)>, ControlError> {
        let client = client.clone();
        let answers = self.shared.ask_all(move |loops| {
            let details = loops.shard.client(&client)?;
            let link = details.info.slot.and_then(|slot| loops.links.info(slot));
            Some((details, link))
        })?;
        Ok(answers.into_iter().flatten().next())
    }

    /// Ends the links of all connected clients that are meant, and refuses those that are still
    /// being authenticated; says how many there were. Their sessions live on as their expiry says.
    ///
    /// # Errors
    /// A shard does not answer; others may have kicked clients then.
    pub fn kick(&self, whom: &Selector, reason: Reason) -> Result<usize, ControlError> {
        let mut clients = 0;
        for shard in self.shared.mesh.shards() {
            let mut after = None;
            loop {
                let whom = whom.clone();
                let kicked = self.shared.ask(shard, move |loops| {
                    let (now, links) = (loops.links.now, &mut loops.links);
                    loops.shard.kick_where(now, &whom, after.as_ref(), reason, links)
                })?;
                clients += kicked.clients;
                after = kicked.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(clients)
    }

    /// A page of the subscriptions of all shards' sessions, in the order of clients and filters.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn subscriptions(
        &self,
        query: &SubscriptionQuery,
    ) -> Result<Page<SubscriptionInfo, (ClientKey, Box<str>)>, ControlError> {
        let after = query.after.clone();
        self.merge(query.limit, after, |shard, after| {
            let query = SubscriptionQuery { after, ..query.clone() };
            self.shared.ask(shard, move |loops| {
                let page = loops.shard.subscriptions(&query);
                let subscriptions = page.subscriptions.into_iter();
                let keyed = subscriptions.map(|s| ((s.client.clone(), s.filter.clone()), s));
                (keyed.collect(), page.next)
            })
        })
    }

    /// A page of the retained messages of all shards, in the order of their topics.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn retained(
        &self,
        query: &RetainedQuery,
    ) -> Result<Page<Arc<StoredMessage>, Box<str>>, ControlError> {
        let after = query.after.clone();
        self.merge(query.limit, after, |shard, after| {
            let query = RetainedQuery { after, ..query.clone() };
            self.shared.ask(shard, move |loops| {
                let page = loops.shard.retained(loops.links.now, &query);
                let keyed = page.messages.into_iter().map(|m| (Box::from(m.topic()), m));
                (keyed.collect(), page.next)
            })
        })
    }

    fn merge<T, K: Ord + Clone>(
        &self,
        limit: usize,
        after: Option<K>,
        ask: impl FnMut(ShardId, Option<K>) -> Result<Answer<T, K>, ControlError>,
    ) -> Result<Page<T, K>, ControlError> {
        merge(self.shared.shards, limit.max(1), after, ask)
    }
}

/// Some entries of one shard with their keys, and where it goes on.
type Answer<T, K> = (Vec<(K, T)>, Option<K>);

/// Asks all shards for their parts of a page. A part that ends early is asked for again, until the
/// page is full or everything has been looked through, up to a bound.
fn merge<T, K: Ord + Clone, E>(
    shards: u16,
    limit: usize,
    after: Option<K>,
    mut ask: impl FnMut(ShardId, Option<K>) -> Result<Answer<T, K>, E>,
) -> Result<Page<T, K>, E> {
    let mut found = Vec::new();
    // How far each shard has looked; those that are through are not here any more.
    let mut reached: Vec<(ShardId, Option<K>)> =
        (0..shards).map(|shard| (ShardId(shard), after.clone())).collect();
    for _ in 0..ROUNDS_MAX {
        let Some(last) = reached.iter().map(|(_, key)| key.clone()).min() else { break };
        let sure = found.iter().filter(|(key, _)| Some(key) <= last.as_ref()).count();
        if sure >= limit {
            break;
        }
        let mut further = Vec::new();
        for (shard, key) in reached {
            if key > last {
                further.push((shard, key));
                continue;
            }
            let (mut entries, next) = ask(shard, key)?;
            found.append(&mut entries);
            if next.is_some() {
                further.push((shard, next));
            }
        }
        reached = further;
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut next = reached.into_iter().filter_map(|(_, key)| key).min();
    if let Some(next) = &next {
        found.retain(|(key, _)| key <= next);
    }
    if found.len() > limit {
        found.truncate(limit);
        next = found.last().map(|(key, _)| key.clone());
    }
    Ok(Page { items: found.into_iter().map(|(_, item)| item).collect(), next })
}

impl Links {
    /// Whether the link of a slot is here.
    pub(crate) fn has(&self, slot: SlotId) -> bool {
        let link = self.table.at(slot.link.index);
        slot.shard == self.shard && link.is_some_and(|link| link.id == slot.link)
    }

    /// What is known of the link of a slot, if that is here.
    pub(crate) fn info(&self, slot: SlotId) -> Option<LinkInfo> {
        let link = self.table.at(slot.link.index).filter(|_| self.has(slot))?;
        let at = |seconds: u32| Timestamp::ZERO.plus_seconds(seconds);
        Some(LinkInfo {
            transport: link.permit.listener().transport,
            opened_at: at(link.traffic.opened_at_s),
            heard_at: at(link.traffic.heard_at_s),
            bytes_read: link.traffic.bytes_read,
            bytes_written: link.traffic.bytes_written,
            output_bytes: link.output.len()
                + link.wire.as_ref().map_or(0, |wire| wire.output.len()),
            is_throttled: link.pace.as_ref().is_some_and(|pace| pace.resume_at().is_some()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Shards with some numbers, of which each answer looks through at most `step`.
    fn page(
        shards: &[Vec<u32>],
        step: usize,
        limit: usize,
        after: Option<u32>,
        wanted: impl Fn(u32) -> bool,
    ) -> Page<u32, u32> {
        let ask = |shard: ShardId, after: Option<u32>| {
            let all = &shards[usize::from(shard.0)];
            let rest: Vec<u32> =
                all.iter().copied().filter(|number| Some(*number) > after).collect();
            let seen: Vec<u32> = rest.iter().copied().take(step).collect();
            let found: Vec<u32> =
                seen.iter().copied().filter(|number| wanted(*number)).take(limit).collect();
            let next = match (found.len() == limit, rest.len() > seen.len()) {
                (true, _) => found.last().copied(),
                (false, true) => seen.last().copied(),
                (false, false) => None,
            };
            Ok::<_, Infallible>((found.into_iter().map(|number| (number, number)).collect(), next))
        };
        let Ok(page) = merge(shards.len() as u16, limit, after, ask);
        page
    }

    #[test]
    fn pages_show_everything_once_and_in_order() {
        let shards: Vec<Vec<u32>> = vec![
            (0..500).filter(|n| n % 3 == 0).collect(),
            vec![],
            (0..500).filter(|n| n % 3 == 1 && *n > 200).collect(),
            (0..500).filter(|n| n % 3 == 2 && *n < 100).collect(),
        ];
        for divisor in [1, 2, 7, 1_000] {
            let wanted = |number: u32| number.is_multiple_of(divisor);
            let mut expected: Vec<u32> =
                shards.iter().flatten().copied().filter(|number| wanted(*number)).collect();
            expected.sort_unstable();
            for (step, limit) in [(1, 1), (1, 10), (3, 4), (1_000, 7), (10, 1_000)] {
                let (mut seen, mut after) = (Vec::new(), None);
                loop {
                    let page = page(&shards, step, limit, after, wanted);
                    assert!(page.items.len() <= limit);
                    seen.extend(page.items);
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{divisor} {step} {limit}");
            }
        }
    }

    #[test]
    fn one_question_looks_through_a_bounded_part() {
        let shards = vec![(0..10_000).collect()];
        let first = page(&shards, 1, 10, None, |number| number == 9_999);
        assert_eq!((first.items, first.next), (vec![], Some(ROUNDS_MAX as u32 - 1)));
    }
}
