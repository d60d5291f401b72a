use codec___name__::{Code, Done, Hello, Packet, Publish, Subscribe, encode};
use core_model::{
    Connect, Delivery, Event, Evidence, Expiry, Filter, Manners, Message, Operation, Outcome,
    Publish as CorePublish, PublishMessage, QoS, Reason, RetainHandling, Secret,
    Subscribe as CoreSubscribe, Subscription, Ticket, Timestamp, check_topic_name,
};
use gateway_host::{Context, LinkFacts, Output};

use crate::{GATEWAY_ID, GATEWAY_NAME, machine::SLOT, mapping};

/// Deliveries that a client has to answer before it gets more.
const RECEIVE_MAX: u16 = 64;

/// A client whose session is open.
#[derive(Debug)]
pub(crate) struct Client {
    /// The silence after which the client is gone; 0 for any.
    silence_max_ms: u64,
    /// When its last packet came.
    pub(crate) heard: Timestamp,
    /// Its publishes that wait for an answer.
    pub(crate) unanswered: u16,
}

impl Client {
    pub(crate) fn new(keep_alive_s: u16, now: Timestamp) -> Self {
        //= __name__:2-4
        Client { silence_max_ms: u64::from(keep_alive_s) * 1500, heard: now, unanswered: 0 }
    }

    /// When the client is gone if it stays silent from `heard` on.
    pub(crate) fn silent_at(&self, heard: Timestamp) -> Option<Timestamp> {
        (self.silence_max_ms > 0).then(|| heard.plus_millis(self.silence_max_ms))
    }

    /// Handles a packet.
    ///
    /// # Errors
    /// The client may not send it; the link has to be closed for this reason.
    pub(crate) fn on_packet<'a>(
        &mut self,
        packet: &Packet<'a>,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Reason> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, context),
            Packet::Subscribe(subscribe) => {
                on_subscribe(subscribe, context);
                Ok(())
            }
            Packet::Done(done) => {
                let outcome = match done.code {
                    Code::OK => Outcome::Accepted,
                    _ => Outcome::Discarded(Reason::UNSPECIFIED),
                };
                context.operation(SLOT, Operation::Settle { handle: done.number, outcome });
                Ok(())
            }
            //= __name__:3-4
            Packet::Ping => {
                write(&Packet::Pong, context.output());
                Ok(())
            }
            //= __name__:2-1
            Packet::Hello(_) | Packet::Welcome(_) | Packet::Pong | Packet::Goodbye(_) => {
                Err(Reason::PROTOCOL_ERROR)
            }
        }
    }

    fn on_publish<'a>(
        &mut self,
        publish: &Publish<'a>,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Reason> {
        if check_topic_name(publish.topic).is_err() {
            //= __name__:3-1
            return match publish.number {
                0 => Err(Reason::TOPIC_NAME_INVALID),
                number => {
                    answer(number, Reason::TOPIC_NAME_INVALID, context.output());
                    Ok(())
                }
            };
        }
        let mut message = Message::new(publish.topic, publish.payload);
        if publish.number != 0 {
            message.qos = QoS::AtLeastOnce;
            self.unanswered += 1;
        }
        let ticket = Ticket(publish.number.into());
        let message = PublishMessage::View(message);
        context.operation(SLOT, Operation::Publish(CorePublish { ticket, id: 0, message }));
        Ok(())
    }

    /// Handles an event of the open session that does not end the link.
    pub(crate) fn on_event(&mut self, event: Event<'_>, context: &mut Context<'static, '_>) {
        match event {
            //= __name__:3-1
            Event::Published { ticket, reason } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                answer_ticket(ticket, reason, context.output());
            }
            //= __name__:3-2
            Event::Subscribed { ticket, reasons } => {
                let reason = reasons.first().copied().unwrap_or(Reason::UNSPECIFIED);
                answer_ticket(ticket, reason, context.output());
            }
            Event::Deliver(delivery) => deliver(&delivery, context),
            // Nothing else is asked for.
            _ => {}
        }
    }
}

/// What core is asked for a client that says HELLO.
pub(crate) fn connect(hello: &Hello<'_>, link: &LinkFacts) -> Connect {
    let present = |text: &str| (!text.is_empty()).then(|| Box::from(text));
    let password = hello.password.0;
    let evidence = Evidence {
        listener: link.listener.name.clone(),
        gateway: GATEWAY_NAME,
        allow_anonymous: link.listener.allow_anonymous,
        peer: link.peer,
        transport: link.transport.clone(),
        user: present(hello.user),
        password: (!password.is_empty()).then(|| Secret::new(password)),
        method: None,
        data: None,
    };
    Connect {
        gateway: GATEWAY_ID,
        client_id: link.client_id.clone().unwrap_or_else(|| hello.client_id.into()),
        clean_start: !hello.keep,
        // The listener's limits may make it shorter.
        expiry: if hello.keep { Expiry::Never } else { Expiry::WithLink },
        receive_max: RECEIVE_MAX,
        may_retransmit: false,
        may_requeue: false,
        will: None,
        manners: Manners::default(),
        mountpoint: link.listener.mountpoint.clone(),
        limits: link.listener.session_limits.clone(),
        evidence: Box::new(evidence),
    }
}

fn on_subscribe(subscribe: &Subscribe<'_>, context: &mut Context<'_, '_>) {
    let subscription = Filter::parse(subscribe.filter).map(|filter| Subscription {
        filter,
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    });
    let operation = CoreSubscribe {
        ticket: Ticket(subscribe.number.into()),
        identifier: None,
        subscriptions: vec![subscription.map_err(|_| Reason::TOPIC_FILTER_INVALID)],
    };
    context.operation(SLOT, Operation::Subscribe(Box::new(operation)));
}

//= __name__:3-3
fn deliver(delivery: &Delivery<'_>, context: &mut Context<'static, '_>) {
    let (topic, payload) = (delivery.message.topic(), delivery.message.payload());
    let topic = topic.get(delivery.topic_skip.into()..).unwrap_or("");
    let number = delivery.handle;
    let written = write(&Packet::Publish(Publish { number, topic, payload }), context.output());
    if !written && number != 0 {
        let outcome = Outcome::Discarded(Reason::PACKET_TOO_LARGE);
        context.operation(SLOT, Operation::Settle { handle: number, outcome });
    }
}

fn answer_ticket(ticket: Ticket, reason: Reason, output: &mut Output) {
    if let Ok(number) = u16::try_from(ticket.0) {
        answer(number, reason, output);
    }
}

fn answer(number: u16, reason: Reason, output: &mut Output) {
    write(&Packet::Done(Done { number, code: mapping::code(reason) }), output);
}

/// Writes `packet`, unless it is longer than the protocol can say; whether it was written.
pub(crate) fn write(packet: &Packet<'_>, output: &mut Output) -> bool {
    output.frame_with(|out| encode(packet, out)).is_ok()
}
