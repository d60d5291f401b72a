//! What an operator sees of a shard and does to its clients: pages of clients, subscriptions and
//! retained messages, kicks. Every call does a bounded piece of work and says where to go on.

use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::Arc;

use core_model::{
    ClientKey, Connect, Credit, DisconnectCause, Expiry, Filter, GatewayId, Identity, Manners,
    Principal, QoS, Reason, SessionLimits, SlotId, StoredMessage, Timestamp, TransportFacts,
    filter_matches,
};
use ipnet::IpNet;

use crate::retained::Page;
use crate::routes::SessionIndex;
use crate::session::Session;
use crate::shard::{Shard, Sink};

/// Entries that one call looks at, whether they are asked for or not.
const STEPS_MAX: usize = 4_096;

/// Which clients are meant: those for whom all that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Client identifier.
    pub client_id: Option<Box<str>>,
    /// Gateway.
    pub gateway: Option<GatewayId>,
    /// User name.
    pub user: Option<Box<str>>,
    /// Name of the listener.
    pub listener: Option<Box<str>>,
    /// Addresses, as seen or as a trusted proxy reports them.
    pub net: Option<IpNet>,
}

impl Selector {
    fn matches(&self, client: &ClientKey, who: &Facts<'_>) -> bool {
        let is = |wanted: &Option<Box<str>>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.client_id, Some(&client.client_id))
            && self.gateway.is_none_or(|gateway| gateway == client.gateway)
            && is(&self.user, who.user)
            && is(&self.listener, Some(who.listener))
            && self.net.is_none_or(|net| {
                who.peer.is_some_and(|peer| net.contains(&peer.ip().to_canonical()))
            })
    }
}

/// What a selector looks at beside the client identifier.
struct Facts<'f> {
    user: Option<&'f str>,
    listener: &'f str,
    peer: Option<SocketAddr>,
}

impl<'f> Facts<'f> {
    fn of(principal: &'f Principal) -> Self {
        Facts {
            user: principal.identity.user.as_deref(),
            listener: &principal.listener,
            peer: principal.peer,
        }
    }
}

/// Which clients to show.
#[derive(Clone, Debug, Default)]
pub struct ClientQuery {
    /// Whom.
    pub selector: Selector,
    /// What the client identifier begins with; empty for any.
    pub client_id_prefix: Box<str>,
    /// Only those with a link (`true`) or without one (`false`).
    pub connected: Option<bool>,
    /// Behind this one, the `next` of the page before.
    pub after: Option<ClientKey>,
    /// At most so many; 0 counts as 1.
    pub limit: usize,
}

/// Some clients of one shard, in the order of their keys.
#[derive(Debug, Default)]
pub struct ClientPage {
    /// The clients.
    pub clients: Vec<ClientInfo>,
    /// Where to go on; `None` at the end. There may be more although the page is not full.
    pub next: Option<ClientKey>,
}

/// One client in a list.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The session.
    pub client: ClientKey,
    /// Name of the gateway; empty for a session that has not come back after a restart, as are the
    /// listener, user and address.
    pub gateway: &'static str,
    /// Name of the listener.
    pub listener: Box<str>,
    /// User name.
    pub user: Option<Box<str>>,
    /// Its address, as seen or as a trusted proxy reports it.
    pub peer: Option<SocketAddr>,
    /// Its slot, if it has a link.
    pub slot: Option<SlotId>,
    /// When its link came, or went if there is none now.
    pub since: Timestamp,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Messages that wait.
    pub queued_messages: usize,
    /// Deliveries that it has not settled.
    pub inflight: usize,
}

