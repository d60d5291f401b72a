"""Peers that mean harm, and honest ones beside them.

`max_topics` is 100, `rebind` same-ip, and a client may send 1000 packets a second.
"""

import random

from cases import LIMIT, case, check, check_equal
from mqttsn_cases import main
from mqttsn_client import Client
from mqttsn_codec import ACCEPTED, Packet, encapsulate, encode


class Honest:
    """A client that must not notice anything, here and behind a forwarder."""

    def __init__(self, env):
        self.env = env
        self.clients = [env.connected("honest", clean=False), Client(env.gateway, "honest-node", node=b"\x01").connect()]
        self.count = 0
        for each in self.clients:
            each.subscribe(env.topic("honest"), qos=2)

    def check(self):
        self.count += 1
        self.env.publish(self.env.topic("honest"), f"{self.count}", qos=2)
        for each in self.clients:
            check_equal(each.message().data, b"%d" % self.count, "message of an honest client")
            each.ping()


def every_packet():
    """One of each that a client may send."""
    return [
        Packet("SEARCHGW", radius=1),
        Packet("GWINFO", gateway=3, address=b"\x7f\0\0\1"),
        Packet("CONNECT", client_id="every", duration=60, clean=1),
        Packet("WILLTOPIC", topic="a/b", qos=1),
        Packet("WILLMSG", data=b"x"),
        Packet("REGISTER", msg=1, name="a/b"),
        Packet("REGACK", topic=1, msg=1),
        Packet("PUBLISH", qos=1, topic=1, msg=1, data=b"x"),
        Packet("PUBACK", topic=1, msg=1),
        Packet("PUBREC", msg=1),
        Packet("PUBREL", msg=1),
        Packet("PUBCOMP", msg=1),
        Packet("SUBSCRIBE", qos=1, msg=1, topic="a/b"),
        Packet("UNSUBSCRIBE", msg=1, topic="a/b"),
        Packet("PINGREQ"),
        Packet("PINGREQ", client_id="every"),
        Packet("PINGRESP"),
        Packet("DISCONNECT", duration=10),
        Packet("WILLTOPICUPD", topic="a/b"),
        Packet("WILLMSGUPD", data=b"x"),
    ]


def wrong_lengths(octets):
    """Datagrams that are cut, that go on, and whose length lies; none is a packet."""
    yield octets[:-1]
    yield octets + b"\0"
    for length in (0, 1, octets[0] - 1, octets[0] + 1, 255):
        if length != octets[0]:
            yield bytes([length]) + octets[1:]
    yield b"\x01\0\x02" + octets[1:]
    yield b"\x01\xff\xff" + octets[1:]
    yield b"\x01\0\0" + octets[1:]


@case
def wrong_lengths_are_dropped(env):
    """From a stranger and from a client: silence, and the client lives."""
    honest = Honest(env)
    stranger, client = env.client("stranger"), env.connected("a")
    node = Client(env.gateway, "a-node", node=b"\x02").connect()
    for packet in every_packet():
        for octets in wrong_lengths(encode(packet)):
            for each in (stranger, client):
                each.path.send(octets)
            if octets:
                node.path.send(encapsulate(node.node, octets))
        client.ping()
    node.ping()
    stranger.expect_silence()
    client.disconnect()
    honest.check()


@case
def half_an_encapsulation_is_dropped(env):
    honest = Honest(env)
    stranger, node = env.client("stranger"), Client(env.gateway, "a-node", node=b"\x02").connect()
    ping = b"\x02\x16"
    for octets in (
        b"\x03\xfe\0",
        b"\x04\xfe\0\x02",
        b"\x03\xfe\0" + ping,
        b"\x02\xfe" + ping,
        b"\x01\xfe" + ping,
        b"\x00\xfe\0\x02" + ping,
        b"\xff\xfe\0\x02" + ping,
        b"\x04\xfe\0\x02" + ping + b"\0",
        b"\x04\xfe\0\x02\x02",
        b"\x01\0\x06\xfe\0\x02" + ping,
    ):
        stranger.path.send(octets)
        node.path.send(octets)
    received = stranger.path.receive(0.2)
    # An empty node id may be served; nothing else of these.
    check(received is None or received[:3] == b"\x03\xfe\0", f"answer {received}")
    while (received := node.path.receive(0.1)) is not None:
        check_equal(received[:3], b"\x03\xfe\0", "answer")
    node.ping()
    honest.check()


