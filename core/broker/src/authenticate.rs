use std::net::SocketAddr;
use std::sync::Arc;

use core_model::{
    Authenticator, ClientKey, Connect, DisconnectCause, Event, Evidence, Exchange, Identity,
    Lookup, Principal, Reason, SlotId, Step, Takeover, Timestamp, Verdict,
};

use crate::attempts::{Attempt, Stage};
use crate::routes::SessionIndex;
use crate::shard::{LookupId, Shard, Sink};
use crate::slots::Bound;

impl Shard {
    /// A client wants a session of this shard.
    pub(crate) fn on_connect(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        sink: &mut dyn Sink,
    ) {
        if self.draining {
            return self.refuse(now, slot, &connect, Reason::SERVER_UNAVAILABLE, sink);
        }
        if connect.client_id.len() > self.limits.client_id_bytes_max {
            return self.refuse(now, slot, &connect, Reason::CLIENT_ID_NOT_VALID, sink);
        }
        if let Err(reason) = self.pass_gates(now, &connect.client_id, &connect.evidence, None) {
            return self.refuse(now, slot, &connect, reason, sink);
        }
        let number = self.attempts.number();
        match connect.evidence.method {
            Some(_) => self.begin_exchange(now, slot, connect, number, sink),
            None => self.judge(now, slot, connect, number, None, sink),
        }
    }

    /// Asks the chain of the client's listener, behind `asked` where the chain still has it. The
    /// answer may come later.
    fn judge(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        number: u64,
        asked: Option<&Arc<dyn Authenticator>>,
        sink: &mut dyn Sink,
    ) {
        let evidence = &connect.evidence;
        let chain = self.plugins.chain(&evidence.listener);
        let next = asked.and_then(|asked| place_of(chain, asked)).map_or(0, |place| place + 1);
        let mut said = (Verdict::Unknown, None);
        for authenticator in chain.iter().skip(next) {
            let verdict = authenticator.authenticate(&connect.client_id, evidence);
            if !matches!(verdict, Verdict::Unknown) {
                said = (verdict, Some(Arc::clone(authenticator)));
                break;
            }
        }
        match said {
            (Verdict::Later(lookup), Some(asked)) => {
                self.wait_for(now, slot, connect, number, asked, lookup, sink);
            }
            (verdict, _) => self.decide(now, slot, connect, number, verdict, sink),
        }
    }

    fn decide(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        number: u64,
        verdict: Verdict,
        sink: &mut dyn Sink,
    ) {
        let believed = match verdict {
            Verdict::Accept(identity) => Ok(identity),
            Verdict::Refuse(reason) => Err(reason),
            Verdict::Unknown => self.judge_unknown(&connect.evidence),
            Verdict::Later(_) => Err(Reason::IMPLEMENTATION_SPECIFIC),
        };
        match believed {
            Ok(identity) => self.welcome(now, slot, connect, number, identity, None, sink),
            //= mqtt5:3.1.4-2
            Err(reason) => self.refuse(now, slot, &connect, reason, sink),
        }
    }

    /// Judges a client that no authenticator knows: only one that gives no credentials may be
    /// anonymous, except where nobody would look at them. What he says his name is proves nothing.
    fn judge_unknown(&self, evidence: &Evidence) -> Result<Identity, Reason> {
        let nobody_asks = self.plugins.chain(&evidence.listener).is_empty();
        let no_credentials = evidence.user.is_none() && evidence.password.is_none();
        if evidence.allow_anonymous && (no_credentials || nobody_asks) {
            return Ok(Identity::default());
        }
        Err(if no_credentials { Reason::NOT_AUTHORIZED } else { Reason::BAD_CREDENTIALS })
    }

    /// Parks a connect until its look-up has an answer.
    #[allow(clippy::too_many_arguments)]
    fn wait_for(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        number: u64,
        asked: Arc<dyn Authenticator>,
        lookup: Lookup,
        sink: &mut dyn Sink,
    ) {
        // Those whose link is gone count until they end: a client that comes and goes must not
        // have any number of them run.
        if self.attempts.running() >= self.limits.lookups_max {
            return self.refuse(now, slot, &connect, Reason::SERVER_BUSY, sink);
        }
        let id = LookupId { slot, number: self.attempts.begin_lookup() };
        let stage = Stage::Lookup { number: id.number, asked };
        self.slots.bind(slot, Bound::Authenticating);
        self.attempts.insert(slot, Attempt { number, connect, stage });
        sink.look_up(id, lookup);
    }

