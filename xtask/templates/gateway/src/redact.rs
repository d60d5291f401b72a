//! What of a packet may be shown to an operator.

use codec___name__::{__Name__Codec, Codec, Decoded, Limits, Packet, PacketType, Secret, encode};

/// Replaces the password in `bytes`, which are whole packets. `false` when that cannot be done,
/// since the bytes are no packets.
pub(crate) fn redact(bytes: &mut Vec<u8>) -> bool {
    if bytes.get(2) != Some(&(PacketType::Hello as u8)) {
        return true;
    }
    let mut codec = __Name__Codec::new(Limits::UNLIMITED);
    let Ok(Decoded::Frame { frame: Packet::Hello(mut hello), len }) = codec.decode(bytes) else {
        return false;
    };
    if !hello.password.0.is_empty() {
        hello.password = Secret(b"***");
    }
    hello.user = core_model::shown_user(hello.user);
    let mut shown = Vec::new();
    if encode(&Packet::Hello(hello), &mut shown).is_err() {
        return false;
    }
    shown.extend_from_slice(bytes.get(len..).unwrap_or(&[]));
    *bytes = shown;
    true
}

#[cfg(test)]
mod tests {
    use codec___name__::{Hello, Packet, Publish, Secret, encode};

    use super::redact;

    fn bytes(packet: Packet<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&packet, &mut out).unwrap();
        out
    }

    #[test]
    fn passwords_are_not_shown_and_all_else_is() {
        let (keep, keep_alive_s) = (false, 0);
        let hello = |password| {
            let password = Secret(password);
            bytes(Packet::Hello(Hello { keep, keep_alive_s, client_id: "a", user: "u", password }))
        };
        let mut shown = hello(b"s3cr");
        assert!(redact(&mut shown));
        assert_eq!(shown, hello(b"***"));
        let publish = bytes(Packet::Publish(Publish { number: 0, topic: "t", payload: b"x" }));
        let mut shown = publish.clone();
        assert!(redact(&mut shown));
        assert_eq!(shown, publish);
        let mut cut = hello(b"s3cr");
        cut.pop();
        assert!(!redact(&mut cut));
    }
}
