//! Short words for operations, and text for events.

use core_model::{
    Connect, Delivery, Event, Evidence, Expiry, Filter, GatewayId, Manners, Message, QoS, Reason,
    RetainHandling, Secret, SessionLimits, Subscription, Timestamp, Will,
};

/// A connect operation in the making.
#[derive(Debug)]
pub(crate) struct Connecting(pub(crate) Connect);

/// A clean session that ends with its link, anonymous.
pub(crate) fn id(client_id: &str) -> Connecting {
    Connecting(Connect {
        gateway: GatewayId(0),
        client_id: client_id.into(),
        clean_start: true,
        expiry: Expiry::WithLink,
        receive_max: u16::MAX,
        may_retransmit: false,
        may_requeue: false,
        manners: Manners::default(),
        will: None,
        mountpoint: "".into(),
        limits: None,
        evidence: Box::new(Evidence { allow_anonymous: true, ..Evidence::default() }),
    })
}

impl Connecting {
    /// As MQTT 3.1.1 with Clean Session 0.
    pub(crate) fn keep(self) -> Self {
        self.resume().expiry(Expiry::Never)
    }

    /// Clean Start 0.
    pub(crate) fn resume(mut self) -> Self {
        self.0.clean_start = false;
        self
    }

    pub(crate) fn expiry(mut self, expiry: Expiry) -> Self {
        self.0.expiry = expiry;
        self
    }

    pub(crate) fn expiry_s(self, seconds: u32) -> Self {
        self.expiry(Expiry::from_seconds(seconds))
    }

    pub(crate) fn receive_max(mut self, receive_max: u16) -> Self {
        self.0.receive_max = receive_max;
        self
    }

    pub(crate) fn will(mut self, will: Will) -> Self {
        self.0.will = Some(Box::new(will));
        self
    }

    pub(crate) fn mountpoint(mut self, mountpoint: &str) -> Self {
        self.0.mountpoint = mountpoint.into();
        self
    }

    pub(crate) fn gateway(mut self, number: u8) -> Self {
        self.0.gateway = GatewayId(number);
        self
    }

    pub(crate) fn retransmits(mut self) -> Self {
        self.0.may_retransmit = true;
        self
    }

    pub(crate) fn requeues(mut self) -> Self {
        self.0.may_requeue = true;
        self
    }

    /// With habits that MQTT has not.
    pub(crate) fn manners(mut self, change: impl FnOnce(&mut Manners)) -> Self {
        change(&mut self.0.manners);
        self
    }

    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.0.evidence.user = Some(name.into());
        self.0.evidence.password = Some(Secret::new(password.as_bytes()));
        self
    }

    pub(crate) fn method(mut self, method: &str, data: &str) -> Self {
        self.0.evidence.method = Some(method.into());
        self.0.evidence.data = Some(data.as_bytes().to_vec());
        self
    }

    /// Through a listener of its own.
    pub(crate) fn listener(mut self, name: &str) -> Self {
        self.0.evidence.listener = name.into();
        self
    }

    /// From an address.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.0.evidence.peer = Some(address.parse().unwrap());
        self
    }

    /// With bounds of its listener.
    pub(crate) fn limits(mut self, change: impl FnOnce(&mut SessionLimits)) -> Self {
        let mut limits = SessionLimits::default();
        change(&mut limits);
        self.0.limits = Some(std::sync::Arc::new(limits));
        self
    }

    /// Through a listener that wants credentials.
    pub(crate) fn no_anonymous(mut self) -> Self {
        self.0.evidence.allow_anonymous = false;
        self
    }
}

/// One filter of a subscribe.
pub(crate) struct Wanted(pub(crate) Result<Subscription, Reason>);

pub(crate) fn sub(filter: &str, qos: u8) -> Wanted {
    let subscription = Filter::parse(filter).map(|filter| Subscription {
        filter,
        qos: QoS::from_u8(qos).unwrap(),
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    });
    Wanted(subscription.map_err(|_| Reason::TOPIC_FILTER_INVALID))
}

impl Wanted {
    fn change(mut self, change: impl FnOnce(&mut Subscription)) -> Self {
        self.0.as_mut().map(change).unwrap();
        self
    }

    pub(crate) fn no_local(self) -> Self {
        self.change(|subscription| subscription.no_local = true)
    }

    /// Retain As Published.
    pub(crate) fn rap(self) -> Self {
        self.change(|subscription| subscription.retain_as_published = true)
    }

