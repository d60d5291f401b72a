//! What is said to those who have no client here.

use codec_mqttsn::{Frame, MqttSnCodec, Packet, ReturnCode, encode};
use codec_wire::{Codec, Decoded};
use core_model::Reason;
use gateway_host::Output;

use crate::mapping;

/// Whether a stranger who sends `packet` takes itself for a client, and so has to be told that it
/// is none. What only gateways send, and what tells a gateway something, is not answered, so that
/// two gateways cannot talk for ever.
//= mqttsn:GW-SN-25
pub(crate) fn deserves_disconnect(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::WillTopic(_)
        | Packet::WillMsg(_)
        | Packet::Register(_)
        | Packet::Regack(_)
        | Packet::Puback(_)
        | Packet::Pubcomp(_)
        | Packet::Pubrec(_)
        | Packet::Pubrel(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::Pingreq(_)
        | Packet::Pingresp
        | Packet::WillTopicUpd(_)
        | Packet::WillMsgUpd(_) => true,
        Packet::Publish(publish) => publish.qos != codec_mqttsn::QoS::MinusOne,
        Packet::Advertise(_)
        | Packet::Searchgw(_)
        | Packet::Gwinfo(_)
        | Packet::Connect(_)
        | Packet::Connack(_)
        | Packet::WillTopicReq
        | Packet::WillMsgReq
        | Packet::Suback(_)
        | Packet::Unsuback(_)
        | Packet::Disconnect(_)
        | Packet::WillTopicResp(_)
        | Packet::WillMsgResp(_) => false,
    }
}

/// Answers `frame` with `packet`, by the way that it came.
pub(crate) fn answer(frame: &Frame<'_>, packet: Packet<'_>, output: &mut Output) {
    //= mqttsn:GW-SN-32
    let encapsulation =
        frame.encapsulation.map(|wrapped| codec_mqttsn::Encapsulation { radius: 0, ..wrapped });
    // What a stranger is told has a form on the wire, whoever it is.
    output.frame_with(|out| encode(&Frame { encapsulation, packet }, out)).ok();
}

/// Answers a packet that would have begun a client: a CONNECT by `code`, anything else as if there
/// were no client.
pub(crate) fn refuse_frame(frame: &Frame<'_>, code: ReturnCode, output: &mut Output) {
    match frame.packet {
        Packet::Connect(_) => answer(frame, Packet::Connack(code), output),
        packet if deserves_disconnect(&packet) => answer(frame, Packet::Disconnect(None), output),
        _ => {}
    }
}

/// The same for a whole datagram, which nobody has decoded.
pub(crate) fn refuse(mut codec: MqttSnCodec, datagram: &[u8], reason: Reason, out: &mut Output) {
    let Ok(Decoded::Frame { frame, .. }) = codec.decode(datagram) else { return };
    //= mqttsn:GW-SN-07
    let code = match mapping::return_code(reason) {
        ReturnCode::ACCEPTED => ReturnCode::NOT_SUPPORTED,
        refusal => refusal,
    };
    refuse_frame(&frame, code, out);
}