@case
def nested_encapsulations_are_dropped(env):
    """A forwarder behind a forwarder is none, however deep."""
    honest = Honest(env)
    stranger, node = env.client("stranger"), Client(env.gateway, "a-node", node=b"\x02").connect()
    connect = encode(Packet("CONNECT", client_id="nested", duration=60, clean=1))
    for depth in (2, 3, 10, 100):
        octets = connect
        for level in range(depth):
            octets = encapsulate(bytes([2 + level]), octets)
        stranger.path.send(octets)
        node.path.send(octets)
    stranger.expect_silence()
    node.ping()
    # Control bits that are reserved, and a radius from a client, make it no other node.
    octets = encapsulate(node.node, b"\x02\x16", radius=3)
    node.path.send(octets)
    node.expect("PINGRESP")
    honest.check()


@case
def reserved_types_and_values(env):
    """Dropped or refused with a code that there is; never an answer that is none."""
    honest = Honest(env)
    client = env.connected("a")
    for number in [0x03, 0x11, 0x19, 0x1E, 0x7F, 0xFD, 0xFF]:
        client.send_bytes(bytes([2, number]))
        client.send_bytes(bytes([5, number]) + b"abc")
    # What only a gateway sends.
    for text in ("030500", "0206", "0208", "0813200000000100", "04150001", "031b00", "031d00"):
        client.send_bytes(bytes.fromhex(text))
    client.ping()
    # Topic type 3.
    for text, answer in [
        ("090c230001000c6869", "PUBACK"),
        ("0812230004742f23", "SUBACK"),
        ("0814030006742f23", "UNSUBACK"),
    ]:
        client.send_bytes(bytes.fromhex(text))
        client.send("PINGREQ")
        packet = client.receive()
        if packet.kind == answer:
            check(packet.fields.get("code") != ACCEPTED, f"answer to topic type 3: {packet}")
            packet = client.receive()
        check_equal(packet.kind, "PINGRESP", f"answer after {text}")
    honest.check()


@case
def names_that_are_no_text(env):
    """Not UTF-8, NUL, empty: no id, no subscription."""
    honest = Honest(env)
    client = env.connected("a")
    for name in (b"\xff\xfe", b"a/\xc3", b"a\0b", b"\xed\xa0\x80", b""):
        for head, answer in ((b"\x0a\0\0\0\x05", "REGACK"), (b"\x12\x20\0\x05", "SUBACK")):
            client.send_bytes(bytes([1 + len(head) + len(name)]) + head + name)
            client.send("PINGREQ")
            packet = client.receive()
            if packet.kind == answer:
                check(packet.code != ACCEPTED, f"answer to {name}: {packet}")
                packet = client.receive()
            check_equal(packet.kind, "PINGRESP", f"answer after {name}")
    for name in ("a/#/b", "#a", "a+/b", "x/+y"):
        msg = client.next_msg()
        client.send("SUBSCRIBE", qos=1, msg=msg, topic=name)
        packet = client.receive()
        check_equal((packet.kind, packet.msg, packet.code != 0), ("SUBACK", msg, True), f"answer to {name}")
    honest.check()


@case
def stolen_client_ids(env):
    """From another host nobody takes a client over, wakes it or ends it."""
    honest = Honest(env)
    victim = honest.clients[0]
    thief = Client(env.gateway, victim.client_id, source="127.0.0.9")
    for _ in range(50):
        thief.start_connect(clean=True)
        packet = thief.receive()
        check_equal((packet.kind, packet.code != 0), ("CONNACK", True), "answer to the thief")
        thief.send("PINGREQ", client_id=victim.client_id)
        thief.expect("DISCONNECT")
        thief.send("DISCONNECT")
    thief.expect_silence()
    honest.check()


@case
def forged_sources(env):
    """Packets of a client's conversation from other addresses: none of them counts."""
    honest = Honest(env)
    victim, forger = env.connected("victim"), env.client("forger")
    victim.subscribe(env.topic("t"), qos=2)
    env.publish(env.topic("t"), "x", qos=2)
    publish = victim.expect("PUBLISH", qos=2)
    for kind in ("PUBREC", "PUBCOMP", "PUBREL", "DISCONNECT"):
        forger.send(kind, **({} if kind == "DISCONNECT" else {"msg": publish.msg}))
        if kind != "DISCONNECT":
            forger.expect("DISCONNECT")
    victim.send("PUBREC", msg=publish.msg)
    victim.expect("PUBREL", msg=publish.msg)
    victim.send("PUBCOMP", msg=publish.msg)
    victim.ping()
    honest.check()


