use core_model::{
    Connect, DisconnectCause, Event, Evidence, Exchange, Identity, Lookup, Reason, SlotId, Step,
    Timestamp, Verdict,
};

use crate::routes::SessionIndex;
use crate::shard::{LookupId, Shard, Sink};
use crate::slots::Bound;

/// An enhanced authentication between two of its rounds.
pub(crate) struct PendingAuthentication {
    exchange: Box<dyn Exchange>,
    /// The connect that waits for it; `None` for a re-authentication.
    connect: Option<Box<Connect>>,
}

/// A connect that waits for a look-up.
pub(crate) struct Waiting {
    /// The look-up that it waits for.
    number: u32,
    connect: Box<Connect>,
    /// The authenticator to ask after that one.
    next: usize,
}

impl Shard {
    /// Asks the authenticator chain from number `from` on; the answer may come later.
    pub(crate) fn judge(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        from: usize,
        sink: &mut dyn Sink,
    ) {
        let evidence = &connect.evidence;
        let chain = self.plugins.chain(&evidence.listener).iter().enumerate().skip(from);
        let mut said = None;
        for (number, authenticator) in chain {
            match authenticator.authenticate(&connect.client_id, evidence) {
                Verdict::Unknown => {}
                verdict => {
                    said = Some((number + 1, verdict));
                    break;
                }
            }
        }
        match said {
            Some((next, Verdict::Later(lookup))) => {
                self.wait_for(now, slot, connect, next, lookup, sink);
            }
            Some((_, Verdict::Accept(identity))) => {
                self.welcome(now, slot, connect, identity, None, sink);
            }
            Some((_, Verdict::Refuse(reason))) => self.refuse(now, slot, &connect, reason, sink),
            Some((_, Verdict::Unknown)) | None => match self.judge_unknown(&connect) {
                Ok(identity) => self.welcome(now, slot, connect, identity, None, sink),
                //= mqtt5:3.1.4-2
                Err(reason) => self.refuse(now, slot, &connect, reason, sink),
            },
        }
    }

    /// Parks a connect until its look-up has an answer.
    fn wait_for(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        next: usize,
        lookup: Lookup,
        sink: &mut dyn Sink,
    ) {
        if self.waiting.len() >= self.limits.lookups_max {
            return self.refuse(now, slot, &connect, Reason::SERVER_BUSY, sink);
        }
        let number = self.next_lookup;
        self.next_lookup = number.wrapping_add(1);
        self.slots.bind(slot, Bound::Authenticating);
        self.waiting.insert(slot, Waiting { number, connect, next });
        sink.look_up(LookupId { slot, number }, lookup);
    }

    /// The verdict of a look-up. Those for slots that are gone are ignored.
    pub fn answer(&mut self, now: Timestamp, id: LookupId, verdict: Verdict, sink: &mut dyn Sink) {
        let slot = id.slot;
        if self.waiting.get(&slot).is_none_or(|waiting| waiting.number != id.number) {
            return;
        }
        let Some(Waiting { connect, next, .. }) = self.waiting.remove(&slot) else { return };
        self.slots.unbind(slot);
        match verdict {
            Verdict::Accept(identity) => self.welcome(now, slot, connect, identity, None, sink),
            Verdict::Refuse(reason) => self.refuse(now, slot, &connect, reason, sink),
            Verdict::Unknown => self.judge(now, slot, connect, next, sink),
            Verdict::Later(_) => {
                self.refuse(now, slot, &connect, Reason::IMPLEMENTATION_SPECIFIC, sink);
            }
        }
    }

    /// Whether the gates let a client in, before it has an identity or with it.
    pub(crate) fn pass_gates(
        &self,
        now: Timestamp,
        connect: &Connect,
        identity: Option<&Identity>,
    ) -> Result<(), Reason> {
        let (client_id, evidence) = (&connect.client_id, &connect.evidence);
        self.plugins
            .gates
            .iter()
            .try_for_each(|gate| gate.admit(now, client_id, evidence, identity))
    }

    /// The client is believed; the gates have the last word.
    pub(crate) fn welcome(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        identity: Identity,
        data: Option<Vec<u8>>,
        sink: &mut dyn Sink,
    ) {
        match self.pass_gates(now, &connect, Some(&identity)) {
            Ok(()) => self.open(now, slot, connect, identity, data, sink),
            Err(reason) => self.refuse(now, slot, &connect, reason, sink),
        }
    }

    /// Judges a client that no authenticator knows.
    fn judge_unknown(&self, connect: &Connect) -> Result<Identity, Reason> {
        let evidence = &connect.evidence;
        let chain = self.plugins.chain(&evidence.listener);
        let no_credentials = evidence.user.is_none() && evidence.password.is_none();
        if evidence.allow_anonymous && (no_credentials || chain.is_empty()) {
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
            .chain(&connect.evidence.listener)
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
                        self.welcome(now, slot, connect, identity, data, sink);
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
