use codec_mqtt::{AckKind, Packet, PacketType, ReasonCode, Version, encode_ack};
use core_model::{Credit, Event, Operation, Outcome, Reason, Ticket, Timestamp};
use gateway_host::{Context, Output};

use crate::{
    MqttConfig,
    aliases::{IncomingAliases, OutgoingAliases},
    auth::Authentication,
    errors::Fault,
    incoming::{Incoming, PublishId},
    mapping,
};

/// The one client of a link.
pub(crate) const SLOT: u32 = 0;

/// A connected client, as far as its link is concerned. What is rare is boxed.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) version: Version,
    /// Whether the client is another server's bridge: it keeps the retain flag of messages and
    /// does not want its own back, for which 3.1 and 3.1.1 have no subscription options.
    pub(crate) is_bridge: bool,
    /// Whether the client wants to be told what went wrong.
    pub(crate) problem_information: bool,
    /// Whether CONNECT asked for a session that ends with the link.
    pub(crate) ends_with_link: bool,
    /// Greatest packet in bytes that the client takes; `u32::MAX` for any.
    pub(crate) max_packet_size: u32,
    /// Milliseconds of silence after which the client is gone; 0 for any.
    pub(crate) silence_max_ms: u32,
    /// When the last packet came.
    pub(crate) active_at: Timestamp,
    pub(crate) incoming: Incoming,
    /// The buffer for properties that no receiver before had in this layout.
    pub(crate) scratch: Vec<u8>,
    pub(crate) aliases_in: Option<Box<IncomingAliases>>,
    pub(crate) aliases_out: Option<Box<OutgoingAliases>>,
    pub(crate) authentication: Option<Box<Authentication>>,
}

impl Client {
    /// Handles any packet but DISCONNECT.
    #[inline]
    pub(crate) fn on_packet<'a>(
        &mut self,
        packet: &Packet<'a>,
        config: &MqttConfig,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Fault> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, config, context),
            Packet::Puback(ack) => {
                settle(ack.packet_id, Outcome::Accepted, ack.reason, context);
                Ok(())
            }
            other => self.on_other(other, config, context),
        }
    }

    fn on_other(
        &mut self,
        packet: &Packet<'_>,
        config: &MqttConfig,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        match packet {
            Packet::Pubrec(ack) => {
                settle(ack.packet_id, Outcome::Received, ack.reason, context);
                Ok(())
            }
            Packet::Pubcomp(ack) => {
                settle(ack.packet_id, Outcome::Accepted, ack.reason, context);
                Ok(())
            }
            Packet::Pubrel(ack) => {
                self.incoming.on_release();
                let ticket = Ticket(ack.packet_id.into());
                context.operation(SLOT, Operation::Release { ticket, id: ack.packet_id });
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, config, context),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, config, context),
            Packet::Pingreq => {
                //= mqtt5:3.12.4-1
                //= mqtt311:3.12.4-1
                context.output().write(&codec_mqtt::PINGRESP);
                Ok(())
            }
            Packet::Auth(auth) => self.on_auth(auth, context),
            //= mqtt5:3.1.0-2
            //= mqtt311:3.1.0-2
            Packet::Connect(_) => Err(Fault::protocol("second CONNECT")),
            //= mqtt5:GW-MQTT-18
            Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp
            | Packet::Publish(_)
            | Packet::Puback(_)
            | Packet::Disconnect(_) => Err(Fault::protocol("packet that only a server sends")),
        }
    }

    /// Handles any event of a live session but the end of it.
    #[inline]
    pub(crate) fn on_event(
        &mut self,
        event: Event<'_>,
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        let version = self.version;
        match event {
            Event::Deliver(delivery) => self.on_deliver(&delivery, context),
            Event::Published { ticket, reason } => {
                return self.on_published(PublishId::from_ticket(ticket), reason, context);
            }
            Event::Released { ticket, reason } => {
                let packet_id = ticket.0 as u16;
                self.incoming.on_released(packet_id, reason, version, context.output());
            }
            Event::Release { handle, reason } => release(handle, reason, version, context),
            Event::Subscribed { ticket, reasons } => {
                return self.on_subscribed(ticket.0 as u16, &reasons, context);
            }
            Event::Unsubscribed { ticket, reasons } => {
                return self.on_unsubscribed(ticket.0 as u16, &reasons, context);
            }
            Event::Challenge { data } => return self.on_challenge(&data, context),
            Event::Authenticated { data } => return self.on_authenticated(data, context),
            // What ends the session is handled before; the rest answers nothing that was asked.
            Event::Connected(_)
            | Event::Refused { .. }
            | Event::Kicked { .. }
            | Event::Draining
            | Event::Drained
            | Event::WillUpdated { .. }
            | Event::Retained(_) => {}
        }
        Ok(())
    }

    /// Publishes are answered in their order, with what the version can say.
    fn on_published(
        &mut self,
        publish: PublishId,
        reason: Reason,
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        //= mqtt311:4.8.0-2
        if reason == Reason::QUOTA_EXCEEDED && !self.version.is_v5() {
            // An acknowledgement would say that the message is safe. Without one it stays with the
            // client.
            return Err(Fault::new(reason, "no room for the message"));
        }
        self.incoming.on_published(publish, reason, self.version, context.output());
        Ok(())
    }

    /// How long a client that was heard at `active_at` may stay silent; `None` for ever.
    pub(crate) fn silent_until(&self, active_at: Timestamp) -> Option<Timestamp> {
        //= mqtt5:3.1.2-22
        //= mqtt311:3.1.2-24
        (self.silence_max_ms > 0).then(|| active_at.plus_millis(self.silence_max_ms.into()))
    }

    /// The link is full, or has room again.
    pub(crate) fn on_backpressure(&self, blocked: bool, context: &mut Context<'static, '_>) {
        //= mqtt5:3.3.4-10
        //= mqtt5:4.9.0-3
        let credit = if blocked { Credit::None } else { Credit::Open };
        context.operation(SLOT, Operation::Demand(credit));
    }

    /// Writes `packet` unless it is too large for the client; whether it was written.
    pub(crate) fn write(&self, packet: &Packet<'_>, output: &mut Output) -> bool {
        write_packet(packet, self.version, self.max_packet_size, output)
    }
}