/// All there is to say of one client. Of its credentials only what they proved is known.
#[derive(Clone, Debug)]
pub struct ClientDetails {
    /// What a list shows.
    pub info: ClientInfo,
    /// Shared ones among its subscriptions.
    pub subscriptions_shared: usize,
    /// Bytes of the messages that wait.
    pub queued_bytes: usize,
    /// Bytes of the messages in flight that are kept.
    pub inflight_bytes: usize,
    /// Deliveries that it takes before it settles one.
    pub receive_max: u16,
    /// Whether it takes messages now.
    pub takes_messages: bool,
    /// How many more it takes, as it has said.
    pub credit: Credit,
    /// What its protocol does otherwise than MQTT.
    pub manners: Manners,
    /// Notes of its gateway.
    pub notes: usize,
    /// Bytes of memory that these take.
    pub note_bytes: usize,
    /// QoS 2 messages that it published and has not released.
    pub unreleased: usize,
    /// How long the session outlives the link.
    pub expiry: Expiry,
    /// When it ends, if it has no link.
    pub ends_at: Option<Timestamp>,
    /// Its will.
    pub will: Option<WillInfo>,
    /// Topic prefix with its placeholders replaced.
    pub mountpoint: Box<str>,
    /// Name of the authenticator that believed it; empty for an anonymous client.
    pub authenticator: Box<str>,
    /// When its credentials expire.
    pub credentials_expire_at: Option<Timestamp>,
    /// Whether no rule on topics binds it.
    pub is_superuser: bool,
    /// Whether rules came with its credentials.
    pub has_own_rules: bool,
    /// What the transport has found out.
    pub transport: Option<Arc<TransportFacts>>,
    /// Its bounds.
    pub limits: Arc<SessionLimits>,
}

/// A will, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillInfo {
    /// Topic name as the client wrote it.
    pub topic: Box<str>,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// QoS.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Seconds between the end of the link and publishing.
    pub delay_s: u32,
    /// When it is published, if the client has no link and it is to be.
    pub due_at: Option<Timestamp>,
}

/// Which subscriptions to show.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionQuery {
    /// Only those of this client.
    pub client: Option<ClientKey>,
    /// Only those with this filter, as the core sees it.
    pub filter: Option<Box<str>>,
    /// Only those that want messages of this topic, as the core sees it.
    pub topic: Option<Box<str>>,
    /// Behind this client's filter, the `next` of the page before.
    pub after: Option<(ClientKey, Box<str>)>,
    /// At most so many; 0 counts as 1.
    pub limit: usize,
}

/// Some subscriptions of one shard's sessions, in the order of clients and filters.
#[derive(Debug, Default)]
pub struct SubscriptionPage {
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionInfo>,
    /// Where to go on; `None` at the end. There may be more although the page is not full.
    pub next: Option<(ClientKey, Box<str>)>,
}

/// One subscription in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// The session.
    pub client: ClientKey,
    /// The filter as the core sees it, mountpoint applied, share name included.
    pub filter: Box<str>,
    /// Highest QoS of its deliveries.
    pub qos: QoS,
    /// Not for messages that the client published.
    pub no_local: bool,
    /// Keeps the publisher's retain flag.
    pub retain_as_published: bool,
    /// Its identifier, if it has one.
    pub identifier: Option<u32>,
}

/// Which retained messages to show.
#[derive(Clone, Debug)]
pub struct RetainedQuery {
    /// Whose topics match, as the core sees them.
    pub filter: Filter,
    /// Behind this topic, the `next` of the page before.
    pub after: Option<Box<str>>,
    /// At most so many; 0 counts as 1.
    pub limit: usize,
}

/// Some retained messages that one shard keeps, in the order of their topics.
#[derive(Debug, Default)]
pub struct RetainedPage {
    /// The messages.
    pub messages: Vec<Arc<StoredMessage>>,
    /// Where to go on; `None` at the end. There may be more although the page is not full.
    pub next: Option<Box<str>>,
}

/// What became of a call to [`Shard::kick_where`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kicked {
    /// Clients whose link lost its session, or whose connect was refused.
    pub clients: usize,
    /// Where to go on; `None` when all have been looked at.
    pub next: Option<ClientKey>,
}

