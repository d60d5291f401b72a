//! Clients, subscriptions and retained messages, page by page.

use core_model::{ClientKey, Credit, Expiry, Filter, GatewayId, Takeover};
use gateway_host::{
    Client, ClientDetails, ClientInfo, ClientQuery, ControlError, LinkInfo, Page, RetainedQuery,
    Selector, SubscriptionInfo, SubscriptionQuery, WillInfo,
};
use serde_json::{Map, Value as Json, json};

use super::Operator;
use super::request::{self, End, Items, Refusal, parse_net, payload_json};

/// Entries that are asked for at once.
const PAGE: usize = 1_000;
/// Subscriptions that `show` shows.
const SHOWN_SUBSCRIPTIONS_MAX: usize = 100;

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        Refusal::refused(error.to_string())
    }
}

impl From<ControlError> for End {
    fn from(error: ControlError) -> Self {
        End::Refused(error.into())
    }
}

/// Hands over items up to a limit, and says how many they were and whether there are more.
struct Counted<'i> {
    items: &'i mut dyn Items,
    limit: usize,
    count: usize,
    more: bool,
}

impl<'i> Counted<'i> {
    fn new(items: &'i mut dyn Items, limit: Option<usize>) -> Self {
        Counted { items, limit: limit.unwrap_or(usize::MAX), count: 0, more: false }
    }

    /// How many to ask for next: one more than is shown, to know whether there is one.
    fn page(&self) -> usize {
        self.limit.saturating_sub(self.count).saturating_add(1).min(PAGE)
    }

    /// Hands over a page of items. `false` when it was enough.
    fn take(&mut self, page: impl IntoIterator<Item = Json>) -> Result<bool, End> {
        for item in page {
            if self.count == self.limit {
                self.more = true;
                return Ok(false);
            }
            self.items.item(item)?;
            self.count += 1;
        }
        Ok(true)
    }

    fn summary(&self) -> Json {
        json!({ "count": self.count, "more": self.more })
    }
}

impl Operator {
    pub(super) fn list_clients(
        &self,
        request: &request::Clients,
        items: &mut dyn Items,
    ) -> Result<Json, End> {
        let selector = Selector {
            user: request.user.as_deref().map(Box::from),
            listener: request.listener.as_deref().map(Box::from),
            net: request.address.as_deref().map(parse_net).transpose()?,
            ..Selector::default()
        };
        let mut query = ClientQuery {
            selector,
            client_id_prefix: request.prefix.as_deref().unwrap_or_default().into(),
            connected: request.connected,
            ..ClientQuery::default()
        };
        let mut counted = Counted::new(items, request.limit);
        loop {
            query.limit = counted.page();
            let Page { items, next } = self.control.clients(&query)?;
            let goes_on = counted.take(items.iter().map(|client| self.client_json(client)))?;
            query.after = next;
            if query.after.is_none() || !goes_on {
                return Ok(counted.summary());
            }
        }
    }

    pub(super) fn show(&self, request: &request::Show) -> Result<Json, End> {
        let mut found = Vec::new();
        for key in self.keys(&request.client, request.gateway.as_deref())? {
            found.extend(self.control.client(&key)?);
        }
        match found.as_slice() {
            [] => Err(Refusal::not_found(format!("no client {}", request.client)).into()),
            [(details, link)] => {
                let mut shown = self.details_json(details, link.as_ref());
                let subscriptions = self.first_subscriptions(&details.info.client)?;
                shown.insert("subscribed".into(), subscriptions.into());
                Ok(Json::Object(shown))
            }
            several => {
                let gateways: Vec<_> =
                    several.iter().map(|(client, _)| self.gateway_of(&client.info)).collect();
                Err(Refusal::refused(format!(
                    "clients of several gateways have this id, so one must be named: {}",
                    gateways.join(", ")
                ))
                .into())
            }
        }
    }

