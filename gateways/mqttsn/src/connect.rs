use std::sync::Arc;

use codec_mqttsn::{Connect, PROTOCOL_ID, Packet, ReturnCode, WillTopic};
use core_model::{
    Connect as CoreConnect, Connected, Credit, DisconnectCause, Event, Expiry, Manners, Operation,
    Reason, Takeover, Timestamp, Will,
};
use gateway_host::{LinkFacts, Rebind};

use crate::{
    GATEWAY_ID, MqttSnConfig, Shared,
    client::{Client, State, UNASKED, disconnect},
    config::silence_max_ms,
    credentials::evidence,
    mapping,
    publish_out::CREDIT_MAX,
    slot::Door,
    topics::Topics,
    will::{self, Envelope},
};

/// What of a CONNECT is needed until core has answered it.
#[derive(Debug)]
pub(crate) struct Opening {
    clean_session: bool,
    /// Whether the client has a Will to be asked for.
    has_will: bool,
    /// Keep alive in seconds.
    duration_s: u16,
    /// Whether the session of before is the client's until core judges this CONNECT.
    pub(crate) holds_session: bool,
    /// What WILLTOPIC has said.
    envelope: Option<Envelope>,
    /// Whether the stored Will is to be deleted.
    deletes_will: bool,
    /// How often the client was asked for the same again.
    repeats: u8,
    retry_at: Timestamp,
    ends_at: Timestamp,
}

/// What one CONNECT of a client has in common with its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeting(bool, bool, u16);

impl Greeting {
    fn of(packet: &Connect<'_>) -> Self {
        Greeting(packet.clean_session, packet.will, packet.duration_s)
    }
}

/// How often WILLTOPICREQ is repeated, so that no more than three times as much goes to an address
/// as came from it.
const UNPROVEN_REPEATS_MAX: u8 = 2;

impl Opening {
    fn new(packet: &Connect<'_>, holds: bool, config: &MqttSnConfig, now: Timestamp) -> Self {
        // A slow radio is given the time for all repetitions.
        let repeating_s = u32::from(config.t_retry_s) * (u32::from(config.n_retry) + 1);
        let timeout_s = repeating_s.max(config.connect_timeout_s.into());
        Opening {
            clean_session: packet.clean_session,
            has_will: packet.will,
            duration_s: packet.duration_s,
            holds_session: holds,
            envelope: None,
            deletes_will: false,
            repeats: 0,
            retry_at: now.plus_seconds(config.t_retry_s.into()),
            ends_at: now.plus_seconds(timeout_s),
        }
    }

    fn is_of(&self, packet: &Connect<'_>) -> bool {
        self.greeting() == Greeting::of(packet)
    }

    fn greeting(&self) -> Greeting {
        Greeting(self.clean_session, self.has_will, self.duration_s)
    }

    /// When the client is asked again, or given up.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.retry_at.min(self.ends_at)
    }

    /// Asks for what is missing of the Will.
    //= mqttsn:GW-SN-06
    fn ask(&self, door: &mut Door<'_, '_, '_>) {
        match self.envelope {
            None => door.send(&Packet::WillTopicReq),
            Some(_) => door.send(&Packet::WillMsgReq),
        };
    }

    fn operation(
        &self,
        client_id: &str,
        will: Option<Box<Will>>,
        config: &MqttSnConfig,
        facts: &LinkFacts,
    ) -> CoreConnect {
        CoreConnect {
            gateway: GATEWAY_ID,
            client_id: client_id.into(),
            //= mqttsn:GW-SN-08
            clean_start: self.clean_session,
            expiry: match self.clean_session {
                true => Expiry::WithLink,
                false => Expiry::from_seconds(config.session_expiry_s),
            },
            //= mqttsn:GW-SN-16
            receive_max: 1,
            may_retransmit: false,
            may_requeue: false,
            will,
            manners: Manners {
                //= mqttsn:GW-SN-10
                keeps_will: true,
                //= mqttsn:GW-SN-27
                keeps_qos0: true,
                takeover: match facts.listener.rebind {
                    Rebind::DtlsOnly => Takeover::Nobody,
                    Rebind::SameIp => Takeover::SameAddress,
                    Rebind::Trust => Takeover::Anybody,
                },
                credit: Credit::Messages(CREDIT_MAX.into()),
            },
            mountpoint: facts.listener.mountpoint.clone(),
            limits: facts.listener.session_limits.clone(),
            evidence: Box::new(evidence(config.credentials.of(client_id), facts)),
        }
    }
}