    /// The verdict of a look-up. Those for slots that are gone are ignored.
    pub fn answer(&mut self, now: Timestamp, id: LookupId, verdict: Verdict, sink: &mut dyn Sink) {
        let Some((attempt, asked)) = self.attempts.end_lookup(id) else { return };
        let Attempt { number, connect, .. } = attempt;
        self.slots.unbind(id.slot);
        let chain = self.plugins.chain(&connect.evidence.listener);
        // The chain may have been replaced meanwhile, and who is not in it has no say any more.
        let has_say = place_of(chain, &asked).is_some();
        if has_say && !matches!(verdict, Verdict::Unknown) {
            self.decide(now, id.slot, connect, number, verdict, sink);
        } else {
            self.judge(now, id.slot, connect, number, Some(&asked), sink);
        }
    }

    /// Whether the gates let a client in, before it has an identity or with it.
    pub(crate) fn pass_gates(
        &self,
        now: Timestamp,
        client_id: &str,
        evidence: &Evidence,
        identity: Option<&Identity>,
    ) -> Result<(), Reason> {
        let mut gates = self.plugins.gates.iter();
        gates.try_for_each(|gate| gate.admit(now, client_id, evidence, identity))
    }

    /// The client is believed; the gates have the last word.
    #[allow(clippy::too_many_arguments)]
    fn welcome(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        number: u64,
        identity: Identity,
        data: Option<Vec<u8>>,
        sink: &mut dyn Sink,
    ) {
        let passed = if self.draining {
            Err(Reason::SERVER_UNAVAILABLE)
        } else if identity.expires_at.is_some_and(|at| at <= now) {
            Err(Reason::NOT_AUTHORIZED)
        } else {
            self.pass_gates(now, &connect.client_id, &connect.evidence, Some(&identity))
                .and_then(|()| self.admit_takeover(&connect))
        };
        if let Err(reason) = passed {
            return self.refuse(now, slot, &connect, reason, sink);
        }
        if let Some(client) = connect.key() {
            // Or a look-up that takes longer would give the session back to the older link.
            for older in self.attempts.older(&client, number) {
                self.give_up(now, older, Reason::SESSION_TAKEN_OVER, sink);
            }
        }
        self.open(now, slot, connect, identity, data, sink);
    }

    /// Whether a client may take its session from the link that holds it, if one does.
    fn admit_takeover(&self, connect: &Connect) -> Result<(), Reason> {
        let Some(client) = connect.key() else { return Ok(()) };
        let session = self.by_key.get(&client).and_then(|i| self.sessions.get(i.0 as usize));
        let Some(session) = session.filter(|session| session.slot.is_some()) else {
            return Ok(());
        };
        let address = |peer: Option<SocketAddr>| peer.map(|peer| peer.ip().to_canonical());
        let may = match session.manners.takeover {
            Takeover::Anybody => true,
            Takeover::SameAddress => {
                address(session.principal.peer) == address(connect.evidence.peer)
            }
            Takeover::Nobody => false,
        };
        if may { Ok(()) } else { Err(Reason::NOT_AUTHORIZED) }
    }

    /// Refuses a connect that is not decided yet.
    pub(crate) fn give_up(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        reason: Reason,
        sink: &mut dyn Sink,
    ) {
        if let Some(attempt) = self.attempts.remove(slot) {
            self.slots.unbind(slot);
            self.refuse(now, slot, &attempt.connect, reason, sink);
        }
    }

    /// Refuses all undecided connects of a client; whether there were any.
    pub(crate) fn give_up_client(
        &mut self,
        now: Timestamp,
        client: &ClientKey,
        reason: Reason,
        sink: &mut dyn Sink,
    ) -> bool {
        let slots = self.attempts.of_client(client);
        for slot in &slots {
            self.give_up(now, *slot, reason, sink);
        }
        !slots.is_empty()
    }

    fn begin_exchange(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        number: u64,
        sink: &mut dyn Sink,
    ) {
        let Some(exchange) = self.find_exchange(&connect.client_id, &connect.evidence) else {
            //= mqtt5:4.12.0-1
            return self.refuse(now, slot, &connect, Reason::BAD_AUTHENTICATION_METHOD, sink);
        };
        let data = connect.evidence.data.clone().unwrap_or_default();
        self.slots.bind(slot, Bound::Authenticating);
        let stage = Stage::Exchange(exchange);
        self.attempts.insert(slot, Attempt { number, connect, stage });
        self.on_authenticate(now, slot, &data, sink);
    }