    pub(crate) fn if_new(self) -> Self {
        self.change(|s| s.retain_handling = RetainHandling::SendIfNew)
    }

    pub(crate) fn no_retained(self) -> Self {
        self.change(|s| s.retain_handling = RetainHandling::DoNotSend)
    }
}

/// A message in the making.
#[derive(Clone, Debug)]
pub(crate) struct Msg {
    topic: String,
    payload: Vec<u8>,
    pub(crate) qos: QoS,
    retain: bool,
    expiry_s: Option<u32>,
    /// Its number, for QoS 2.
    pub(crate) id: Option<u16>,
}

pub(crate) fn msg(topic: &str, payload: &str, qos: u8) -> Msg {
    Msg {
        topic: topic.into(),
        payload: payload.into(),
        qos: QoS::from_u8(qos).unwrap(),
        retain: false,
        expiry_s: None,
        id: None,
    }
}

impl Msg {
    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn expiry_s(mut self, seconds: u32) -> Self {
        self.expiry_s = Some(seconds);
        self
    }

    pub(crate) fn id(mut self, id: u16) -> Self {
        self.id = Some(id);
        self
    }

    /// Bytes that it takes where it is kept.
    pub(crate) fn size(&self) -> usize {
        self.view(Timestamp::ZERO).detach().size()
    }

    /// The message as it arrives at a moment.
    pub(crate) fn view(&self, now: Timestamp) -> Message<'_> {
        Message {
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expiry_s.map(|seconds| now.plus_seconds(seconds)),
            ..Message::new(&self.topic, &self.payload)
        }
    }

    /// The message as a will.
    pub(crate) fn will(&self, delay_s: u32) -> Will {
        let message = self.view(Timestamp::ZERO);
        let message = Message { expires_at: None, ..message }.detach();
        Will { message, delay_s, expiry_s: self.expiry_s }
    }
}

/// An event as a test writes it down: `q1#3 dup retain a/b=payload [7]` is a QoS 1 delivery with
/// handle 3 and subscription identifier 7.
pub(crate) fn text_of(event: &Event<'_>) -> String {
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    match event {
        Event::Connected(connected) if connected.session_present => "connected present".into(),
        Event::Connected(_) => "connected new".into(),
        Event::Challenge { data } => format!("challenge {}", text(data)),
        Event::Authenticated { data } => {
            format!("authenticated {}", text(data.as_deref().unwrap_or(b"-")))
        }
        Event::Refused { reason, .. } => format!("refused 0x{:02X}", reason.as_u8()),
        Event::Published { ticket, reason } => {
            format!("published {} 0x{:02X}", ticket.0, reason.as_u8())
        }
        Event::Released { ticket, reason } => {
            format!("released {} 0x{:02X}", ticket.0, reason.as_u8())
        }
        Event::Subscribed { ticket, .. } => format!("subscribed {}", ticket.0),
        Event::Unsubscribed { ticket, .. } => format!("unsubscribed {}", ticket.0),
        Event::Deliver(delivery) => text_of_delivery(delivery),
        Event::Release { handle, reason } => format!("release #{handle} 0x{:02X}", reason.as_u8()),
        Event::Retained(page) => {
            let messages: Vec<_> = page
                .messages
                .iter()
                .map(|m| format!("{}={}", m.topic(), text(m.payload())))
                .collect();
            let end = page.cursor.as_deref().unwrap_or("end");
            format!("retained {} {end}", messages.join(","))
        }
        Event::Kicked { reason, .. } => format!("kicked 0x{:02X}", reason.as_u8()),
        Event::Draining => "draining".into(),
        Event::Drained => "drained".into(),
        Event::WillUpdated { reason, .. } => format!("will 0x{:02X}", reason.as_u8()),
    }
}

fn text_of_delivery(delivery: &Delivery<'_>) -> String {
    let mut text = format!("q{}", delivery.qos as u8);
    if delivery.handle != 0 {
        text += &format!("#{}", delivery.handle);
    }
    if delivery.dup {
        text += " dup";
    }
    if delivery.retain {
        text += " retain";
    }
    let topic = delivery.message.topic().get(usize::from(delivery.topic_skip)..);
    let payload = String::from_utf8_lossy(delivery.message.payload());
    text += &format!(" {}={payload}", topic.expect("the topic is longer than what is skipped"));
    if !delivery.subscription_ids.is_empty() {
        let mut ids = delivery.subscription_ids.to_vec();
        ids.sort_unstable();
        text += &format!(" {ids:?}");
    }
    text
}