    pub(super) fn list_subscriptions(
        &self,
        request: &request::Subscriptions,
        items: &mut dyn Items,
    ) -> Result<Json, End> {
        let clients = match &request.client {
            Some(client_id) => self.keys(client_id, None)?.into_iter().map(Some).collect(),
            None => vec![None],
        };
        let mut counted = Counted::new(items, request.limit);
        for client in clients {
            let mut query = SubscriptionQuery {
                client,
                topic: request.topic.as_deref().map(Box::from),
                ..SubscriptionQuery::default()
            };
            loop {
                query.limit = counted.page();
                let Page { items, next } = self.control.subscriptions(&query)?;
                if !counted.take(items.iter().map(|found| self.subscription_json(found)))? {
                    return Ok(counted.summary());
                }
                query.after = next;
                if query.after.is_none() {
                    break;
                }
            }
        }
        Ok(counted.summary())
    }

    pub(super) fn list_retained(
        &self,
        request: &request::Retained,
        items: &mut dyn Items,
    ) -> Result<Json, End> {
        let filter = Filter::parse(request.filter.as_deref().unwrap_or("#"))
            .map_err(|error| Refusal::bad_request(format!("filter: {error}")))?;
        let mut query = RetainedQuery { filter, after: None, limit: 0 };
        let mut counted = Counted::new(items, request.limit);
        loop {
            query.limit = counted.page();
            let Page { items, next } = self.control.retained(&query)?;
            let shown = items.iter().map(|message| {
                let mut item = json!({
                    "topic": message.topic(),
                    "qos": message.qos() as u8,
                    "payload_bytes": message.payload().len(),
                    "expires_at_ms": message.expires_at().map(|at| at.as_millis()),
                });
                if let (true, Json::Object(item)) = (request.payload, &mut item) {
                    item.insert("payload".into(), payload_json(message.payload()));
                }
                item
            });
            let goes_on = counted.take(shown)?;
            query.after = next;
            if query.after.is_none() || !goes_on {
                return Ok(counted.summary());
            }
        }
    }

    /// The session keys that a client id can mean.
    fn keys(&self, client_id: &str, gateway: Option<&str>) -> Result<Vec<ClientKey>, Refusal> {
        let known =
            self.gateway_ids.iter().filter(|(_, name)| gateway.is_none_or(|one| one == *name));
        let keys: Vec<_> =
            known.map(|(id, _)| ClientKey { gateway: *id, client_id: client_id.into() }).collect();
        match (keys.is_empty(), gateway) {
            (true, Some(name)) => Err(Refusal::not_found(format!("no gateway {name}"))),
            _ => Ok(keys),
        }
    }