    fn find_exchange(&self, client_id: &str, evidence: &Evidence) -> Option<Box<dyn Exchange>> {
        let method = evidence.method.as_deref()?;
        let mut chain = self.plugins.chain(&evidence.listener).iter();
        chain.find_map(|authenticator| authenticator.begin(method, client_id, evidence))
    }

    /// The data of a client that connects, for its exchange.
    pub(crate) fn on_authenticate(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        data: &[u8],
        sink: &mut dyn Sink,
    ) {
        let Some(exchange) = self.attempts.exchange(slot) else { return };
        match exchange.step(data) {
            //= mqtt5:4.12.0-2
            Step::Continue(data) => {
                let (_, mut cx) = self.split(now, sink);
                cx.event(slot, Event::Challenge { data });
            }
            Step::Accept(identity, data) => {
                if let Some(Attempt { number, connect, .. }) = self.attempts.remove(slot) {
                    self.slots.unbind(slot);
                    self.welcome(now, slot, connect, number, identity, data, sink);
                }
            }
            //= mqtt5:4.12.0-4
            Step::Refuse(reason) => self.give_up(now, slot, reason, sink),
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
        if !self.reauthenticating.contains_key(&slot) {
            let Some(session) = self.sessions.get(index.0 as usize) else { return };
            let evidence =
                Evidence { method: Some(method.into()), ..evidence_of(&session.principal) };
            let Some(exchange) = self.find_exchange(&session.key.client_id, &evidence) else {
                return self.refuse_again(now, slot, Reason::BAD_AUTHENTICATION_METHOD, sink);
            };
            self.reauthenticating.insert(slot, exchange);
        }
        let Some(exchange) = self.reauthenticating.get_mut(&slot) else { return };
        let step = exchange.step(data);
        if !matches!(step, Step::Continue(_)) {
            self.reauthenticating.remove(&slot);
        }
        match step {
            Step::Continue(data) => {
                let (_, mut cx) = self.split(now, sink);
                cx.event(slot, Event::Challenge { data });
            }
            Step::Accept(identity, data) => match self.admit_again(now, index, &identity) {
                Ok(()) => self.change_identity(now, index, slot, identity, data, sink),
                Err(reason) => self.refuse_again(now, slot, reason, sink),
            },
            Step::Refuse(reason) => self.refuse_again(now, slot, reason, sink),
        }
    }

    /// Whether a connected client may go on with another identity.
    fn admit_again(
        &self,
        now: Timestamp,
        index: SessionIndex,
        identity: &Identity,
    ) -> Result<(), Reason> {
        let Some(session) = self.sessions.get(index.0 as usize) else { return Ok(()) };
        // Its topics lie below its name, and would not be its own with another one.
        let moves = session.is_mounted_by_user && session.principal.identity.user != identity.user;
        if moves || identity.expires_at.is_some_and(|at| at <= now) {
            return Err(Reason::NOT_AUTHORIZED);
        }
        let mut evidence = evidence_of(&session.principal);
        evidence.user.clone_from(&identity.user);
        self.pass_gates(now, &session.key.client_id, &evidence, Some(identity))
    }

    fn change_identity(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        identity: Identity,
        data: Option<Vec<u8>>,
        sink: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        session.principal.identity = identity;
        self.compile_again(index);
        self.set_online_alarm(now, index);
        let (_, mut cx) = self.split(now, sink);
        cx.event(slot, Event::Authenticated { data });
        self.review(now, index, sink);
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

fn place_of(chain: &[Arc<dyn Authenticator>], asked: &Arc<dyn Authenticator>) -> Option<usize> {
    chain.iter().position(|other| Arc::ptr_eq(other, asked))
}

/// What is still known of how a connected client came, without its credentials.
pub(crate) fn evidence_of(principal: &Principal) -> Evidence {
    Evidence {
        listener: principal.listener.clone(),
        gateway: principal.gateway,
        peer: principal.peer,
        transport: principal.transport.clone(),
        user: principal.identity.user.clone(),
        ..Evidence::default()
    }
}
