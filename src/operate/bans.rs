//! Disconnecting clients and keeping them out.

use std::time::SystemTime;

use core_model::{Reason, Timestamp};
use gateway_host::Selector;
use ipnet::IpNet;
use plugin_access::{Ban, BanError, BanTarget};
use serde_json::{Value as Json, json};

use super::request::{self, End, Items, Refusal, parse_net};
use super::{Operator, process};

impl Operator {
    pub(super) fn kick(&self, request: &request::Kick) -> Result<Json, End> {
        let request::Kick { client, user, address, listener } = request;
        let selector = match (client, user, address, listener) {
            (Some(client), None, None, None) => by_client(client),
            (None, Some(user), None, None) => by_user(user),
            (None, None, Some(address), None) => by_net(parse_net(address)?),
            (None, None, None, Some(listener)) => {
                Selector { listener: Some(listener.as_str().into()), ..Selector::default() }
            }
            _ => {
                let message = "give exactly one of client, user, address, listener";
                return Err(Refusal::bad_request(message).into());
            }
        };
        let kicked = self.control.kick(&selector, Reason::ADMINISTRATIVE_ACTION)?;
        tracing::info!(client, user, address, listener, kicked, "clients kicked");
        match kicked {
            0 => Err(Refusal::not_found("no such client is connected").into()),
            _ => Ok(json!({ "kicked": kicked })),
        }
    }

    pub(super) fn ban(&self, request: &request::Ban) -> Result<Json, End> {
        let request::Ban { client, user, address, seconds, reason } = request;
        let target = target(client.as_deref(), user.as_deref(), address.as_deref())?;
        let selector = match &target {
            BanTarget::ClientId(client) => by_client(client),
            BanTarget::User(user) => by_user(user),
            BanTarget::Address(net) => by_net(*net),
        };
        let now = now();
        let until = seconds.map(|seconds| now.plus_millis(seconds.saturating_mul(1000)));
        let reason: &str = reason.as_deref().unwrap_or_default();
        let (kind, value) = (target.kind(), target.to_string());
        let ban = Ban { target, reason: reason.into(), by: "operator".into(), until };
        let added = self.bans.add(now, ban);
        // A list that cannot be written is in force all the same.
        let is_in_force = matches!(added, Ok(()) | Err(BanError::Write { .. }));
        let kicked = if is_in_force { self.control.kick(&selector, Reason::BANNED)? } else { 0 };
        added.map_err(|error| Refusal::refused(super::error_text(&error)))?;
        tracing::info!(kind, value, seconds, reason, kicked, "banned");
        Ok(json!({ "kicked": kicked }))
    }

    pub(super) fn unban(&self, request: &request::Unban) -> Result<Json, End> {
        let request::Unban { client, user, address } = request;
        let target = target(client.as_deref(), user.as_deref(), address.as_deref())?;
        let removed = self.bans.remove(now(), &target);
        let was_banned = removed.map_err(|error| Refusal::refused(super::error_text(&error)))?;
        let (kind, value) = (target.kind(), target.to_string());
        if !was_banned {
            return Err(Refusal::not_found(format!("{kind} {value} is not banned")).into());
        }
        tracing::info!(kind, value, "no longer banned");
        Ok(json!({}))
    }

    pub(super) fn list_bans(&self, items: &mut dyn Items) -> Result<Json, End> {
        let now = now();
        let bans = self.bans.list(now);
        for ban in &bans {
            items.item(json!({
                "kind": ban.target.kind(),
                "value": ban.target.to_string(),
                "until_at_ms": ban.until.map(Timestamp::as_millis),
                "remaining_ms": ban.until.map(|until| until.since(now).as_millis() as u64),
                "reason": ban.reason,
                "by": ban.by,
            }))?;
        }
        Ok(json!({ "count": bans.len() }))
    }
}

/// The time by which bans end.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(process::unix_ms(SystemTime::now()))
}

fn by_client(client_id: &str) -> Selector {
    Selector { client_id: Some(client_id.into()), ..Selector::default() }
}

fn by_user(user: &str) -> Selector {
    Selector { user: Some(user.into()), ..Selector::default() }
}

fn by_net(net: IpNet) -> Selector {
    Selector { net: Some(net), ..Selector::default() }
}

fn target(
    client: Option<&str>,
    user: Option<&str>,
    address: Option<&str>,
) -> Result<BanTarget, Refusal> {
    match (client, user, address) {
        (Some(client), None, None) => Ok(BanTarget::ClientId(client.into())),
        (None, Some(user), None) => Ok(BanTarget::User(user.into())),
        (None, None, Some(address)) => Ok(BanTarget::Address(parse_net(address)?)),
        _ => Err(Refusal::bad_request("give exactly one of client, user, address")),
    }
}
