//! Our own vectors, one file of `vectors/` per subject.

use codec_mqtt::{Codec, Version};
use codec_wire::hex;
use test_kit::codec::{Subject, decode_whole, refused_requirements, vectors};

use crate::{common::codec, suite::Mqtt};

fn check(name: &str) {
    vectors::<Mqtt>(name);
}

//= mqtt5:1.5.5-1
//= mqtt5:2.1.3-1
//= mqtt5:3.1.0-1
//= mqtt5:3.6.1-1
//= mqtt5:3.8.1-1
//= mqtt5:3.10.1-1
//= mqtt5:3.14.1-1
//= mqtt5:3.15.1-1
//= mqtt5:GW-MQTT-20
//= mqtt311:2.2.2-1
//= mqtt311:2.2.2-2
//= mqtt311:3.1.0-1
//= mqtt311:3.6.1-1
//= mqtt311:3.8.1-1
//= mqtt311:3.10.1-1
//= mqtt311:3.14.1-1
#[test]
fn fixed_header() {
    check("header");
}

//= mqtt5:1.5.4-1
//= mqtt5:1.5.4-2
//= mqtt5:1.5.4-3
//= mqtt5:1.5.7-1
//= mqtt5:3.1.3-4
//= mqtt5:3.1.3-11
//= mqtt5:3.1.3-12
//= mqtt5:3.3.2-1
//= mqtt5:3.3.2-13
//= mqtt5:3.3.2-19
//= mqtt5:3.8.3-1
//= mqtt5:3.10.3-1
//= mqtt5:4.7.3-2
//= mqtt5:GW-MQTT-21
//= mqtt311:1.5.3-1
//= mqtt311:1.5.3-2
//= mqtt311:1.5.3-3
//= mqtt311:3.1.3-4
//= mqtt311:3.1.3-10
//= mqtt311:3.1.3-11
//= mqtt311:3.3.2-1
//= mqtt311:3.8.3-1
//= mqtt311:3.10.3-1
//= mqtt311:4.7.3-2
#[test]
fn strings() {
    check("strings");
}

//= mqtt5:2.2.2-1
//= mqtt5:3.1.2-1
//= mqtt5:3.1.2-2
//= mqtt5:3.1.2-3
//= mqtt5:3.1.2-9
//= mqtt5:3.1.2-11
//= mqtt5:3.1.2-12
//= mqtt5:3.1.2-13
//= mqtt5:3.1.2-16
//= mqtt5:3.1.2-17
//= mqtt5:3.1.2-18
//= mqtt5:3.1.2-19
//= mqtt5:3.1.3-1
//= mqtt5:3.1.3-3
//= mqtt5:4.7.0-1
//= mqtt5:4.7.3-1
//= mqtt5:GW-MQTT-20
//= mqtt311:3.1.2-1
//= mqtt311:3.1.2-2
//= mqtt311:3.1.2-3
//= mqtt311:3.1.2-9
//= mqtt311:3.1.2-11
//= mqtt311:3.1.2-13
//= mqtt311:3.1.2-14
//= mqtt311:3.1.2-15
//= mqtt311:3.1.2-18
//= mqtt311:3.1.2-19
//= mqtt311:3.1.2-20
//= mqtt311:3.1.2-21
//= mqtt311:3.1.2-22
//= mqtt311:3.1.3-1
//= mqtt311:3.1.3-3
//= mqtt311:4.7.1-1
//= mqtt311:4.7.3-1
#[test]
fn connect() {
    check("connect");
}

//= mqtt5:3.2.2-1
//= mqtt5:3.2.2-6
//= mqtt5:3.2.2-8
//= mqtt5:3.2.2-9
//= mqtt5:GW-MQTT-20
//= mqtt311:3.2.2-4
//= mqtt311:3.2.2-6
#[test]
fn connack() {
    check("connack");
}

//= mqtt5:1.5.5-1
//= mqtt5:2.2.1-2
//= mqtt5:2.2.2-1
//= mqtt5:3.3.1-2
//= mqtt5:3.3.1-4
//= mqtt5:3.3.2-1
//= mqtt5:3.3.2-2
//= mqtt5:3.3.2-8
//= mqtt5:3.3.2-14
//= mqtt5:3.3.2-18
//= mqtt5:4.7.0-1
//= mqtt5:4.7.3-1
//= mqtt5:GW-MQTT-07
//= mqtt5:GW-MQTT-09
//= mqtt5:GW-MQTT-10
//= mqtt5:GW-MQTT-20
//= mqtt311:2.3.1-1
//= mqtt311:2.3.1-5
//= mqtt311:3.3.1-2
//= mqtt311:3.3.1-4
//= mqtt311:3.3.2-1
//= mqtt311:3.3.2-2
//= mqtt311:4.7.1-1
//= mqtt311:4.7.3-1
#[test]
fn publish() {
    check("publish");
}

