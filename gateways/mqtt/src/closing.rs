//! How a link ends: CONNACK with a refusal, DISCONNECT, or nothing at all.

use codec_mqtt::{
    Connack, ConnackProperties, Disconnect, DisconnectProperties, Packet, PacketType, ReasonCode,
    Version,
};
use core_model::{Disconnect as CoreDisconnect, DisconnectCause, Expiry, Operation, Reason};
use gateway_host::{Close, Context, Output};

use crate::{
    client::{Client, SLOT, write_packet},
    connect::Opening,
    errors::Fault,
    mapping,
};

/// What goes with the reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Words<'w> {
    pub(crate) what: Option<&'w str>,
    pub(crate) server_reference: Option<&'w str>,
}

/// Tells core that the link is lost.
pub(crate) fn lose(reason: Reason, context: &mut Context<'_, '_>) {
    //= mqtt5:3.1.2-8
    //= mqtt311:3.1.2-8
    disconnect(DisconnectCause::Lost(reason), None, context);
}

fn disconnect(cause: DisconnectCause, expiry: Option<Expiry>, context: &mut Context<'_, '_>) {
    context.operation(SLOT, Operation::Disconnect(CoreDisconnect { cause, expiry }));
}

/// Refuses a CONNECT in the terms of its version.
pub(crate) fn refuse(opening: &Opening, reason: Reason, words: Words<'_>, output: &mut Output) {
    let words = match opening.problem_information {
        true => words,
        false => Words { what: None, ..words },
    };
    write_refusal(opening.version, reason, words, opening.max_packet_size, output);
}

/// Writes the CONNACK of a refusal, unless the version has no code for it.
pub(crate) fn write_refusal(
    version: Version,
    reason: Reason,
    words: Words<'_>,
    size_max: u32,
    output: &mut Output,
) {
    //= mqtt5:3.2.2-8
    let reason = match version {
        Version::V5 => {
            mapping::reason_out(reason, PacketType::Connack, ReasonCode::UNSPECIFIED_ERROR)
        }
        Version::V31 | Version::V311 => ReasonCode::new(reason.as_u8()),
    };
    let mut write = |words: Words<'_>| {
        //= mqtt5:3.2.2-6
        //= mqtt311:3.2.2-4
        let connack = Connack {
            session_present: false,
            reason,
            properties: ConnackProperties {
                reason_string: words.what,
                server_reference: words.server_reference,
                ..ConnackProperties::default()
            },
        };
        //= mqtt311:3.2.2-6
        write_packet(&Packet::Connack(Box::new(connack)), version, size_max, output)
    };
    //= mqtt5:3.2.2-19
    //= mqtt5:3.2.2-20
    let _ = write(words) || write(Words { what: None, ..words }) || write(Words::default());
}

impl Client {
    /// Says goodbye in the terms of the version.
    pub(crate) fn write_disconnect(&self, reason: Reason, words: Words<'_>, output: &mut Output) {
        if !self.version.is_v5() {
            return;
        }
        //= mqtt5:3.14.2-1
        let otherwise = match reason {
            Reason::BANNED => ReasonCode::ADMINISTRATIVE_ACTION,
            Reason::BAD_CREDENTIALS => ReasonCode::NOT_AUTHORIZED,
            _ => ReasonCode::UNSPECIFIED_ERROR,
        };
        let reason = mapping::reason_out(reason, PacketType::Disconnect, otherwise);
        let write = |words: Words<'_>, output: &mut Output| {
            //= mqtt5:3.14.2-2
            let properties = DisconnectProperties {
                session_expiry_s: None,
                reason_string: words.what.filter(|_| self.problem_information),
                server_reference: words.server_reference,
                ..DisconnectProperties::default()
            };
            self.write(&Packet::Disconnect(Disconnect { reason, properties }), output)
        };
        //= mqtt5:3.14.2-3
        //= mqtt5:3.14.2-4
        let _ = write(words, output)
            || write(Words { what: None, ..words }, output)
            || write(Words::default(), output);
    }

    /// Ends the link for what the client did.
    pub(crate) fn fail(&self, fault: Fault, context: &mut Context<'_, '_>) {
        let words = Words { what: Some(fault.what), server_reference: None };
        self.write_disconnect(fault.reason, words, context.output());
        lose(fault.reason, context);
        //= mqtt5:3.14.4-2
        //= mqtt5:4.13.1-1
        //= mqtt5:4.13.2-1
        //= mqtt311:4.8.0-1
        context.close(Close::Flush(fault.reason));
    }

    /// Handles the client's DISCONNECT.
    pub(crate) fn on_disconnect(
        &self,
        packet: &Disconnect<'_>,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        let expiry = packet.properties.session_expiry_s.map(Expiry::from_seconds);
        //= mqtt5:GW-MQTT-19
        if self.ends_with_link && expiry.is_some_and(|expiry| expiry != Expiry::WithLink) {
            return Err(Fault::protocol("session expiry after a CONNECT without one"));
        }
        if packet.properties.server_reference.is_some() {
            return Err(Fault::protocol("server reference from a client"));
        }
        disconnect(cause(packet.reason), expiry, context);
        context.close(Close::Flush(mapping::reason_in(packet.reason)));
        Ok(())
    }
}

/// What a client's DISCONNECT means for its will.
pub(crate) fn cause(reason: ReasonCode) -> DisconnectCause {
    match reason {
        //= mqtt5:3.14.4-3
        //= mqtt311:3.14.4-3
        ReasonCode::SUCCESS => DisconnectCause::Farewell,
        ReasonCode::DISCONNECT_WITH_WILL_MESSAGE => DisconnectCause::FarewellWithWill,
        other => DisconnectCause::Lost(mapping::reason_in(other)),
    }
}
