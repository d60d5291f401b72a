use std::collections::VecDeque;

use codec_mqtt::{AckKind, PacketType, ReasonCode, Version, encode_ack};
use core_model::{QoS, Reason, Ticket};
use gateway_host::Output;

use crate::{errors::Fault, mapping};

/// Operations beyond the Receive Maximum that may be unanswered before the link is not read.
const UNANSWERED_EXTRA_MAX: usize = 64;

/// What a client has sent and the server has not answered yet.
///
/// It bounds what one client can have under way, finds packet identifiers that are in use, and
/// keeps the acknowledgements in the order of the publishes.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Publishes with QoS above 0 that went to core, counted modulo 2^32.
    sent: u32,
    /// Those of them that core has answered.
    answered: u32,
    /// Releases under way.
    releases: u16,
    /// 5.0: identifiers of publishes whose flow is not finished on this link, in their order.
    open: Vec<Open>,
    /// Refusals that wait for the answers to earlier publishes.
    refusals: VecDeque<Refusal>,
    /// Identifiers of SUBSCRIBE and UNSUBSCRIBE under way.
    filters: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    packet_id: u16,
    qos: QoS,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// Comes after the answer to this publish.
    after: u32,
    publish: PublishId,
    reason: Reason,
}

/// How the identifier of a PUBLISH stands to those under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may go on; for QoS 2 this may be a repetition, which core recognises.
    Admitted,
    /// The identifier is in use for something else.
    InUse,
}

/// Packet identifier and QoS of a publish with QoS above 0, which its ticket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublishId {
    pub(crate) packet_id: u16,
    pub(crate) qos: QoS,
}

impl PublishId {
    pub(crate) const fn ticket(self) -> Ticket {
        Ticket((self.qos as u32) << 16 | self.packet_id as u32)
    }

    pub(crate) const fn from_ticket(ticket: Ticket) -> Self {
        let qos = match QoS::from_u8((ticket.0 >> 16) as u8) {
            Some(qos) => qos,
            None => QoS::AtLeastOnce,
        };
        PublishId { packet_id: ticket.0 as u16, qos }
    }
}

impl Incoming {
    /// Whether another packet may be read.
    #[inline]
    pub(crate) fn has_room(&self, receive_maximum: u16) -> bool {
        let publishes = self.sent.wrapping_sub(self.answered) as usize;
        publishes + self.refusals.len() + usize::from(self.releases) + self.filters.len()
            < usize::from(receive_maximum) + UNANSWERED_EXTRA_MAX
    }

    /// Takes up a PUBLISH of a 5.0 client. Before 5.0 the identifiers are the client's own matter:
    /// it could not be told.
    pub(crate) fn admit(
        &mut self,
        publish: PublishId,
        receive_maximum: u16,
    ) -> Result<Admission, Fault> {
        let PublishId { packet_id, qos } = publish;
        //= mqtt5:GW-MQTT-11
        if self.filters.contains(&packet_id) {
            return Ok(Admission::InUse);
        }
        match self.find(packet_id) {
            Ok(index) => {
                let is_qos2 = self.open.get(index).is_some_and(|it| it.qos == QoS::ExactlyOnce);
                Ok(match is_qos2 && qos == QoS::ExactlyOnce {
                    true => Admission::Admitted,
                    false => Admission::InUse,
                })
            }
            //= mqtt5:GW-MQTT-06
            //= mqtt5:3.3.4-7
            Err(_) if self.open.len() >= usize::from(receive_maximum) => Err(Fault::new(
                Reason::RECEIVE_MAXIMUM_EXCEEDED,
                "more unanswered publishes than the Receive Maximum",
            )),
            Err(index) => {
                self.open.insert(index, Open { packet_id, qos });
                Ok(Admission::Admitted)
            }
        }
    }

    fn find(&self, packet_id: u16) -> Result<usize, usize> {
        self.open.binary_search_by_key(&packet_id, |open| open.packet_id)
    }

    fn finish(&mut self, packet_id: u16) {
        if let Ok(index) = self.find(packet_id) {
            self.open.remove(index);
        }
    }

    /// A PUBLISH with QoS above 0 goes to core.
    #[inline]
    pub(crate) fn on_sent(&mut self) {
        self.sent = self.sent.wrapping_add(1);
    }