impl Shard {
    /// A page of this shard's clients.
    #[must_use]
    pub fn clients(&self, query: &ClientQuery) -> ClientPage {
        let mut page = ClientPage::default();
        let limit = query.limit.max(1);
        for (step, (key, index)) in self.sessions_after(query.after.as_ref()).enumerate() {
            if page.clients.len() == limit || step == STEPS_MAX {
                return page;
            }
            page.next = Some(key.clone());
            let Some(session) = self.sessions.get(index.0 as usize) else { continue };
            let connected = session.slot.is_some();
            if query.connected.is_none_or(|wanted| wanted == connected)
                && key.client_id.starts_with(&*query.client_id_prefix)
                && query.selector.matches(key, &Facts::of(&session.principal))
            {
                page.clients.push(info_of(session));
            }
        }
        page.next = None;
        page
    }

    /// All there is to say of a client of this shard.
    #[must_use]
    pub fn client(&self, client: &ClientKey) -> Option<ClientDetails> {
        let index = self.by_key.get(client)?;
        let session = self.sessions.get(index.0 as usize)?;
        let Identity { authenticator, expires_at, is_superuser, rules, .. } =
            &session.principal.identity;
        let (_, queued_bytes, inflight_bytes) = session.outgoing.sizes();
        Some(ClientDetails {
            info: info_of(session),
            subscriptions_shared: session.shared as usize,
            queued_bytes,
            inflight_bytes,
            receive_max: session.outgoing.window(),
            takes_messages: session.slot.is_some() && session.outgoing.is_open(),
            credit: session.outgoing.credit(),
            manners: session.manners,
            notes: session.notes().len(),
            note_bytes: session.note_bytes(),
            unreleased: session.unreleased(),
            expiry: session.expiry,
            ends_at: session.ends_at,
            will: session.will().map(|will| WillInfo {
                topic: will.message.topic().into(),
                payload_bytes: will.message.payload().len(),
                qos: will.message.qos(),
                retain: will.message.retain(),
                delay_s: will.delay_s,
                due_at: session.will_at,
            }),
            mountpoint: session.mountpoint.clone(),
            authenticator: authenticator.clone(),
            credentials_expire_at: *expires_at,
            is_superuser: *is_superuser,
            has_own_rules: rules.is_some(),
            transport: session.principal.transport.clone(),
            limits: Arc::clone(&session.limits),
        })
    }

    /// Ends the links of all connected clients that are meant, behind `after`, as
    /// [`Self::kick`] does for one. To be called until it says that there are no more.
    pub fn kick_where(
        &mut self,
        now: Timestamp,
        selector: &Selector,
        after: Option<&ClientKey>,
        reason: Reason,
        sink: &mut dyn Sink,
    ) -> Kicked {
        let mut kicked = Kicked::default();
        let mut whom = Vec::new();
        let most = self.limits.work_per_turn_max.max(1);
        for (step, (key, index)) in self.sessions_after(after).enumerate() {
            if whom.len() == most || step == STEPS_MAX {
                break;
            }
            kicked.next = Some(key.clone());
            let is_meant = self.sessions.get(index.0 as usize).is_some_and(|session| {
                session.slot.is_some() && selector.matches(key, &Facts::of(&session.principal))
            });
            if is_meant {
                whom.push(*index);
            }
        }
        let rest = self.sessions_after(kicked.next.as_ref()).next().is_some();
        kicked.next = kicked.next.filter(|_| rest);
        if after.is_none() {
            kicked.clients += self.refuse_where(now, selector, reason, sink);
        }
        for index in whom {
            self.kick_slot(now, index, reason, sink);
            self.close_link(now, index, DisconnectCause::Lost(reason), None, sink);
            kicked.clients += 1;
        }
        kicked
    }

    /// Refuses the undecided connects that are meant, by what the clients say they are.
    fn refuse_where(
        &mut self,
        now: Timestamp,
        selector: &Selector,
        reason: Reason,
        sink: &mut dyn Sink,
    ) -> usize {
        let is_meant = |connect: &Connect| {
            let evidence = &connect.evidence;
            let facts = Facts {
                user: evidence.user.as_deref(),
                listener: &evidence.listener,
                peer: evidence.peer,
            };
            let client_id = connect.client_id.clone();
            selector.matches(&ClientKey { gateway: connect.gateway, client_id }, &facts)
        };
        let attempts = self.attempts.iter().filter(|(_, connect)| is_meant(connect));
        let slots: Vec<SlotId> = attempts.map(|(slot, _)| slot).collect();
        for slot in &slots {
            self.give_up(now, *slot, reason, sink);
        }
        slots.len()
    }

