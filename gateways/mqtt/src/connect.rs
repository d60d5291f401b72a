use codec_mqtt::{Connect, Version, Will};
use core_model::{
    Connect as CoreConnect, Evidence, Expiry, Manners, Message, Properties, Reason, Secret,
    Will as CoreWill,
};
use gateway_host::LinkFacts;

use crate::{GATEWAY_ID, GATEWAY_NAME, MqttConfig, errors::Fault, mapping};

/// A client below this Maximum Packet Size cannot even be told that a publish failed.
const CLIENT_PACKET_SIZE_MIN: u32 = 6;

/// What of a CONNECT is needed until core has answered it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) version: Version,
    pub(crate) is_bridge: bool,
    pub(crate) client_id: Box<str>,
    /// Whether that is from its certificate and it sent none itself, so that it has to be told.
    pub(crate) is_named: bool,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) expiry: Expiry,
    pub(crate) max_packet_size: u32,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) response_information: bool,
    pub(crate) problem_information: bool,
    /// Method of enhanced authentication.
    pub(crate) method: Option<Box<str>>,
}

/// The keep alive of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    /// In seconds; 0 for none.
    pub(crate) seconds: u16,
    /// Whether the client has to be told, since it asked for another one.
    pub(crate) is_told: bool,
}

impl KeepAlive {
    fn new(asked: u16, version: Version, config: &MqttConfig) -> Self {
        //= mqtt5:3.2.2-22
        //= mqtt5:3.2.2-21
        let at_least = if asked == 0 { 0 } else { asked.max(config.keep_alive_min_s) };
        let seconds = match (config.server_keep_alive_s, config.keep_alive_max_s) {
            // Before 5.0 the client cannot be told.
            _ if !version.is_v5() => asked,
            (0, 0) => at_least,
            (0, max) if asked == 0 => max,
            (0, max) => at_least.min(max),
            (all, _) => all,
        };
        KeepAlive { seconds, is_told: seconds != asked }
    }

    /// The silence in milliseconds after which the client is gone; 0 for any.
    pub(crate) fn silence_max_ms(self) -> u32 {
        //= mqtt5:3.1.2-22
        //= mqtt311:3.1.2-24
        u32::from(self.seconds) * 1500
    }
}

impl Opening {
    /// What `connect` asks for.
    pub(crate) fn new(connect: &Connect<'_>, config: &MqttConfig) -> Self {
        let p = &connect.properties;
        let expiry = match (connect.version.is_v5(), connect.clean_start) {
            (true, _) => Expiry::from_seconds(p.session_expiry_s.unwrap_or(0)),
            //= mqtt311:3.1.2-6
            (false, true) => Expiry::WithLink,
            //= mqtt311:3.1.2-4
            (false, false) => Expiry::Never,
        };
        Opening {
            version: connect.version,
            is_bridge: connect.bridge,
            client_id: connect.client_id.into(),
            is_named: false,
            keep_alive: KeepAlive::new(connect.keep_alive_s, connect.version, config),
            expiry,
            max_packet_size: p.max_packet_size.unwrap_or(u32::MAX),
            topic_alias_maximum: p.topic_alias_maximum.unwrap_or(0),
            response_information: p.request_response_information.unwrap_or(false),
            problem_information: p.request_problem_information.unwrap_or(true),
            method: p.authentication_method.map(Box::from),
        }
    }

    /// The operation for `connect`, which was checked.
    pub(crate) fn operation(&self, connect: &Connect<'_>, link: &LinkFacts) -> CoreConnect {
        let p = &connect.properties;
        let evidence = Evidence {
            listener: link.listener.name.clone(),
            allow_anonymous: link.listener.allow_anonymous,
            gateway: GATEWAY_NAME,
            peer: link.peer,
            transport: link.transport.clone(),
            user: connect.user_name.map(Box::from),
            password: connect.password.map(|password| Secret::new(password.0)),
            method: self.method.clone(),
            data: p.authentication_data.map(|data| data.0.to_vec()),
        };
        CoreConnect {
            gateway: GATEWAY_ID,
            //= mqtt5:3.1.3-2
            //= mqtt311:3.1.3-2
            client_id: self.client_id.clone(),
            //= mqtt5:3.1.2-4
            //= mqtt5:3.1.2-5
            //= mqtt5:3.1.2-6
            //= mqtt5:3.1.4-4
            //= mqtt311:3.1.4-3
            clean_start: connect.clean_start,
            //= mqtt5:3.1.2-23
            expiry: self.expiry,
            //= mqtt5:3.3.4-9
            receive_max: p.receive_maximum.unwrap_or(u16::MAX),
            //= mqtt5:4.4.0-1
            may_retransmit: !connect.version.is_v5(),
            may_requeue: false,
            manners: Manners::default(),
            //= mqtt5:3.1.2-7
            //= mqtt311:3.1.2-8
            //= mqtt311:3.1.2-12
            will: connect.will.as_ref().map(|will| Box::new(core_will(will))),
            mountpoint: link.listener.mountpoint.clone(),
            limits: link.listener.session_limits.clone(),
            evidence: Box::new(evidence),
        }
    }
}

