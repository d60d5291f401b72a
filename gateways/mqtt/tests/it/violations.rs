//! What a client may not do.

use codec_mqtt::{Packet, Version};
use core_model::Reason;

use crate::harness::{Peer, connect};

/// Packets of 5.0 and of 3.1.1, and the reason for which they end a link.
fn assert_ends(v5: &str, v311: &str, reason: Reason) {
    Peer::connected(Version::V5).send_hex(v5).assert_fails(reason);
    Peer::connected(Version::V311).send_hex(v311).assert_fails(reason);
}

//= mqtt5:3.1.0-2
//= mqtt311:3.1.0-2
#[test]
fn connecting_twice_ends_the_link() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let again = Packet::Connect(Box::new(connect(version)));
        peer.send(&again).assert_fails(Reason::PROTOCOL_ERROR);
    }
}

//= mqtt5:GW-MQTT-18
//= mqtt311:4.8.0-1
#[test]
fn packets_of_a_server_end_the_link() {
    for (v5, v311) in [
        ("20 03 00 00 00", "20 02 00 00"),
        ("90 04 00 01 00 00", "90 03 00 01 00"),
        ("b0 04 00 01 00 00", "b0 02 00 01"),
        ("d0 00", "d0 00"),
    ] {
        assert_ends(v5, v311, Reason::PROTOCOL_ERROR);
    }
}

//= mqtt5:4.13.1-1
//= mqtt5:4.13.2-1
//= mqtt5:GW-MQTT-20
//= mqtt5:3.14.1-1
//= mqtt5:3.6.1-1
//= mqtt5:3.8.1-1
//= mqtt5:3.10.1-1
//= mqtt5:3.15.1-1
//= mqtt5:2.1.3-1
//= mqtt5:3.3.1-4
//= mqtt5:1.5.4-1
//= mqtt5:1.5.4-2
//= mqtt5:3.8.3-5
//= mqtt311:4.8.0-1
//= mqtt311:1.5.3-1
//= mqtt311:1.5.3-2
//= mqtt311:2.2.2-2
//= mqtt311:3.3.1-4
//= mqtt311:3.6.1-1
//= mqtt311:3.8.1-1
//= mqtt311:3.8.3-4
//= mqtt311:3.10.1-1
//= mqtt311:3.14.1-1
#[test]
fn malformed_packets_end_the_link() {
    for (v5, v311) in [
        // A byte left over, a field past the end.
        ("c0 01 00", "c0 01 00"),
        ("30 05 00 04 61 2f 62", "30 05 00 04 61 2f 62"),
        // Reserved flags.
        ("c1 00", "c1 00"),
        ("60 02 00 01", "60 02 00 01"),
        ("80 08 00 07 00 00 02 61 2f 00", "80 07 00 07 00 02 61 2f 00"),
        ("a0 07 00 07 00 00 02 61 2f", "a0 06 00 07 00 02 61 2f"),
        ("e1 00", "e1 00"),
        // QoS 3.
        ("36 08 00 03 61 2f 62 00 01 00", "36 07 00 03 61 2f 62 00 01"),
        // Overlong UTF-8, U+0000.
        ("30 05 00 02 c0 af 00", "30 04 00 02 c0 af"),
        ("30 05 00 02 61 00 00", "30 04 00 02 61 00"),
        // Reserved subscription options.
        ("82 07 00 07 00 00 01 61 c0", "82 06 00 07 00 01 61 04"),
        // Remaining Length of five bytes.
        ("30 ff ff ff ff 01", "30 ff ff ff ff 01"),
        ("f1 00", "00 00"),
    ] {
        assert_ends(v5, v311, Reason::MALFORMED);
    }
}

//= mqtt5:GW-MQTT-10
//= mqtt5:3.8.3-2
//= mqtt5:3.10.3-2
//= mqtt311:2.3.1-1
//= mqtt311:3.8.3-3
//= mqtt311:3.10.3-2
#[test]
fn what_the_protocol_forbids_ends_the_link() {
    for (v5, v311) in [
        // Packet identifier 0.
        ("32 08 00 03 61 2f 62 00 00 00", "32 07 00 03 61 2f 62 00 00"),
        ("82 07 00 00 00 00 01 61 00", "82 06 00 00 00 01 61 00"),
        // No filter.
        ("82 03 00 07 00", "82 02 00 07"),
        ("a2 03 00 07 00", "a2 02 00 07"),
    ] {
        assert_ends(v5, v311, Reason::PROTOCOL_ERROR);
    }
}

//= mqtt5:3.3.2-2
//= mqtt5:4.7.0-1
//= mqtt311:3.3.2-2
//= mqtt311:4.7.1-1
#[test]
fn a_wildcard_in_a_topic_name_ends_the_link() {
    assert_ends("30 06 00 03 61 2f 23 00", "30 05 00 03 61 2f 2b", Reason::TOPIC_NAME_INVALID);
}

//= mqtt5:3.3.2-14
#[test]
fn a_wildcard_in_a_response_topic_ends_the_link() {
    let effects = Peer::connected(Version::V5).send_hex("30 0a 00 01 61 06 08 00 03 61 2f 23");
    effects.assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:3.4.2-1
//= mqtt5:3.14.2-1
//= mqtt5:3.15.2-1
#[test]
fn a_reason_that_the_packet_may_not_carry_ends_the_link() {
    for packet in ["40 03 00 01 92", "e0 01 18", "62 03 00 01 80", "f0 02 01 00"] {
        Peer::connected(Version::V5).send_hex(packet).assert_fails(Reason::PROTOCOL_ERROR);
    }
}

#[test]
fn what_was_right_before_the_violation_is_done() {
    let mut peer = Peer::connected(Version::V5);
    let effects = peer.send_hex("c0 00 30 06 00 03 61 2f 62 00 c1 00 c0 00");
    let packets = effects.packets();
    assert_eq!(packets.len(), 2);
    assert_eq!(packets[0], Packet::Pingresp);
    assert!(matches!(packets[1], Packet::Disconnect(_)));
    assert_eq!(effects.operations.len(), 2, "the message and the end");
    assert_eq!(effects.unread, 4);
}
