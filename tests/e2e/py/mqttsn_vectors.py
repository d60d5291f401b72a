"""The client library itself: `mqttsn_vectors.py` reads and writes the packets that the
specification's text comes to, and refuses what is none."""

from cases import check, check_equal
from mqttsn_codec import Malformed, Packet, decode, encapsulate, encode, unwrap

# Who sends it, the bytes, and what they are.
VECTORS = [
    ("c", "09 04 0c 01 00 3c 73 6e 31", Packet("CONNECT", will=1, clean=1, duration=60, client_id="sn1")),
    ("g", "02 06", Packet("WILLTOPICREQ")),
    ("c", "06 07 30 77 2f 74", Packet("WILLTOPIC", qos=1, retain=1, topic="w/t")),
    ("c", "02 07", Packet("WILLTOPIC")),
    ("g", "02 08", Packet("WILLMSGREQ")),
    ("c", "05 09 62 79 65", Packet("WILLMSG", data=b"bye")),
    ("g", "03 05 00", Packet("CONNACK", code=0)),
    ("g", "03 05 01", Packet("CONNACK", code=1)),
    ("c", "09 0a 00 00 00 01 74 2f 61", Packet("REGISTER", topic=0, msg=1, name="t/a")),
    ("g", "07 0b 00 01 00 01 00", Packet("REGACK", topic=1, msg=1, code=0)),
    ("c", "09 0c 20 00 01 00 02 68 69", Packet("PUBLISH", qos=1, topic=1, msg=2, data=b"hi")),
    ("g", "07 0d 00 01 00 02 00", Packet("PUBACK", topic=1, msg=2, code=0)),
    ("c", "09 0c 11 00 05 00 00 68 69", Packet("PUBLISH", retain=1, topic_type=1, topic=5, data=b"hi")),
    ("c", "09 0c 42 61 62 00 03 68 69", Packet("PUBLISH", qos=2, topic_type=2, topic="ab", msg=3, data=b"hi")),
    ("g", "04 0f 00 03", Packet("PUBREC", msg=3)),
    ("c", "04 10 00 03", Packet("PUBREL", msg=3)),
    ("g", "04 0e 00 03", Packet("PUBCOMP", msg=3)),
    ("c", "09 0c 61 00 05 00 00 68 69", Packet("PUBLISH", qos=3, topic_type=1, topic=5, data=b"hi")),
    ("c", "08 12 20 00 04 74 2f 23", Packet("SUBSCRIBE", qos=1, msg=4, topic="t/#")),
    ("g", "08 13 20 00 00 00 04 00", Packet("SUBACK", qos=1, topic=0, msg=4, code=0)),
    ("c", "07 12 01 00 05 00 05", Packet("SUBSCRIBE", topic_type=1, msg=5, topic=5)),
    ("c", "08 14 00 00 06 74 2f 23", Packet("UNSUBSCRIBE", msg=6, topic="t/#")),
    ("g", "04 15 00 06", Packet("UNSUBACK", msg=6)),
    ("c", "02 16", Packet("PINGREQ")),
    ("c", "05 16 73 6e 31", Packet("PINGREQ", client_id="sn1")),
    ("g", "02 17", Packet("PINGRESP")),
    ("c", "02 18", Packet("DISCONNECT")),
    ("c", "04 18 01 2c", Packet("DISCONNECT", duration=300)),
    ("c", "06 1a 20 77 2f 75", Packet("WILLTOPICUPD", qos=1, topic="w/u")),
    ("c", "02 1a", Packet("WILLTOPICUPD")),
    ("g", "03 1b 00", Packet("WILLTOPICRESP", code=0)),
    ("c", "05 1c 67 6f 6e", Packet("WILLMSGUPD", data=b"gon")),
    ("g", "03 1d 00", Packet("WILLMSGRESP", code=0)),
    ("g", "05 00 01 03 84", Packet("ADVERTISE", gateway=1, duration=900)),
    ("c", "03 01 01", Packet("SEARCHGW", radius=1)),
    ("g", "03 02 01", Packet("GWINFO", gateway=1)),
]

# What the gateway must never send.
REFUSED = {
    "length of another size": "03 17",
    "length 0": "00 17",
    "long form without need": "01 00 04 17",
    "reserved type": "02 03",
    "client's packet": "09 04 0c 01 00 3c 73 6e 31",
    "reserved return code": "03 05 04",
    "octet too much": "04 05 00 00",
    "octet too few": "06 0b 00 01 00 01",
    "sleep duration": "04 18 01 2c",
    "ping with a client id": "05 16 73 6e 31",
    "address of a gateway": "04 02 01 07",
    "topic id 0": "09 0c 20 00 00 00 02 68 69",
    "topic id 65535": "09 0c 20 ff ff 00 02 68 69",
    "topic type 3": "09 0c 23 00 01 00 02 68 69",
    "QoS -1": "09 0c 61 00 05 00 00 68 69",
    "QoS 1 without message id": "09 0c 20 00 01 00 00 68 69",
    "QoS 0 with message id": "09 0c 00 00 01 00 02 68 69",
    "QoS 0 as a repetition": "09 0c 80 00 01 00 00 68 69",
    "clean flag in a PUBLISH": "09 0c 24 00 01 00 02 68 69",
    "topic name with a wildcard": "09 0a 00 01 00 01 74 2f 23",
    "topic name that is no text": "09 0a 00 01 00 01 74 2f ff",
}


def main():
    for sender, text, packet in VECTORS:
        octets = bytes.fromhex(text)
        check_equal(decode(octets, sender), packet, text)
        check_equal(encode(packet), octets, repr(packet))
    for why, text in REFUSED.items():
        try:
            check(False, f"{why}: {decode(bytes.fromhex(text), 'g')}")
        except Malformed:
            pass
    large = Packet("PUBLISH", qos=1, topic=1, msg=2, data=bytes(300))
    octets = encode(large)
    check_equal(octets[:9].hex(), "0101350c2000010002", "head of the long form")
    check_equal(decode(octets, "g"), large, "long form")
    check_equal(encode(Packet("PINGREQ"), long_form=True).hex(), "01000416", "long form of a ping")
    check_equal(encapsulate(b"\n\x0b", b"\x02\x16").hex(), "05fe000a0b0216", "encapsulation")
    check_equal(unwrap(bytes.fromhex("05fe000a0b0217")), (b"\n\x0b", b"\x02\x17"), "node and packet")


main()
