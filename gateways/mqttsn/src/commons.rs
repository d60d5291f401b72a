use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codec_mqttsn::{Advertise, Frame, Gwinfo, MqttSnCodec, Packet, encode};
use codec_wire::DecodeError;
use core_model::{Event, Reason, ShardId, Timestamp};
use gateway_host::{Context, LinkFacts, Machine};

use crate::{MqttSnConfig, Shared, minus_one::MinusOne, strangers};

/// ADVERTISE of the active gateway that may be missing before another one takes its place.
const N_ADV: u32 = 3;

/// The shard that advertises for all.
const ADVERTISING_SHARD: ShardId = ShardId(0);

/// The machine for datagrams of no client: it tells who looks for a gateway that there is one, tells
/// strangers that they are none of its clients, takes what is published without a connection, and
/// advertises the gateway.
#[derive(Debug)]
pub struct CommonsMachine {
    shared: Arc<Shared>,
    /// When ADVERTISE is due, or whether it is may be asked; `None` if this shard does not
    /// advertise, or the node does not take clients any more.
    advertise_at: Option<Timestamp>,
    minus_one: Option<MinusOne>,
}

impl CommonsMachine {
    /// The machine of one shard's end of a listener.
    pub(crate) fn new(shared: Arc<Shared>, facts: &LinkFacts, now: Timestamp) -> Self {
        let config = &shared.config;
        let advertises = config.advertise_to.is_some() && facts.shard == ADVERTISING_SHARD;
        let advertise_at = advertises.then(|| match config.standby_for {
            Some(_) => shared.active_gateway.begin(config.advertise_interval_s, now),
            None => now,
        });
        let minus_one = MinusOne::new(config, facts, now);
        CommonsMachine { shared, advertise_at, minus_one }
    }

    //= mqttsn:GW-SN-03
    //= mqttsn:GW-SN-05
    fn advertise(&mut self, context: &mut Context<'_, '_>) {
        let config = &self.shared.config;
        let (Some(due), Some(to)) = (self.advertise_at, config.advertise_to) else { return };
        if due > context.now {
            return;
        }
        if let Some(silent_at) = self.shared.active_gateway.alive_until(config, context.now) {
            self.advertise_at = Some(silent_at);
            return;
        }
        let advertise =
            Advertise { gw_id: config.gateway_id, duration_s: config.advertise_interval_s };
        let frame = Frame::plain(Packet::Advertise(advertise));
        context.output().frame_to(to, |out| encode(&frame, out)).ok();
        self.advertise_at = Some(context.now.plus_seconds(config.advertise_interval_s.into()));
    }
}

impl Machine for CommonsMachine {
    type Codec = MqttSnCodec;

    fn on_frame<'a>(&mut self, frame: Frame<'a>, context: &mut Context<'a, '_>) {
        match &frame.packet {
            //= mqttsn:GW-SN-04
            Packet::Searchgw(_) => {
                let gwinfo = Gwinfo { gw_id: self.shared.config.gateway_id, gw_add: &[] };
                strangers::answer(&frame, Packet::Gwinfo(gwinfo), context.output());
            }
            //= mqttsn:GW-SN-05
            Packet::Advertise(advertise) => {
                self.shared.active_gateway.on_advertise(
                    advertise,
                    &self.shared.config,
                    context.now,
                );
            }
            //= mqttsn:GW-SN-17
            Packet::Publish(publish) if publish.qos == codec_mqttsn::QoS::MinusOne => {
                if let Some(minus_one) = &mut self.minus_one {
                    minus_one.on_publish(publish, &self.shared.config, context);
                }
            }
            //= mqttsn:GW-SN-25
            packet if strangers::deserves_disconnect(packet) => {
                strangers::answer(&frame, Packet::Disconnect(None), context.output());
            }
            _ => {}
        }
    }

    fn on_decode_error(&mut self, _error: &DecodeError, _context: &mut Context<'_, '_>) {}

    fn on_event(&mut self, _slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        if matches!(event, Event::Draining) {
            //= mqttsn:GW-SN-03
            self.advertise_at = None;
        }
        if let Some(minus_one) = &mut self.minus_one {
            minus_one.on_event(&event, context);
        }
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        self.advertise(context);
        if let Some(minus_one) = &mut self.minus_one {
            minus_one.on_deadline(&self.shared.config, context);
        }
    }

    fn on_close(&mut self, _reason: Reason, context: &mut Context<'static, '_>) {
        self.advertise_at = None;
        if let Some(mut minus_one) = self.minus_one.take() {
            minus_one.on_close(context);
        }
    }

    fn on_backpressure(&mut self, _blocked: bool, _context: &mut Context<'static, '_>) {}

    fn next_deadline(&self) -> Option<Timestamp> {
        let connect_at = self.minus_one.as_ref().and_then(MinusOne::next_deadline);
        self.advertise_at.into_iter().chain(connect_at).min()
    }

    fn is_ready(&self) -> bool {
        true
    }
}

/// What is known of the gateway that this one stands by for. Its ADVERTISE may come to any shard.
#[derive(Debug, Default)]
pub(crate) struct ActiveGateway {
    /// Until when it counts as alive, in milliseconds since the epoch.
    alive_until_ms: AtomicU64,
}

impl ActiveGateway {
    /// Takes it for alive at first, for as long as if it advertised as often as we do; until when.
    fn begin(&self, interval_s: u16, now: Timestamp) -> Timestamp {
        self.hear(interval_s, now)
    }

    /// Notes an ADVERTISE of it.
    fn on_advertise(&self, advertise: &Advertise, config: &MqttSnConfig, now: Timestamp) {
        if config.standby_for == Some(advertise.gw_id) {
            self.hear(advertise.duration_s, now);
        }
    }

    fn hear(&self, interval_s: u16, now: Timestamp) -> Timestamp {
        let until = now.plus_seconds(u32::from(interval_s) * N_ADV);
        self.alive_until_ms.store(until.as_millis(), Ordering::Relaxed);
        until
    }

    /// Until when it counts as alive; `None` if it does not, or we stand by for none.
    fn alive_until(&self, config: &MqttSnConfig, now: Timestamp) -> Option<Timestamp> {
        config.standby_for?;
        let until = Timestamp::from_millis(self.alive_until_ms.load(Ordering::Relaxed));
        (until > now).then_some(until)
    }
}