impl Client {
    /// Handles a CONNECT; `holds`: the client has a session on this link.
    pub(crate) fn open(
        &mut self,
        packet: &Connect<'_>,
        holds: bool,
        shared: &Shared,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        if packet.protocol_id != PROTOCOL_ID {
            return self.refuse(Reason::UNSUPPORTED_VERSION, door);
        }
        let opening = Box::new(Opening::new(packet, holds, &shared.config, door.now()));
        if !packet.will {
            return self.judge(opening, None, shared, facts, door);
        }
        opening.ask(door);
        self.state = State::Prompting(opening);
    }

    /// Handles another CONNECT of the client.
    pub(crate) fn on_connect(
        &mut self,
        packet: &Connect<'_>,
        shared: &Arc<Shared>,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        if packet.client_id != &*self.client_id {
            return;
        }
        if packet.protocol_id != PROTOCOL_ID {
            //= mqttsn:GW-SN-07
            door.send(&Packet::Connack(ReturnCode::NOT_SUPPORTED));
            return;
        }
        match &self.state {
            //= mqttsn:GW-SN-29
            State::Prompting(opening) if opening.is_of(packet) => opening.ask(door),
            State::Prompting(opening) => {
                let holds = opening.holds_session;
                self.reopen(packet, holds, shared, facts, door);
            }
            // Its answer is under way.
            State::Connecting(_) | State::Gone => {}
            //= mqttsn:GW-SN-29
            State::Active if self.is_greeted_by(packet) => {
                door.send(&Packet::Connack(ReturnCode::ACCEPTED));
            }
            State::Active | State::Asleep | State::Awake => {
                if packet.will {
                    self.withdraw_credit(door);
                }
                self.reopen(packet, true, shared, facts, door);
            }
        }
    }

    /// Whether a CONNECT is a copy of the one that has made the client active.
    pub(crate) fn is_greeted_by(&self, packet: &Connect<'_>) -> bool {
        matches!(self.state, State::Active) && self.fresh == Some(Greeting::of(packet))
    }

    /// Ends the hold on the session that a client has while it is asked for another Will.
    pub(crate) fn leave_session(&mut self, cause: DisconnectCause, door: &mut Door<'_, '_, '_>) {
        if let State::Prompting(opening) = &mut self.state
            && std::mem::take(&mut opening.holds_session)
        {
            disconnect(cause, door);
        }
    }

    /// Handles a WILLTOPIC.
    pub(crate) fn on_will_topic(
        &mut self,
        topic: Option<&WillTopic<'_>>,
        shared: &Shared,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        let State::Prompting(opening) = &mut self.state else { return };
        let Some(topic) = topic else {
            //= mqttsn:GW-SN-09
            opening.deletes_will = true;
            return self.judge_prompted(None, shared, facts, door);
        };
        match Envelope::new(topic, &shared.config) {
            Ok(envelope) => {
                opening.envelope = Some(envelope);
                opening.repeats = 0;
                opening.retry_at = door.now().plus_seconds(shared.config.t_retry_s.into());
                //= mqttsn:GW-SN-06
                opening.ask(door);
            }
            Err(reason) => self.refuse(reason, door),
        }
    }

    /// Handles a WILLMSG.
    pub(crate) fn on_will_msg(
        &mut self,
        payload: &[u8],
        shared: &Shared,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        let State::Prompting(opening) = &self.state else { return };
        //= mqttsn:GW-SN-06
        //= mqttsn:GW-SN-09
        if let Some(envelope) = &opening.envelope {
            let will = will::of(envelope.seal(payload));
            self.judge_prompted(Some(will), shared, facts, door);
        }
    }