    fn gateway_name(&self, id: GatewayId) -> &'static str {
        let known = self.gateway_ids.iter().find(|(known, _)| *known == id);
        known.map_or("?", |(_, name)| name)
    }

    /// The gateway's name, also of a session whose client has not come back.
    fn gateway_of(&self, client: &ClientInfo) -> &'static str {
        match client.gateway {
            "" => self.gateway_name(client.client.gateway),
            name => name,
        }
    }

    fn info_json(&self, client: &ClientInfo) -> Map<String, Json> {
        let listener = Some(&*client.listener).filter(|name| !name.is_empty());
        object(json!({
            "client": client.client.client_id,
            "gateway": self.gateway_of(client),
            "connected": client.slot.is_some(),
            "changed_at_ms": client.since.as_millis(),
            "user": client.user,
            "listener": listener,
            "address": client.peer.map(|peer| peer.to_string()),
            "subscriptions": client.subscriptions,
            "queued": client.queued_messages,
            "inflight": client.inflight,
        }))
    }

    fn client_json(&self, client: &Client) -> Json {
        let mut item = self.info_json(&client.session);
        item.insert("link".into(), client.link.as_ref().map_or(Json::Null, link_json));
        Json::Object(item)
    }

    fn details_json(&self, client: &ClientDetails, link: Option<&LinkInfo>) -> Map<String, Json> {
        let mut item = self.info_json(&client.info);
        let authenticator = Some(&*client.authenticator).filter(|name| !name.is_empty());
        item.extend(object(json!({
            "authenticator": authenticator,
            "is_superuser": client.is_superuser,
            "has_own_rules": client.has_own_rules,
            "credentials_expire_at_ms": client.credentials_expire_at.map(|at| at.as_millis()),
            "session_expiry_s": match client.expiry {
                Expiry::Never => Json::Null,
                expiry => expiry.as_seconds().into(),
            },
            "ends_at_ms": client.ends_at.map(|at| at.as_millis()),
            "mountpoint": client.mountpoint,
            "subscriptions_shared": client.subscriptions_shared,
            "queued_bytes": client.queued_bytes,
            "inflight_bytes": client.inflight_bytes,
            "receive_max": client.receive_max,
            "takes_messages": client.takes_messages,
            "credit": credit_json(client.credit),
            "keeps_qos0": client.manners.keeps_qos0,
            "keeps_will": client.manners.keeps_will,
            "takeover": takeover_name(client.manners.takeover),
            "notes": client.notes,
            "note_bytes": client.note_bytes,
            "unreleased": client.unreleased,
            "will": client.will.as_ref().map(will_json),
            "link": link.map(link_json),
            "transport": client.transport.as_deref().map(transport_json),
            "limits": {
                "max_inflight": client.limits.inflight_max,
                "max_queued_messages": client.limits.queued_messages_max,
                "max_queued_bytes": client.limits.queued_bytes_max,
                "max_subscriptions": client.limits.subscriptions_max,
                "max_topic_levels": client.limits.topic_levels_max,
            },
        })));
        item
    }

    fn first_subscriptions(&self, client: &ClientKey) -> Result<Vec<Json>, End> {
        let mut query = SubscriptionQuery {
            client: Some(client.clone()),
            limit: SHOWN_SUBSCRIPTIONS_MAX,
            ..SubscriptionQuery::default()
        };
        let mut found = Vec::new();
        loop {
            let Page { items, next } = self.control.subscriptions(&query)?;
            found.extend(items.iter().map(|item| {
                let mut item = object(self.subscription_json(item));
                item.remove("client");
                item.remove("gateway");
                Json::Object(item)
            }));
            query.after = next;
            query.limit = SHOWN_SUBSCRIPTIONS_MAX.saturating_sub(found.len());
            if query.after.is_none() || query.limit == 0 {
                return Ok(found);
            }
        }
    }

    fn subscription_json(&self, found: &SubscriptionInfo) -> Json {
        let shared = found.filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        let (share, filter) = match shared {
            Some((share, filter)) => (Some(share), filter),
            None => (None, &*found.filter),
        };
        json!({
            "client": found.client.client_id,
            "gateway": self.gateway_name(found.client.gateway),
            "filter": filter,
            "share": share,
            "qos": found.qos as u8,
            "no_local": found.no_local,
            "retain_as_published": found.retain_as_published,
            "identifier": found.identifier,
        })
    }
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

fn link_json(link: &LinkInfo) -> Json {
    json!({
        "transport": link.transport,
        "opened_at_ms": link.opened_at.as_millis(),
        "heard_at_ms": link.heard_at.as_millis(),
        "read_bytes": link.bytes_read,
        "written_bytes": link.bytes_written,
        "output_bytes": link.output_bytes,
        "throttled": link.is_throttled,
    })
}

/// How many more messages a client takes; null for any number.
fn credit_json(credit: Credit) -> Json {
    match credit {
        Credit::None => 0.into(),
        Credit::Open => Json::Null,
        Credit::Messages(left) => left.into(),
    }
}

fn takeover_name(takeover: Takeover) -> &'static str {
    match takeover {
        Takeover::Anybody => "anybody",
        Takeover::SameAddress => "same-address",
        Takeover::Nobody => "nobody",
    }
}

fn will_json(will: &WillInfo) -> Json {
    json!({
        "topic": will.topic,
        "payload_bytes": will.payload_bytes,
        "qos": will.qos as u8,
        "retain": will.retain,
        "delay_s": will.delay_s,
        "due_at_ms": will.due_at.map(|at| at.as_millis()),
    })
}

fn transport_json(facts: &core_model::TransportFacts) -> Json {
    json!({
        "server_name": facts.server_name,
        "tls_version": facts.tls_version,
        "cipher": facts.cipher,
        "proxy": facts.proxy.map(|proxy| proxy.to_string()),
        "certificate": facts.certificate.as_ref().map(|certificate| json!({
            "common_name": certificate.common_name,
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "serial": certificate.serial,
            "fingerprint": certificate.fingerprint,
        })),
    })
}
