use codec_mqtt::{Auth, AuthProperties, Packet, ReasonCode, Secret, Version};
use core_model::{Operation, Reason};
use gateway_host::{Context, Output};

use crate::{
    client::{Client, SLOT, write_packet},
    errors::Fault,
};

/// The enhanced authentication of a client whose CONNECT named a method.
#[derive(Debug)]
pub(crate) struct Authentication {
    pub(crate) method: Box<str>,
    pub(crate) turn: Turn,
}

/// Whose AUTH is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nobody's, until the client authenticates again.
    Nobody,
    /// Core's, which has the client's data.
    Server,
    /// The client's, which has the server's data.
    Client,
}

impl Client {
    /// Handles an AUTH on a live session.
    pub(crate) fn on_auth(
        &mut self,
        auth: &Auth<'_>,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        //= mqtt5:4.12.0-7
        let authentication = self
            .authentication
            .as_mut()
            .ok_or(Fault::protocol("AUTH without a method in CONNECT"))?;
        match (authentication.turn, auth.reason) {
            (Turn::Nobody, ReasonCode::RE_AUTHENTICATE)
            | (Turn::Client, ReasonCode::CONTINUE_AUTHENTICATION) => {}
            _ => return Err(Fault::protocol("AUTH out of turn")),
        }
        authentication.turn = Turn::Server;
        //= mqtt5:4.12.1-1
        let operation = authenticate(auth, &authentication.method)?;
        context.operation(SLOT, operation);
        Ok(())
    }

    /// Core wants another round of a re-authentication.
    pub(crate) fn on_challenge(
        &mut self,
        data: &[u8],
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        self.answer_auth(ReasonCode::CONTINUE_AUTHENTICATION, Some(data), Turn::Client, context)
    }

    /// A re-authentication succeeded.
    pub(crate) fn on_authenticated(
        &mut self,
        data: Option<Vec<u8>>,
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        self.answer_auth(ReasonCode::SUCCESS, data.as_deref(), Turn::Nobody, context)
    }

    fn answer_auth(
        &mut self,
        reason: ReasonCode,
        data: Option<&[u8]>,
        next: Turn,
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        //= mqtt5:4.12.0-6
        let Some(authentication) = &mut self.authentication else { return Ok(()) };
        authentication.turn = next;
        let output = context.output();
        write_auth(reason, &authentication.method, data, self.max_packet_size, output)
    }
}

/// The operation for the client's AUTH.
pub(crate) fn authenticate(auth: &Auth<'_>, method: &str) -> Result<Operation<'static>, Fault> {
    //= mqtt5:GW-MQTT-18
    //= mqtt5:4.12.0-5
    if auth.properties.authentication_method != Some(method) {
        return Err(Fault::new(
            Reason::PROTOCOL_ERROR,
            "authentication method is not that of CONNECT",
        ));
    }
    let data = auth.properties.authentication_data.map_or(Vec::new(), |data| data.0.to_vec());
    Ok(Operation::Authenticate { method: method.into(), data })
}

/// Writes AUTH.
pub(crate) fn write_auth(
    reason: ReasonCode,
    method: &str,
    data: Option<&[u8]>,
    size_max: u32,
    output: &mut Output,
) -> Result<(), Fault> {
    //= mqtt5:3.15.2-1
    //= mqtt5:3.15.2-2
    //= mqtt5:3.15.2-3
    //= mqtt5:4.12.0-2
    //= mqtt5:4.12.0-5
    let properties = AuthProperties {
        authentication_method: Some(method),
        authentication_data: data.map(Secret),
        ..AuthProperties::default()
    };
    match write_packet(&Packet::Auth(Auth { reason, properties }), Version::V5, size_max, output) {
        true => Ok(()),
        false => Err(Fault::answer_too_large()),
    }
}