    fn judge_prompted(
        &mut self,
        will: Option<Box<Will>>,
        shared: &Shared,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        if let State::Prompting(opening) = std::mem::replace(&mut self.state, State::Gone) {
            self.judge(opening, will, shared, facts, door);
        }
    }

    /// Has core judge the client.
    fn judge(
        &mut self,
        opening: Box<Opening>,
        will: Option<Box<Will>>,
        shared: &Shared,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        if opening.holds_session {
            // It goes on, or anew, without its will being published.
            disconnect(DisconnectCause::Farewell, door);
        }
        let operation = opening.operation(&self.client_id, will, &shared.config, facts);
        door.operation(Operation::Connect(Box::new(operation)));
        self.state = State::Connecting(opening);
    }

    /// The client has not said what its Will is.
    pub(crate) fn on_prompt_deadline(&mut self, shared: &Shared, door: &mut Door<'_, 'static, '_>) {
        let State::Prompting(opening) = &mut self.state else { return };
        let now = door.now();
        if now < opening.deadline() {
            return;
        }
        // Whoever has said CONNECT only may have forged its address.
        let repeats_max = match opening.envelope {
            None => shared.config.n_retry.min(UNPROVEN_REPEATS_MAX),
            Some(_) => shared.config.n_retry,
        };
        if now >= opening.ends_at || opening.repeats >= repeats_max {
            self.leave_session(DisconnectCause::Lost(Reason::MAXIMUM_CONNECT_TIME), door);
            return self.end(Reason::MAXIMUM_CONNECT_TIME, door);
        }
        opening.repeats += 1;
        opening.retry_at = now.plus_seconds(shared.config.t_retry_s.into());
        opening.ask(door);
    }

    /// Handles core's answer to CONNECT.
    pub(crate) fn on_opening_event(
        &mut self,
        event: Event<'_>,
        shared: &Shared,
        door: &mut Door<'_, 'static, '_>,
    ) {
        match event {
            Event::Connected(connected) => self.accept(&connected, shared, door),
            Event::Refused { reason, .. } | Event::Kicked { reason, .. } => {
                self.refuse(reason, door);
            }
            Event::Draining => {
                disconnect(DisconnectCause::Lost(Reason::SERVER_SHUTTING_DOWN), door);
                self.refuse(Reason::SERVER_SHUTTING_DOWN, door);
            }
            // Of the session that the client had before.
            _ => {}
        }
    }

    fn accept(&mut self, connected: &Connected, shared: &Shared, door: &mut Door<'_, 'static, '_>) {
        let State::Connecting(opening) = std::mem::replace(&mut self.state, State::Active) else {
            return;
        };
        //= mqttsn:GW-SN-06
        door.send(&Packet::Connack(ReturnCode::ACCEPTED));
        self.heard_at = door.now();
        self.silence_max_ms = silence_max_ms(opening.duration_s);
        self.outlives_link = !opening.clean_session;
        self.fresh = Some(opening.greeting());
        self.topics = Topics::restored(&connected.notes);
        self.will.clone_from(&connected.will);
        self.credit = CREDIT_MAX;
        if opening.deletes_will && self.will.take().is_some() {
            //= mqttsn:GW-SN-09
            door.operation(Operation::UpdateWill { ticket: UNASKED, will: None });
        }
        if self.is_blocked {
            self.withdraw_credit(door);
        } else if self.sending.is_some() {
            // Messages with QoS 0 that waited here already.
            self.pump(shared, door);
        }
    }

    /// Answers a CONNECT that cannot be accepted, and ends the client.
    fn refuse(&mut self, reason: Reason, door: &mut Door<'_, '_, '_>) {
        //= mqttsn:GW-SN-07
        door.send(&Packet::Connack(mapping::connack_code(reason)));
        self.leave_session(DisconnectCause::Lost(reason), door);
        self.end(reason, door);
    }
}
