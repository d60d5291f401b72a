use core_model::{
    Connect, DisconnectCause, Event, Evidence, Exchange, Identity, Reason, SlotId, Step, Timestamp,
    Verdict,
};

use crate::routes::SessionIndex;
use crate::shard::{Shard, Sink};
use crate::slots::Bound;

/// An enhanced authentication between two of its rounds.
pub(crate) struct PendingAuthentication {
    exchange: Box<dyn Exchange>,
    /// The connect that waits for it; `None` for a re-authentication.
    connect: Option<Box<Connect>>,
}

impl Shard {
    /// Asks the authenticator chain.
    pub(crate) fn judge(&self, connect: &Connect) -> Result<Identity, Reason> {
        let evidence = &connect.evidence;
        for authenticator in self.plugins.chain(&evidence.listener) {
            match authenticator.authenticate(&connect.client_id, evidence) {
                Verdict::Accept(identity) => return Ok(identity),
                Verdict::Refuse(reason) => return Err(reason),
                Verdict::Unknown => {}
                Verdict::Later(_) => return Err(Reason::SERVER_UNAVAILABLE),
            }
        }
        let no_credentials = evidence.user.is_none() && evidence.password.is_none();
        if evidence.allow_anonymous && (no_credentials || self.plugins.authenticators.is_empty()) {
            return Ok(Identity { user: evidence.user.clone(), ..Identity::default() });
        }
        Err(if no_credentials { Reason::NOT_AUTHORIZED } else { Reason::BAD_CREDENTIALS })
    }

    pub(crate) fn begin_exchange(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        sink: &mut dyn Sink,
    ) {
        let exchange = self.find_exchange(&connect);
        let Some(exchange) = exchange else {
            //= mqtt5:4.12.0-1
            return self.refuse(now, slot, &connect, Reason::BAD_AUTHENTICATION_METHOD, sink);
        };
        let data = connect.evidence.data.clone().unwrap_or_default();
        self.slots.bind(slot, Bound::Authenticating);
        self.authenticating
            .insert(slot, PendingAuthentication { exchange, connect: Some(connect) });
        self.on_authenticate(now, slot, &data, sink);
    }

    fn find_exchange(&self, connect: &Connect) -> Option<Box<dyn Exchange>> {
        let method = connect.evidence.method.as_deref()?;
        self.plugins
            .authenticators
            .iter()
            .find_map(|a| a.begin(method, &connect.client_id, &connect.evidence))
    }

    /// The client's data for a running exchange.
    pub(crate) fn on_authenticate(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        data: &[u8],
        sink: &mut dyn Sink,
    ) {
        let Some(pending) = self.authenticating.get_mut(&slot) else { return };
        let step = pending.exchange.step(data);
        let (_, mut cx) = self.split(now, sink);
        match step {
            //= mqtt5:4.12.0-2
            Step::Continue(data) => cx.event(slot, Event::Challenge { data }),
            Step::Accept(identity, data) => {
                let pending = self.authenticating.remove(&slot);
                match pending.and_then(|pending| pending.connect) {
                    Some(connect) => {
                        self.slots.unbind(slot);
                        self.open(now, slot, connect, identity, data, sink);
                    }
                    None => {
                        let (_, mut cx) = self.split(now, sink);
                        cx.event(slot, Event::Authenticated { data });
                    }
                }
            }
            Step::Refuse(reason) => {
                let pending = self.authenticating.remove(&slot);
                match pending.and_then(|pending| pending.connect) {
                    //= mqtt5:4.12.0-4
                    Some(connect) => {
                        self.slots.unbind(slot);
                        self.refuse(now, slot, &connect, reason, sink);
                    }
                    None => self.refuse_again(now, slot, reason, sink),
                }
            }
        }
    }

    /// A connected client authenticates again.
    pub(crate) fn on_reauthenticate(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        method: &str,
        data: &[u8],
        sink: &mut dyn Sink,
    ) {
        if !self.authenticating.contains_key(&slot) {
            let Some(session) = self.sessions.get(index.0 as usize) else { return };
            let evidence = Evidence {
                user: session.principal.identity.user.clone(),
                method: Some(method.into()),
                ..Evidence::default()
            };
            let exchange = self
                .plugins
                .authenticators
                .iter()
                .find_map(|a| a.begin(method, &session.key.client_id, &evidence));
            let Some(exchange) = exchange else {
                return self.refuse_again(now, slot, Reason::BAD_AUTHENTICATION_METHOD, sink);
            };
            self.authenticating.insert(slot, PendingAuthentication { exchange, connect: None });
        }
        self.on_authenticate(now, slot, data, sink);
    }

    /// A connected client could not prove itself again: its link loses the session at once, as if
    /// it had been kicked.
    fn refuse_again(&mut self, now: Timestamp, slot: SlotId, reason: Reason, sink: &mut dyn Sink) {
        let (_, mut cx) = self.split(now, sink);
        cx.event(slot, Event::Refused { reason, server_reference: None });
        //= mqtt5:4.12.1-2
        if let Some(Bound::Session(index)) = self.slots.find(slot) {
            self.close_link(now, index, DisconnectCause::Lost(reason), None, sink);
        }
    }
}
