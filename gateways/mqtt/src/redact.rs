//! What of a packet may be shown to an operator.

use codec_mqtt::{Codec, Decoded, Limits, MqttCodec, Packet, PacketType, Secret, Version, encode};

/// What is shown in place of a secret, whatever its length.
const BLANK: Secret<'static> = Secret(b"***");

/// Replaces passwords, tokens in place of user names and authentication data in `bytes`, which are whole packets. `false` when
/// that cannot be done, since the bytes are no packets.
pub(crate) fn redact(bytes: &mut Vec<u8>) -> bool {
    if bytes.first().is_some_and(|first| !may_hold_secrets(*first)) {
        return true;
    }
    let mut shown = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    // An answer to a CONNECT may have others behind it.
    while rest.first().is_some_and(|first| may_hold_secrets(*first)) {
        let is_connect = rest.first().is_some_and(|first| first >> 4 == PacketType::Connect as u8);
        let mut codec = match is_connect {
            true => MqttCodec::server(Limits::UNLIMITED),
            false if is_short_connack(rest) => {
                MqttCodec::with_version(Version::V311, Limits::UNLIMITED)
            }
            false => MqttCodec::with_version(Version::V5, Limits::UNLIMITED),
        };
        let Ok(Decoded::Frame { frame, len }) = codec.decode(rest) else { return false };
        let Some(version) = codec.version() else { return false };
        if encode(&blanked(frame), version, &mut shown).is_err() {
            return false;
        }
        rest = rest.get(len..).unwrap_or(&[]);
    }
    shown.extend_from_slice(rest);
    *bytes = shown;
    true
}

fn may_hold_secrets(first: u8) -> bool {
    let kinds = [PacketType::Connect, PacketType::Connack, PacketType::Auth];
    kinds.iter().any(|kind| first >> 4 == *kind as u8)
}

/// A CONNACK as it was before 5.0: without properties.
fn is_short_connack(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|len| *len == 2)
}

fn blanked(packet: Packet<'_>) -> Packet<'_> {
    match packet {
        Packet::Connect(mut connect) => {
            connect.password = connect.password.map(|_| BLANK);
            connect.user_name = connect.user_name.map(core_model::shown_user);
            let data = &mut connect.properties.authentication_data;
            *data = data.map(|_| BLANK);
            Packet::Connect(connect)
        }
        Packet::Connack(mut connack) => {
            let data = &mut connack.properties.authentication_data;
            *data = data.map(|_| BLANK);
            Packet::Connack(connack)
        }
        Packet::Auth(mut auth) => {
            let data = &mut auth.properties.authentication_data;
            *data = data.map(|_| BLANK);
            Packet::Auth(auth)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use codec_mqtt::{
        Auth, AuthProperties, Connack, ConnackProperties, Connect, ConnectProperties, ReasonCode,
    };

    use super::*;

    const PASSWORD: &[u8] = b"open sesame";

    fn bytes_of(packet: &Packet<'_>, version: Version) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(packet, version, &mut bytes).unwrap();
        bytes
    }

    fn redacted(mut bytes: Vec<u8>) -> Vec<u8> {
        assert!(redact(&mut bytes));
        let holds_secret = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD);
        assert!(!holds_secret, "{bytes:02x?}");
        bytes
    }

    fn connect(version: Version) -> Packet<'static> {
        let mut connect = Connect {
            version,
            bridge: false,
            clean_start: true,
            keep_alive_s: 60,
            client_id: "thermometer",
            will: None,
            user_name: Some("somebody"),
            password: Some(Secret(PASSWORD)),
            properties: ConnectProperties::default(),
        };
        if version.is_v5() {
            connect.properties.authentication_method = Some("SCRAM-SHA-256");
            connect.properties.authentication_data = Some(Secret(PASSWORD));
        }
        Packet::Connect(Box::new(connect))
    }

    #[test]
    fn a_password_is_blanked_and_the_user_stays() {
        for version in [Version::V31, Version::V311, Version::V5] {
            let bytes = redacted(bytes_of(&connect(version), version));
            let mut codec = MqttCodec::server(Limits::UNLIMITED);
            let Ok(Decoded::Frame { frame: Packet::Connect(shown), len }) = codec.decode(&bytes)
            else {
                panic!("no CONNECT: {bytes:02x?}");
            };
            assert_eq!(len, bytes.len());
            assert_eq!((shown.user_name, shown.client_id), (Some("somebody"), "thermometer"));
            assert_eq!(shown.password, Some(BLANK));
        }
    }

    #[test]
    fn a_token_in_place_of_the_user_is_blanked() {
        let Packet::Connect(mut token) = connect(Version::V5) else { panic!("no CONNECT") };
        token.user_name = Some("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln");
        let bytes = redacted(bytes_of(&Packet::Connect(token), Version::V5));
        assert!(!bytes.windows(3).any(|window| window == b"eyJ"), "{bytes:02x?}");
    }

    #[test]
    fn authentication_data_is_blanked_in_both_directions() {
        let auth = Auth {
            reason: ReasonCode::CONTINUE_AUTHENTICATION,
            properties: AuthProperties {
                authentication_method: Some("SCRAM-SHA-256"),
                authentication_data: Some(Secret(PASSWORD)),
                ..AuthProperties::default()
            },
        };
        let connack = Connack {
            session_present: false,
            reason: ReasonCode::SUCCESS,
            properties: ConnackProperties {
                authentication_method: Some("SCRAM-SHA-256"),
                authentication_data: Some(Secret(PASSWORD)),
                ..ConnackProperties::default()
            },
        };
        redacted(bytes_of(&Packet::Auth(auth), Version::V5));
        let mut bytes = bytes_of(&Packet::Connack(Box::new(connack)), Version::V5);
        bytes.extend_from_slice(&[0xd0, 0]);
        assert!(redacted(bytes).ends_with(&[0xd0, 0]));
    }

    #[test]
    fn what_holds_no_secret_is_shown_as_it_is() {
        for bytes in [&[0xc0, 0][..], &[0x30, 3, 0, 1, b't'], &[0x20, 2, 0, 0], &[]] {
            assert_eq!(redacted(bytes.to_vec()), bytes);
        }
    }

    #[test]
    fn what_is_no_packet_is_not_shown() {
        let whole = bytes_of(&connect(Version::V5), Version::V5);
        let cut = whole.get(..whole.len() - 1).unwrap();
        assert!(!redact(&mut cut.to_vec()));
        assert!(!redact(&mut b"\x10\x10open sesame".to_vec()));
    }
}
