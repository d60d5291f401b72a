use std::sync::Arc;

use codec_mqttsn::{Connect, Packet};
use core_model::{Event, Reason, Timestamp};
use gateway_host::LinkFacts;

use crate::{Shared, slot::Door};

/// One MQTT-SN client: its state between packets and core operations.
#[derive(Debug)]
pub(crate) struct Client {
    client_id: Box<str>,
    is_gone: bool,
}

impl Client {
    /// A client that has sent a CONNECT. It is answered, or asked for its Will.
    pub(crate) fn connect(
        packet: &Connect<'_>,
        _shared: &Arc<Shared>,
        _facts: &LinkFacts,
        _door: &mut Door<'_, '_, '_>,
    ) -> Client {
        Client { client_id: packet.client_id.into(), is_gone: false }
    }

    /// A client that has sent a PINGREQ with its client identifier behind a forwarder that knows no
    /// client of that node: it went to sleep elsewhere. Its session is resumed as by a CONNECT
    /// without CleanSession; where there is none it gets a DISCONNECT, so that it connects.
    pub(crate) fn wake(
        client_id: &str,
        _shared: &Arc<Shared>,
        _facts: &LinkFacts,
        _door: &mut Door<'_, '_, '_>,
    ) -> Client {
        Client { client_id: client_id.into(), is_gone: false }
    }

    /// A packet of the client came, another CONNECT of the same client identifier too.
    pub(crate) fn on_packet<'a>(
        &mut self,
        _packet: &Packet<'a>,
        _shared: &Arc<Shared>,
        _facts: &LinkFacts,
        _door: &mut Door<'_, 'a, '_>,
    ) {
    }

    /// The core tells the client something.
    pub(crate) fn on_event(
        &mut self,
        _event: Event<'_>,
        _shared: &Arc<Shared>,
        _door: &mut Door<'_, 'static, '_>,
    ) {
    }

    /// The time that [`Self::next_deadline`] named has come.
    pub(crate) fn on_deadline(&mut self, _shared: &Arc<Shared>, _door: &mut Door<'_, 'static, '_>) {
    }

    /// The link is full (`true`), or takes frames again.
    pub(crate) fn on_backpressure(
        &mut self,
        _blocked: bool,
        _shared: &Arc<Shared>,
        _door: &mut Door<'_, 'static, '_>,
    ) {
    }

    /// The link is gone, or the client's node has another client: last operations. Nothing can be
    /// sent.
    pub(crate) fn on_close(&mut self, _reason: Reason, _door: &mut Door<'_, '_, '_>) {
        self.is_gone = true;
    }

    /// When [`Self::on_deadline`] is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Until when the client may be silent, as agreed with it.
    pub(crate) fn quiet_until(&self) -> Option<Timestamp> {
        None
    }

    /// Its client identifier.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether it has ended and can be forgotten. A link of its own was told so by
    /// [`Door::leave`].
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }
}