/// Writes `packet` unless it is above `size_max` bytes, or `version` cannot say it; whether it was
/// written.
pub(crate) fn write_packet(
    packet: &Packet<'_>,
    version: Version,
    size_max: u32,
    output: &mut Output,
) -> bool {
    output.write_with(|out| {
        let start = out.len();
        //= mqtt5:3.1.2-24
        let fits = codec_mqtt::encode(packet, version, out).is_ok()
            && out.len() - start <= size_max as usize;
        if !fits {
            out.truncate(start);
        }
        fits
    })
}

/// The client's answer to a delivery.
#[inline]
fn settle(packet_id: u16, outcome: Outcome, reason: ReasonCode, context: &mut Context<'_, '_>) {
    let outcome =
        if reason.is_error() { Outcome::Discarded(mapping::reason_in(reason)) } else { outcome };
    context.operation(SLOT, Operation::Settle { handle: packet_id, outcome });
}

/// Core has noted the receipt of a QoS 2 delivery: writes PUBREL.
fn release(handle: u16, reason: Reason, version: Version, context: &mut Context<'static, '_>) {
    //= mqtt5:3.6.2-1
    let otherwise = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
    let code = mapping::reason_out(reason, PacketType::Pubrel, otherwise);
    //= mqtt5:3.1.2-29
    //= mqtt5:3.6.2-2
    //= mqtt5:3.6.2-3
    //= mqtt5:4.3.3-4
    //= mqtt5:4.6.0-4
    //= mqtt5:GW-MQTT-13
    //= mqtt311:4.3.3-1
    //= mqtt311:4.6.0-4
    context.output().write_with(|out| encode_ack(AckKind::Pubrel, handle, code, version, out));
}