    /// Refuses a PUBLISH with QoS above 0, in its turn.
    pub(crate) fn refuse(
        &mut self,
        publish: PublishId,
        reason: Reason,
        version: Version,
        output: &mut Output,
    ) {
        // An identifier in use stays in use by that which uses it.
        if reason != Reason::PACKET_ID_IN_USE {
            self.finish(publish.packet_id);
        }
        if self.sent == self.answered {
            write_ack(publish, reason, version, output);
            return;
        }
        let refusal = Refusal { after: self.sent, publish, reason };
        self.refusals.push_back(refusal);
    }

    /// Core has answered a publish: acknowledges it, and whatever was refused behind it.
    pub(crate) fn on_published(
        &mut self,
        publish: PublishId,
        reason: Reason,
        version: Version,
        output: &mut Output,
    ) {
        self.answered = self.answered.wrapping_add(1);
        if publish.qos == QoS::AtLeastOnce || reason.is_error() {
            //= mqtt5:4.3.2-5
            //= mqtt5:4.3.3-9
            self.finish(publish.packet_id);
        }
        write_ack(publish, reason, version, output);
        //= mqtt5:4.6.0-2
        //= mqtt5:4.6.0-3
        //= mqtt311:4.6.0-2
        //= mqtt311:4.6.0-3
        while let Some(refusal) = self.next_refusal() {
            write_ack(refusal.publish, refusal.reason, version, output);
        }
    }

    fn next_refusal(&mut self) -> Option<Refusal> {
        self.refusals.pop_front_if(|refusal| refusal.after == self.answered)
    }

    /// The client releases a message.
    pub(crate) fn on_release(&mut self) {
        self.releases = self.releases.saturating_add(1);
    }

    /// Core has released a message: writes PUBCOMP.
    pub(crate) fn on_released(
        &mut self,
        packet_id: u16,
        reason: Reason,
        version: Version,
        output: &mut Output,
    ) {
        self.releases = self.releases.saturating_sub(1);
        //= mqtt5:4.3.3-12
        self.finish(packet_id);
        //= mqtt5:3.7.2-1
        let otherwise = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
        let code = mapping::reason_out(reason, PacketType::Pubcomp, otherwise);
        //= mqtt5:4.3.3-11
        //= mqtt5:3.1.2-29
        //= mqtt5:3.7.2-2
        //= mqtt5:3.7.2-3
        //= mqtt5:GW-MQTT-12
        //= mqtt311:4.3.3-2
        output.write_with(|out| encode_ack(AckKind::Pubcomp, packet_id, code, version, out));
    }

    /// Takes up a SUBSCRIBE or UNSUBSCRIBE; false if its identifier is in use.
    pub(crate) fn admit_filters(&mut self, packet_id: u16, version: Version) -> bool {
        //= mqtt5:GW-MQTT-11
        let is_used = self.filters.contains(&packet_id) || self.find(packet_id).is_ok();
        if is_used && version.is_v5() {
            return false;
        }
        self.filters.push(packet_id);
        true
    }

    /// Core has answered a SUBSCRIBE or UNSUBSCRIBE.
    pub(crate) fn on_filters_done(&mut self, packet_id: u16) {
        if let Some(index) = self.filters.iter().position(|&id| id == packet_id) {
            self.filters.swap_remove(index);
        }
        if self.filters.is_empty() {
            self.filters = Vec::new();
        }
    }
}

/// Writes PUBACK or PUBREC.
#[inline]
fn write_ack(publish: PublishId, reason: Reason, version: Version, output: &mut Output) {
    //= mqtt5:3.3.4-1
    //= mqtt311:3.3.4-1
    let (kind, packet_type) = match publish.qos {
        QoS::AtMostOnce => return,
        //= mqtt5:4.3.2-4
        //= mqtt311:4.3.2-2
        QoS::AtLeastOnce => (AckKind::Puback, PacketType::Puback),
        //= mqtt5:4.3.3-8
        //= mqtt311:4.3.3-2
        QoS::ExactlyOnce => (AckKind::Pubrec, PacketType::Pubrec),
    };
    //= mqtt5:3.4.2-1
    //= mqtt5:3.5.2-1
    let code = mapping::reason_out(reason, packet_type, ReasonCode::UNSPECIFIED_ERROR);
    //= mqtt5:2.2.1-5
    //= mqtt5:3.1.2-29
    //= mqtt5:3.4.2-2
    //= mqtt5:3.4.2-3
    //= mqtt5:3.5.2-2
    //= mqtt5:3.5.2-3
    //= mqtt311:2.3.1-6
    output.write_with(|out| encode_ack(kind, publish.packet_id, code, version, out));
}
