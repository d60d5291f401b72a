use codec_mqttsn::{Advertise, Gwinfo, Packet};
use core_model::{Event, Reason};
use gateway_mqttsn::{MqttSnConfig, MqttSnGateway};

use crate::harness::START;
use crate::links::{Line, Outcome, gateway};

const EVERYBODY: &str = "192.0.2.255:1884";

fn advertising(config: &mut MqttSnConfig) {
    config.gateway_id = 7;
    config.advertise_to = Some(EVERYBODY.parse().unwrap());
}

fn standby() -> MqttSnGateway {
    gateway(|config| {
        advertising(config);
        config.standby_for = Some(3);
    })
}

#[track_caller]
fn assert_advertises(outcome: &Outcome) {
    let (to, frame) = outcome.frame();
    assert_eq!(to, Some(EVERYBODY.parse().unwrap()));
    assert_eq!(frame.packet, Packet::Advertise(Advertise { gw_id: 7, duration_s: 900 }));
    assert_eq!(frame.encapsulation, None);
}

//= mqttsn:GW-SN-04
#[test]
fn who_looks_for_a_gateway_is_told_of_it() {
    let mut line = Line::commons_of(&gateway(|config| config.gateway_id = 7), 1);
    let gwinfo = Packet::Gwinfo(Gwinfo { gw_id: 7, gw_add: &[] });
    assert_eq!(line.send(Packet::Searchgw(0)).packet(), gwinfo);
    assert_eq!(line.relay_from(b"\x01", Packet::Searchgw(3)).relayed(), (&b"\x01"[..], gwinfo));
}

//= mqttsn:GW-SN-03
#[test]
fn one_shard_advertises_as_often_as_it_says() {
    let gateway = gateway(advertising);
    let mut line = Line::commons_of(&gateway, 0);
    assert_eq!(line.link.next_deadline(), Some(START));
    assert_advertises(&line.tick());
    line.wait_s(899);
    assert!(line.tick().is_nothing());
    line.wait_s(1);
    assert_advertises(&line.tick());
    assert_eq!(Line::commons_of(&gateway, 1).link.next_deadline(), None);
}

//= mqttsn:GW-SN-03
#[test]
fn a_gateway_that_takes_no_clients_is_not_advertised() {
    assert_eq!(Line::commons_of(&gateway(|_| {}), 0).link.next_deadline(), None);
    let mut line = Line::commons_of(&gateway(advertising), 0);
    line.event(0, Event::Draining);
    assert_eq!(line.link.next_deadline(), None);
    let mut line = Line::commons_of(&gateway(advertising), 0);
    line.call(|link, context| link.on_close(Reason::SERVER_SHUTTING_DOWN, context));
    assert_eq!(line.link.next_deadline(), None);
}

//= mqttsn:GW-SN-05
#[test]
fn a_standby_advertises_when_three_of_the_active_are_missing() {
    let gateway = standby();
    let mut line = Line::commons_of(&gateway, 0);
    // It hears an ADVERTISE of every 100 s, on another shard.
    let mut other = Line::commons_of(&gateway, 1);
    let heard = |gw_id| Packet::Advertise(Advertise { gw_id, duration_s: 100 });
    assert!(other.send(heard(3)).is_nothing());
    line.wait_s(300);
    assert!(line.tick().is_nothing());
    // Nobody has taken the first look away: it comes when the active one would be taken for gone
    // had it advertised as often as this one.
    assert_advertises(&line.next_deadline());
    assert_eq!(line.now, START.plus_seconds(2_700));
    // It goes on until it hears the active one again.
    line.wait_s(900);
    assert_advertises(&line.tick());
    other.now = line.now;
    other.send(heard(4));
    line.wait_s(900);
    assert_advertises(&line.tick());
    other.now = line.now;
    other.send(heard(3));
    line.wait_s(900);
    assert_advertises(&line.tick());
}

//= mqttsn:GW-SN-05
#[test]
fn a_standby_is_silent_while_the_active_is_heard() {
    let mut line = Line::commons_of(&standby(), 0);
    for _ in 0..10 {
        line.send(Packet::Advertise(Advertise { gw_id: 3, duration_s: 900 }));
        line.wait_s(900);
        assert!(line.tick().frames.is_empty());
    }
    line.wait_s(1_799);
    assert!(line.tick().frames.is_empty());
    line.wait_s(1);
    assert_advertises(&line.tick());
    line.send(Packet::Advertise(Advertise { gw_id: 3, duration_s: 900 }));
    line.wait_s(900);
    assert!(line.tick().frames.is_empty());
}
