//! The one exchange at a time in which the client has to answer.

use codec_mqttsn::{Packet, Register, TopicId};
use core_model::Timestamp;

use crate::{
    Shared,
    client::{Client, State},
    publish_out::{Letter, send_letter},
    slot::Door,
};

/// What the client has to answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) step: Step,
    /// When it is sent again; `None` while core has its turn.
    retry_at: Option<Timestamp>,
    /// How often it was sent again.
    repeats: u8,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// REGISTER for the first letter that waits.
    Register { topic_id: u16, msg_id: u16 },
    /// PUBLISH with QoS 1 or 2.
    Publish { letter: Letter, topic: TopicId },
    /// PUBREC has come, and core makes sure that it is not forgotten.
    AwaitRelease { handle: u16 },
    /// PUBREL.
    Release { handle: u16 },
}

impl Client {
    /// Begins an exchange whose first packet was sent.
    pub(crate) fn begin(&mut self, step: Step, shared: &Shared, now: Timestamp) {
        let retry_at = match step {
            Step::AwaitRelease { .. } => None,
            Step::Register { .. } | Step::Publish { .. } | Step::Release { .. } => {
                Some(now.plus_seconds(shared.config.t_retry_s.into()))
            }
        };
        let sending = self.sending.get_or_insert_default();
        sending.exchange = Some(Exchange { step, retry_at, repeats: 0 });
    }

    /// Sends the exchange of before once more to a client that is back, and counts anew.
    pub(crate) fn resume_exchange(&mut self, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        if self.postpone_retry(shared, door.now()) {
            self.repeat(door);
        }
    }

    /// Gives the client more time, as if it had been asked the first time now. Whether it is to
    /// answer anything.
    pub(crate) fn postpone_retry(&mut self, shared: &Shared, now: Timestamp) -> bool {
        let Some(exchange) = self.exchange_mut() else { return false };
        let Some(retry_at) = &mut exchange.retry_at else { return false };
        *retry_at = now.plus_seconds(shared.config.t_retry_s.into());
        exchange.repeats = 0;
        true
    }

    /// When the exchange is due to be repeated.
    pub(crate) fn retry_at(&self) -> Option<Timestamp> {
        self.sending.as_ref()?.exchange.as_ref()?.retry_at
    }

    /// Repeats the exchange if that is due, or gives the client up.
    //= mqttsn:GW-SN-28
    pub(crate) fn on_retry_deadline(&mut self, shared: &Shared, door: &mut Door<'_, 'static, '_>) {
        let now = door.now();
        if !self.takes_messages() || self.retry_at().is_none_or(|at| at > now) {
            return;
        }
        let Some(exchange) = self.exchange_mut() else { return };
        if exchange.repeats >= shared.config.n_retry {
            //= mqttsn:GW-SN-27
            return match self.state {
                State::Awake => self.doze_off(door),
                _ => self.give_up(door),
            };
        }
        exchange.repeats += 1;
        exchange.retry_at = Some(now.plus_seconds(shared.config.t_retry_s.into()));
        self.repeat(door);
    }

    /// Sends the packet of the exchange again.
    //= mqttsn:GW-SN-28
    fn repeat(&self, door: &mut Door<'_, '_, '_>) {
        let Some(exchange) = self.sending.as_ref().and_then(|sending| sending.exchange.as_ref())
        else {
            return;
        };
        match &exchange.step {
            Step::Register { topic_id, msg_id } => self.send_register(*topic_id, *msg_id, door),
            Step::Publish { letter, topic } => send_letter(letter, *topic, true, door),
            Step::Release { handle } => door.send(&Packet::Pubrel(*handle)),
            Step::AwaitRelease { .. } => false,
        };
    }

    /// Tells the client an id; `false` if the topic is too long for that.
    pub(crate) fn send_register(
        &self,
        topic_id: u16,
        msg_id: u16,
        door: &mut Door<'_, '_, '_>,
    ) -> bool {
        self.topics.of_id(topic_id).is_some_and(|entry| {
            let topic_name = entry.name();
            door.send(&Packet::Register(Register { topic_id, msg_id, topic_name }))
        })
    }

    /// The exchange's present step.
    pub(crate) fn step(&self) -> Option<&Step> {
        Some(&self.sending.as_ref()?.exchange.as_ref()?.step)
    }

    fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        self.sending.as_mut()?.exchange.as_mut()
    }

    /// Ends the exchange.
    pub(crate) fn take_step(&mut self) -> Option<Step> {
        Some(self.sending.as_mut()?.exchange.take()?.step)
    }
}