/// Checks what is the gateway's to check in a CONNECT.
pub(crate) fn check(connect: &Connect<'_>, config: &MqttConfig) -> Result<(), Fault> {
    if !config.speaks(connect.version) {
        //= mqtt5:3.1.2-2
        //= mqtt311:3.1.2-2
        return Err(Fault::new(Reason::UNSUPPORTED_VERSION, "version is not spoken here"));
    }
    check_client_id(connect)?;
    if connect.properties.max_packet_size.is_some_and(|size| size < CLIENT_PACKET_SIZE_MIN) {
        return Err(Fault::new(Reason::PACKET_TOO_LARGE, "Maximum Packet Size is of no use"));
    }
    if config.reject_control_characters {
        let topic = connect.will.as_ref().map(|will| will.topic);
        let texts = [Some(connect.client_id), connect.user_name, topic];
        if texts.into_iter().flatten().any(mapping::has_control_character) {
            return Err(Fault::new(Reason::MALFORMED, "control character in CONNECT"));
        }
    }
    connect.will.as_ref().map_or(Ok(()), |will| check_will(will, config))
}

fn check_client_id(connect: &Connect<'_>) -> Result<(), Fault> {
    //= mqtt5:3.1.3-5
    //= mqtt5:3.1.3-6
    //= mqtt311:3.1.3-5
    //= mqtt311:3.1.3-6
    let is_valid = match connect.version {
        Version::V31 => !connect.client_id.is_empty(),
        //= mqtt311:3.1.3-7
        //= mqtt311:3.1.3-8
        Version::V311 => !connect.client_id.is_empty() || connect.clean_start,
        Version::V5 => true,
    };
    match is_valid {
        true => Ok(()),
        //= mqtt311:3.1.3-9
        false => Err(Fault::new(Reason::CLIENT_ID_NOT_VALID, "empty client identifier")),
    }
}

fn check_will(will: &Will<'_>, config: &MqttConfig) -> Result<(), Fault> {
    //= mqtt5:3.2.2-12
    if will.qos as u8 > config.max_qos {
        return Err(Fault::new(Reason::QOS_NOT_SUPPORTED, "QoS of the will above the maximum"));
    }
    //= mqtt5:3.2.2-13
    if will.retain && !config.retain_available {
        return Err(Fault::new(Reason::RETAIN_NOT_SUPPORTED, "retained will"));
    }
    if let Some(reason) = mapping::forbidden_topic(will.topic) {
        return Err(Fault::new(reason, "topic of the will"));
    }
    let is_mislabelled = config.check_payload_format
        && will.properties.payload_format_utf8 == Some(true)
        && std::str::from_utf8(will.payload).is_err();
    if is_mislabelled {
        return Err(Fault::new(Reason::PAYLOAD_FORMAT_INVALID, "payload of the will is not UTF-8"));
    }
    Ok(())
}

fn core_will(will: &Will<'_>) -> CoreWill {
    let p = &will.properties;
    let message = Message {
        //= mqtt5:3.1.2-9
        qos: mapping::qos_in(will.qos),
        //= mqtt5:3.1.2-14
        //= mqtt5:3.1.2-15
        //= mqtt311:3.1.2-16
        //= mqtt311:3.1.2-17
        retain: will.retain,
        properties: Properties {
            payload_format_utf8: p.payload_format_utf8,
            content_type: p.content_type,
            response_topic: p.response_topic,
            correlation_data: p.correlation_data,
            //= mqtt5:3.1.3-10
            user: mapping::user_properties_in(p.user_properties),
        },
        ..Message::new(will.topic, will.payload)
    };
    CoreWill {
        message: message.detach(),
        delay_s: p.will_delay_s.unwrap_or(0),
        expiry_s: p.message_expiry_s,
    }
}