@case
def register_flood(env):
    """Thousands of names: as many ids as are allowed, then refusals; others are served."""
    honest = Honest(env)
    client = env.connected("a")
    granted, answers = set(), 0
    for n in range(3000):
        client.send("REGISTER", msg=1 + n, name=f"flood/{n}/" + "x" * 200)
        if n % 20 == 19:
            # So that no answer is lost in a full socket.
            while (packet := client.receive(0.01)) is not None:
                answers += 1
                check_equal(packet.kind, "REGACK", "answer")
                if packet.code == ACCEPTED:
                    granted.add(packet.topic)
        if n % 500 == 0:
            honest.check()
        if len(granted) >= 100 and n > 1500:
            break
    check(len(granted) <= 100, f"{len(granted)} ids")
    honest.check()


@case
def subscribe_flood(env):
    honest = Honest(env)
    client = env.connected("a")
    for n in range(1000):
        client.send("SUBSCRIBE", qos=1, msg=1 + n, topic=f"flood/{n}/+/" + "x" * 100)
        if n % 20 == 19:
            while (packet := client.receive(0.01)) is not None:
                check_equal(packet.kind, "SUBACK", "answer")
        if n % 250 == 0:
            honest.check()
    honest.check()


@case
def connect_flood(env):
    """From many addresses, with and without a will, and never again heard of."""
    honest = Honest(env)
    for n in range(500):
        client = env.client(f"{n}", source=f"127.0.1.{1 + n % 200}")
        client.start_connect(will=() if n % 2 else None)
        client.path.close()
        if n % 100 == 0:
            honest.check()
    honest.check()


@case
def noise(env):
    """Random datagrams, and packets with a few bits turned, from strangers and a client's own
    address: it goes on or is told to connect."""
    honest = Honest(env)
    dice = random.Random(1884)
    stranger, client = env.client("stranger"), env.connected("a")
    good = [encode(packet) for packet in every_packet() if packet.kind != "CONNECT"]
    for n in range(2000):
        if n % 2:
            octets = bytearray(dice.choice(good))
            octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)
            octets = bytes(octets)
        else:
            octets = dice.randbytes(dice.randrange(1, 60))
        for each in (stranger, client):
            each.path.send(octets)
        if n % 500 == 0:
            honest.check()
    for each in (stranger, client):
        while each.path.receive(0.1) is not None:
            pass
    client.connect()
    client.ping()
    honest.check()


@case
def answers_are_not_larger_than_requests_allow(env):
    """Strangers get at most three times what they sent."""
    stranger = env.client("stranger")
    for packet in every_packet():
        if packet.kind == "CONNECT":
            continue
        octets = encode(packet)
        stranger.path.send(octets)
        total = 0
        while (answer := stranger.path.receive(0.05)) is not None:
            total += len(answer)
        check(total <= 3 * len(octets), f"{total} octets for {packet}")


@case
def over_the_message_rate(env):
    """PUBACK 0x01 for what is too much; afterwards the client is served again."""
    client, subscriber = env.connected("a"), env.subscriber(env.topic("t"))
    topic = client.register(env.topic("t"))
    codes = []
    for n in range(60):
        client.send("PUBLISH", qos=1, topic=topic, msg=100 + n, data=b"%d" % n)
    while (packet := client.receive(0.5)) is not None:
        check_equal((packet.kind, packet.topic), ("PUBACK", topic), "answer")
        codes.append((packet.msg, packet.code))
    check_equal([msg for msg, _ in codes], list(range(100, 160)), "every message is answered")
    check({code for _, code in codes} == {0, 1}, f"codes {codes}")
    for msg, code in codes:
        if code == ACCEPTED:
            subscriber.expect(env.topic("t"), f"{msg - 100}", qos=1)
    client.publish(topic, b"after", qos=1)
    subscriber.expect(env.topic("t"), "after", qos=1)
    client.ping()


main()