//= mqtt5:3.4.2-1
//= mqtt5:3.5.2-1
//= mqtt5:3.6.2-1
//= mqtt5:3.7.2-1
//= mqtt5:GW-MQTT-10
//= mqtt5:GW-MQTT-20
//= mqtt311:2.3.1-1
#[test]
fn acks() {
    check("acks");
}

//= mqtt5:3.8.3-2
//= mqtt5:3.8.3-5
//= mqtt5:3.9.3-2
//= mqtt5:3.10.3-2
//= mqtt5:3.11.3-2
//= mqtt5:4.7.3-1
//= mqtt5:GW-MQTT-10
//= mqtt5:GW-MQTT-16
//= mqtt5:GW-MQTT-20
//= mqtt311:2.3.1-1
//= mqtt311:3.8.3-3
//= mqtt311:3.8.3-4
//= mqtt311:3.9.3-2
//= mqtt311:3.10.3-2
//= mqtt311:4.7.3-1
#[test]
fn subscribe() {
    check("subscribe");
}

//= mqtt5:3.14.2-1
//= mqtt5:3.15.2-1
//= mqtt5:GW-MQTT-18
//= mqtt5:GW-MQTT-20
#[test]
fn disconnect_and_auth() {
    check("disconnect_auth");
}

#[test]
fn every_refused_requirement_is_cited_by_its_test() {
    for (name, _) in Mqtt::VECTORS {
        let call = format!("check(\"{}\");", name);
        let (before, _) = include_str!("vectors.rs").split_once(&call).unwrap();
        let citations = before.rsplit("\n}\n").next().unwrap();
        for (what, requirement) in refused_requirements::<Mqtt>(name) {
            // These ask for the link to be closed, which is not the codec's to do.
            if ["mqtt5:4.13.1-1", "mqtt311:4.8.0-1"].contains(&&*requirement) {
                continue;
            }
            let citation = format!("//= {requirement}\n");
            assert!(citations.contains(&citation), "{name}: {what}: {requirement} is not cited");
        }
    }
}

//= mqtt5:3.1.2-2
//= mqtt311:3.1.2-2
#[test]
fn a_refused_connect_leaves_the_version_in_which_to_answer() {
    for (bytes, version) in [
        // Level 6, level 3 of MQTT, level 4 of MQIsdp.
        ("10 0d 00 04 4d 51 54 54 06 02 00 1e 00 00 00", Some(Version::V5)),
        ("10 0c 00 04 4d 51 54 54 03 02 00 1e 00 00", Some(Version::V311)),
        ("10 0e 00 06 4d 51 49 73 64 70 04 02 00 1e 00 00", Some(Version::V311)),
        // Reserved connect flag in 5.0, in 3.1.1 and in 3.1.
        ("10 0d 00 04 4d 51 54 54 05 03 00 1e 00 00 00", Some(Version::V5)),
        ("10 0c 00 04 4d 51 54 54 04 03 00 1e 00 00", Some(Version::V311)),
        ("10 0e 00 06 4d 51 49 73 64 70 03 03 00 1e 00 00", Some(Version::V31)),
        // Another protocol's name.
        ("10 0c 00 04 6d 71 74 74 04 02 00 1e 00 00", None),
    ] {
        let mut codec = codec("server");
        codec.decode(&hex::decode(bytes).unwrap()).unwrap_err();
        assert_eq!(codec.version(), version, "{bytes}");
    }
}

#[test]
fn a_second_connect_does_not_change_the_version() {
    let mut codec = codec("server");
    let connect = hex::decode("10 0c 00 04 4d 51 54 54 04 02 00 00 00 00").unwrap();
    decode_whole(&mut codec, &connect).unwrap();
    let other = hex::decode("10 0d 00 04 4d 51 54 54 05 02 00 00 00 00 00").unwrap();
    decode_whole(&mut codec, &other).unwrap();
    assert_eq!(codec.version(), Some(Version::V311));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    for (_, version, bytes) in [
        ("password", "server", "10 10 00 04 4d 51 54 54 05 42 00 1e 00 00 00 00 01 70"),
        (
            "data",
            "5.0",
            "f0 18 18 16 15 00 0d 53 43 52 41 4d 2d 53 48 41 2d 32 35 36 16 00 03 01 02 03",
        ),
    ] {
        let bytes = hex::decode(bytes).unwrap();
        let packet = format!("{:?}", decode_whole(&mut codec(version), &bytes).unwrap());
        assert!(packet.contains("Secret("), "{packet}");
        assert!(!packet.contains("112") && !packet.contains("[1, 2, 3]"), "{packet}");
    }
}