    /// A page of the subscriptions of this shard's sessions.
    #[must_use]
    pub fn subscriptions(&self, query: &SubscriptionQuery) -> SubscriptionPage {
        let mut page = SubscriptionPage::default();
        let limit = query.limit.max(1);
        let mut steps = 0;
        for (key, index) in self.subscribers(query) {
            let Some(session) = self.sessions.get(index.0 as usize) else { continue };
            let behind = query.after.as_ref().filter(|(client, _)| client == key);
            let mut found: Vec<SubscriptionInfo> = session
                .subscriptions
                .values()
                .filter(|subscribed| {
                    let filter = subscribed.filter.as_str();
                    behind.is_none_or(|(_, after)| filter > &**after)
                        && query.filter.as_deref().is_none_or(|wanted| wanted == filter)
                        && query.topic.as_deref().is_none_or(|topic| {
                            filter_matches(subscribed.filter.topic_filter(), topic)
                        })
                })
                .map(|subscribed| SubscriptionInfo {
                    client: key.clone(),
                    filter: subscribed.filter.as_str().into(),
                    qos: subscribed.qos,
                    no_local: subscribed.no_local,
                    retain_as_published: subscribed.retain_as_published,
                    identifier: (subscribed.identifier != 0).then_some(subscribed.identifier),
                })
                .collect();
            found.sort_unstable_by(|a, b| a.filter.cmp(&b.filter));
            let room = limit - page.subscriptions.len();
            if found.len() >= room {
                found.truncate(room);
                page.next = found.last().map(|last| (key.clone(), last.filter.clone()));
                page.subscriptions.append(&mut found);
                return page;
            }
            page.subscriptions.append(&mut found);
            steps += 1 + session.subscriptions.len();
            if steps >= STEPS_MAX {
                // Behind its last filter: none is greater than this text.
                page.next = Some((key.clone(), "\u{10FFFF}".into()));
                return page;
            }
        }
        page
    }

    /// The sessions that a question about subscriptions is about.
    fn subscribers<'s>(
        &'s self,
        query: &'s SubscriptionQuery,
    ) -> Box<dyn Iterator<Item = (&'s ClientKey, &'s SessionIndex)> + 's> {
        if let Some(client) = &query.client {
            return Box::new(self.by_key.get_key_value(client).into_iter());
        }
        let from = match &query.after {
            Some((client, _)) => Bound::Included(client),
            None => Bound::Unbounded,
        };
        Box::new(self.by_key.range::<ClientKey, _>((from, Bound::Unbounded)))
    }

    /// A page of the retained messages that this shard keeps.
    #[must_use]
    pub fn retained(&self, now: Timestamp, query: &RetainedQuery) -> RetainedPage {
        let mut messages = Vec::new();
        let (filter, after) = (query.filter.topic_filter(), query.after.as_deref());
        let page = self.retained.page(filter, after, query.limit, STEPS_MAX, now, &mut messages);
        let next = match page {
            Page::Done => None,
            Page::More { cursor } => Some(cursor),
        };
        RetainedPage { messages, next }
    }

    fn sessions_after(
        &self,
        after: Option<&ClientKey>,
    ) -> impl Iterator<Item = (&ClientKey, &SessionIndex)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_key.range::<ClientKey, _>((from, Bound::Unbounded))
    }
}

fn info_of(session: &Session) -> ClientInfo {
    let principal = &session.principal;
    ClientInfo {
        client: session.key.clone(),
        gateway: principal.gateway,
        listener: principal.listener.clone(),
        user: principal.identity.user.clone(),
        peer: principal.peer,
        slot: session.slot,
        since: session.since,
        subscriptions: session.subscriptions.len(),
        queued_messages: session.outgoing.queued(),
        inflight: session.outgoing.inflight(),
    }
}
