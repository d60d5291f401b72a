use codec_wire::{DecodeError, Reader};

use crate::{
    Connect, ConnectProperties, Limits, QoS, Secret, Version, Will, WillProperties,
    header::FixedHeader,
    primitives::{read_binary, read_string, read_topic_name},
    properties, violation,
};

/// The most bytes that Protocol Name and Protocol Level take: `MQIsdp`, its length and one byte.
pub(crate) const VERSION_LEN_MAX: usize = 9;

/// By this bit of the level a bridge says that it is one.
const BRIDGE: u8 = 0x80;

/// Decodes CONNECT and sets `link_version`, where it is still unknown, as soon as it can.
pub(crate) fn decode<'a>(
    body: &mut Reader<'a>,
    header: &FixedHeader,
    limits: &Limits,
    link_version: &mut Option<Version>,
) -> Result<Connect<'a>, DecodeError> {
    let (version, bridge) = read_version(body, link_version)?;
    //= mqtt5:1.5.5-1
    if version.is_v5() && header.is_padded {
        return Err(violation::VARINT_NOT_SHORTEST.at(1, version));
    }
    let flags = Flags::read(body, version)?;
    let keep_alive_s = body.u16()?;
    let properties =
        if version.is_v5() { read_properties(body, limits)? } else { ConnectProperties::default() };
    //= mqtt5:3.1.3-1
    //= mqtt5:3.1.3-3
    //= mqtt5:3.1.3-4
    //= mqtt311:3.1.3-1
    //= mqtt311:3.1.3-3
    //= mqtt311:3.1.3-4
    let client_id = read_string(body, version)?;
    //= mqtt5:3.1.2-9
    //= mqtt311:3.1.2-9
    //= mqtt311:3.1.2-11
    let will = match flags.will {
        Some((qos, retain)) => Some(read_will(body, qos, retain, version, limits)?),
        None => None,
    };
    //= mqtt5:3.1.2-16
    //= mqtt5:3.1.2-17
    //= mqtt5:3.1.3-12
    //= mqtt311:3.1.2-18
    //= mqtt311:3.1.2-19
    //= mqtt311:3.1.3-11
    let user_name = match flags.user_name {
        true => Some(read_string(body, version)?),
        false => None,
    };
    //= mqtt5:3.1.2-18
    //= mqtt5:3.1.2-19
    //= mqtt311:3.1.2-20
    //= mqtt311:3.1.2-21
    let password = match flags.password {
        true => Some(Secret(read_binary(body)?)),
        false => None,
    };
    Ok(Connect {
        version,
        bridge,
        clean_start: flags.clean_start,
        keep_alive_s,
        client_id,
        will,
        user_name,
        password,
        properties,
    })
}

/// Reads Protocol Name and Protocol Level; the flag says whether a bridge speaks.
pub(crate) fn read_version(
    body: &mut Reader<'_>,
    link_version: &mut Option<Version>,
) -> Result<(Version, bool), DecodeError> {
    let name_at = body.position();
    // Not as text: a name that is not ours is a foreign protocol's, whatever its bytes are.
    let name = read_binary(body)?;
    if !Version::ALL.iter().any(|version| version.protocol_name().as_bytes() == name) {
        //= mqtt5:3.1.2-1
        //= mqtt311:3.1.2-1
        return Err(violation::PROTOCOL_NAME.at(name_at, Version::V311));
    }
    let level_at = body.position();
    let level = body.u8()?;
    let known = Version::ALL.into_iter().find_map(|version| {
        let is_named = version.protocol_name().as_bytes() == name;
        let bridge = level == version.level() | BRIDGE && !version.is_v5();
        (is_named && (level == version.level() || bridge)).then_some((version, bridge))
    });
    let answer = match known {
        Some((version, _)) => version,
        None if level > Version::V5.level() => Version::V5,
        None => Version::V311,
    };
    link_version.get_or_insert(answer);
    //= mqtt5:3.1.2-2
    //= mqtt311:3.1.2-2
    known.ok_or_else(|| violation::PROTOCOL_LEVEL.at(level_at, answer))
}

/// The Connect Flags.
struct Flags {
    clean_start: bool,
    /// Will QoS and Will Retain.
    will: Option<(QoS, bool)>,
    user_name: bool,
    password: bool,
}

impl Flags {
    fn read(body: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let at = body.position();
        let bits = body.u8()?;
        let is_set = |bit: u8| bits & 1 << bit != 0;
        //= mqtt5:3.1.2-3
        //= mqtt311:3.1.2-3
        if is_set(0) {
            return Err(violation::CONNECT_RESERVED_FLAG.at(at, version));
        }
        let (will_qos, will_retain) = (bits >> 3 & 3, is_set(5));
        let will = if is_set(2) {
            //= mqtt5:3.1.2-12
            //= mqtt311:3.1.2-14
            let qos = QoS::from_bits(will_qos)
                .ok_or_else(|| violation::WILL_QOS_THREE.at(at, version))?;
            Some((qos, will_retain))
        } else {
            //= mqtt5:3.1.2-11
            //= mqtt311:3.1.2-11
            //= mqtt311:3.1.2-13
            if will_qos != 0 {
                return Err(violation::WILL_QOS_WITHOUT_WILL.at(at, version));
            }
            //= mqtt5:3.1.2-13
            //= mqtt311:3.1.2-11
            //= mqtt311:3.1.2-15
            if will_retain {
                return Err(violation::WILL_RETAIN_WITHOUT_WILL.at(at, version));
            }
            None
        };
        let (user_name, password) = (is_set(7), is_set(6));
        //= mqtt311:3.1.2-22
        if version == Version::V311 && password && !user_name {
            return Err(violation::PASSWORD_WITHOUT_USER.at(at, version));
        }
        Ok(Self { clean_start: is_set(1), will, user_name, password })
    }
}

fn read_properties<'a>(
    body: &mut Reader<'a>,
    limits: &Limits,
) -> Result<ConnectProperties<'a>, DecodeError> {
    let at = body.position();
    let mut properties = ConnectProperties::default();
    properties::decode(&mut properties, body, limits)?;
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return Err(violation::AUTH_DATA_WITHOUT_METHOD.at(at, Version::V5));
    }
    Ok(properties)
}

fn read_will<'a>(
    body: &mut Reader<'a>,
    qos: QoS,
    retain: bool,
    version: Version,
    limits: &Limits,
) -> Result<Will<'a>, DecodeError> {
    let mut properties = WillProperties::default();
    if version.is_v5() {
        properties::decode(&mut properties, body, limits)?;
    }
    let at = body.position();
    //= mqtt5:3.1.3-11
    //= mqtt311:3.1.3-10
    let topic = read_topic_name(body, version, violation::WILL_TOPIC_WILDCARD)?;
    //= mqtt5:4.7.3-1
    //= mqtt311:4.7.3-1
    if topic.is_empty() {
        return Err(violation::TOPIC_NAME_EMPTY.at(at, version));
    }
    Ok(Will { qos, retain, topic, payload: read_binary(body)?, properties })
}
