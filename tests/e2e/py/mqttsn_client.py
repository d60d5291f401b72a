"""A complete MQTT-SN 1.2 client that believes nothing: every datagram that it gets is decoded
strictly, and whatever comes out of turn ends the test.

It has no thread and no timer: a test sends, and says what has to come. Where nothing may come, the
test asks for something that is always answered and sees that nothing came before.
"""

import socket
import struct
import time

from cases import LIMIT, check, check_equal
from mqttsn_codec import (
    ACCEPTED,
    ENCAPSULATED,
    NORMAL,
    PREDEFINED,
    SHORT,
    Packet,
    decode,
    encapsulate,
    encode,
    unwrap,
)

# All datagrams of this process as (seconds, source, destination, bytes), for a capture file.
RECORD = []


class Path:
    """A socket of its own towards the gateway: one source address and port."""

    def __init__(self, gateway, source="127.0.0.1"):
        self.gateway = gateway
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.own = self.socket.getsockname()
        # What came for others behind the same address, by node; None is the address itself.
        self.others = {}

    def send(self, datagram):
        RECORD.append((time.time(), self.own, self.gateway, datagram))
        self.socket.sendto(datagram, self.gateway)

    def receive(self, limit_s=LIMIT):
        """The next datagram of the gateway, None if none comes in time."""
        self.socket.settimeout(limit_s)
        try:
            datagram, source = self.socket.recvfrom(65536)
        except TimeoutError:
            return None
        RECORD.append((time.time(), source, self.own, datagram))
        check_equal(source, self.gateway, "source of an answer")
        return datagram

    def receive_for(self, node, limit_s=LIMIT):
        """The next packet for a node behind this address, or for the address itself."""
        while not self.others.get(node):
            datagram = self.receive(limit_s)
            if datagram is None:
                return None
            is_for_node = len(datagram) > 1 and datagram[1] == ENCAPSULATED
            addressee, inner = unwrap(datagram) if is_for_node else (None, datagram)
            self.others.setdefault(addressee, []).append(inner)
        return self.others[node].pop(0)

    def close(self):
        self.socket.close()


class Message:
    """A message that the gateway published to the client."""

    def __init__(self, name, packet):
        self.name, self.data = name, packet.data
        self.qos, self.retain, self.dup = packet.qos, packet.retain, packet.dup
        self.packet = packet

    def __repr__(self):
        return f"Message({self.name!r}, {self.data!r}, qos={self.qos}, retain={self.retain}, dup={self.dup})"


class Client:
    """One client, on a path of its own or as a node behind a forwarder on a given path."""

    def __init__(self, gateway, client_id, path=None, node=None, source="127.0.0.1"):
        self.gateway, self.client_id, self.node = gateway, client_id, node
        self.path = path or Path(gateway, source)
        self.last_msg = 0
        # Names by topic id, as announced in this connection in either direction.
        self.ids = {}
        # The predefined topics that this client was told of by hand.
        self.predefined = {}
        # The QoS 1 or 2 message id of the gateway that is not settled.
        self.outstanding = None
        # Messages and registrations that came before the answer to a request.
        self.early = []

    # Single packets

    def send(self, kind, long_form=False, **fields):
        """Sends a packet and returns it."""
        packet = Packet(kind, **fields)
        self.send_bytes(encode(packet, long_form))
        return packet

    def send_bytes(self, datagram):
        self.path.send(datagram if self.node is None else encapsulate(self.node, datagram))

    def receive_bytes(self, limit_s=LIMIT):
        return self.path.receive_for(self.node, limit_s)

    def receive(self, limit_s=LIMIT):
        """The next packet, None if none comes in time."""
        return self.early.pop(0) if self.early else self.receive_new(limit_s)

    def receive_new(self, limit_s=LIMIT):
        datagram = self.receive_bytes(limit_s)
        return None if datagram is None else decode(datagram, "g")

    def expect(self, kind, **fields):
        """The next packet, which must be of this kind and have these fields."""
        return self.judge(self.receive(), kind, fields)

    def answer(self, kind, **fields):
        """The same, but messages and registrations, which are no answers, may come before."""
        while (packet := self.receive_new()) is not None and packet.kind in ("PUBLISH", "REGISTER"):
            self.early.append(packet)
        return self.judge(packet, kind, fields)

    def judge(self, packet, kind, fields):
        check(packet is not None, f"{self.client_id}: no {kind} came")
        wanted = {name: packet.fields.get(name) for name in packet.fields} | fields
        check(
            packet.kind == kind and packet.fields == wanted,
            f"{self.client_id}: got {packet}, wanted {kind} with {fields}",
        )
        return packet

    def expect_bytes(self, text):
        """The next datagram, which must be these bytes."""
        datagram = self.receive_bytes()
        check_equal(datagram.hex() if datagram is not None else None, text.replace(" ", ""), f"{self.client_id}: datagram")

    def expect_silence(self):
        """Nothing comes before the answer to a search for gateways, which anyone may ask for."""
        self.send("SEARCHGW", radius=1)
        self.expect("GWINFO")

    def expect_stranger(self):
        """The gateway knows no client here: it is told DISCONNECT. It may have been told before."""
        self.send("PINGREQ")
        self.expect("DISCONNECT")
        self.send("SEARCHGW", radius=1)
        packet = self.receive()
        if packet is not None and packet.kind == "DISCONNECT":
            packet = self.receive()
        self.judge(packet, "GWINFO", {})

    def move(self, source="127.0.0.1"):
        """Goes on from another port; the old path is returned open."""
        old, self.path = self.path, Path(self.gateway, source)
        return old

    # Conversations

    def next_msg(self):
        self.last_msg = self.last_msg % 0xFFFF + 1
        return self.last_msg

    def start_connect(self, duration=60, clean=True, will=None):
        self.send("CONNECT", client_id=self.client_id, duration=duration, clean=int(clean), will=int(will is not None))

    def connect(self, duration=60, clean=True, will=None, code=ACCEPTED):
        """Connects; `will` is (topic, data, qos, retain), or () to delete it. Returns self."""
        self.start_connect(duration, clean, will)
        if will is not None:
            self.expect("WILLTOPICREQ")
            if will:
                topic, data, qos, retain = will
                self.send("WILLTOPIC", topic=topic, qos=qos, retain=int(retain))
                self.expect("WILLMSGREQ")
                self.send("WILLMSG", data=data)
            else:
                self.send("WILLTOPIC")
        self.expect("CONNACK", code=code)
        # Ids have to be announced again, and what was sent before comes again as DUP.
        self.ids, self.outstanding = {}, None
        return self

    def disconnect(self):
        self.send("DISCONNECT")
        self.expect("DISCONNECT")

    def ping(self):
        self.send("PINGREQ")
        self.expect("PINGRESP")

    def register(self, name, code=ACCEPTED):
        """The topic id of a name, 0 where `code` says that it is refused."""
        msg = self.next_msg()
        self.send("REGISTER", topic=0, msg=msg, name=name)
        topic = self.answer("REGACK", msg=msg, code=code).topic
        check((topic == 0) == (code != ACCEPTED), f"topic id {topic} with code {code}")
        if topic:
            self.learn(topic, name)
        return topic

    def learn(self, topic, name):
        """Notes an id; it must not stand for another name, nor the name have another id."""
        check(topic not in (0, 0xFFFF), f"reserved topic id {topic}")
        check_equal(self.ids.get(topic, name), name, f"name of topic id {topic}")
        check_equal([i for i, n in self.ids.items() if n == name and i != topic], [], f"other ids of {name}")
        self.ids[topic] = name

    def subscribe(self, topic, qos=0, topic_type=NORMAL, code=ACCEPTED, granted=None):
        """Subscribes to a name, a predefined id or a short name; the topic id of the answer."""
        msg = self.next_msg()
        self.send("SUBSCRIBE", qos=qos, topic_type=topic_type, msg=msg, topic=topic)
        suback = self.answer("SUBACK", msg=msg, code=code)
        if code == ACCEPTED:
            check_equal(suback.qos, qos if granted is None else granted, f"granted QoS for {topic!r}")
            if topic_type == PREDEFINED:
                check_equal(suback.topic, topic, "predefined id in SUBACK")
            elif topic_type == NORMAL and any(c in topic for c in "+#"):
                check_equal(suback.topic, 0, "topic id of a wildcard")
            elif topic_type == NORMAL:
                self.learn(suback.topic, topic)
        return suback.topic

    def unsubscribe(self, topic, topic_type=NORMAL):
        msg = self.next_msg()
        self.send("UNSUBSCRIBE", topic_type=topic_type, msg=msg, topic=topic)
        self.answer("UNSUBACK", msg=msg)

    def publish(self, topic, data, qos=0, retain=False, topic_type=NORMAL, code=ACCEPTED):
        """Publishes, with the handshake of the QoS; `code` is the one of a PUBACK."""
        msg = self.next_msg() if qos in (1, 2) else 0
        self.send("PUBLISH", qos=qos, retain=int(retain), topic_type=topic_type, topic=topic, msg=msg, data=data)
        if qos == 1 or code != ACCEPTED:
            number = int.from_bytes(topic.encode(), "big") if isinstance(topic, str) else topic
            self.answer("PUBACK", topic=number, msg=msg, code=code)
        elif qos == 2:
            self.answer("PUBREC", msg=msg)
            self.send("PUBREL", msg=msg)
            self.answer("PUBCOMP", msg=msg)
        return msg

    def sleep(self, duration):
        self.send("DISCONNECT", duration=duration)
        self.expect("DISCONNECT")

    def wake(self):
        """Asks for what waits while asleep; all messages until PINGRESP."""
        self.send("PINGREQ", client_id=self.client_id)
        messages = []
        while True:
            packet = self.receive()
            check(packet is not None, f"{self.client_id}: no PINGRESP came")
            if packet.kind == "PINGRESP":
                return messages
            message = self.take(packet)
            if message:
                messages.append(message)

    def message(self, limit_s=LIMIT):
        """The next message, with REGISTER and the handshake of its QoS."""
        while True:
            packet = self.receive(limit_s)
            check(packet is not None, f"{self.client_id}: no message came")
            message = self.take(packet)
            if message:
                return message

    def messages(self, count):
        return [self.message() for _ in range(count)]

    def take(self, packet):
        """Answers a REGISTER or a PUBLISH; the message of the latter."""
        if packet.kind == "REGISTER":
            self.take_register(packet)
            return None
        check_equal(packet.kind, "PUBLISH", f"{self.client_id}: packet {packet}")
        return self.take_publish(packet)

    def take_register(self, packet, code=ACCEPTED):
        if code == ACCEPTED:
            self.learn(packet.topic, packet.name)
        self.send("REGACK", topic=packet.topic, msg=packet.msg, code=code)

    def take_publish(self, packet):
        message = self.read_publish(packet)
        if packet.qos == 1:
            self.acknowledge(packet)
        elif packet.qos == 2:
            self.send("PUBREC", msg=packet.msg)
            self.expect("PUBREL", msg=packet.msg)
            self.send("PUBCOMP", msg=packet.msg)
            self.outstanding = None
        return message

    def acknowledge(self, packet, code=ACCEPTED):
        number = packet.topic
        if packet.topic_type == SHORT:
            number = int.from_bytes(packet.topic.encode(), "big")
        self.send("PUBACK", topic=number, msg=packet.msg, code=code)
        self.outstanding = None

    def read_publish(self, packet):
        """The message of a PUBLISH whose id must be known, and which must not overtake another."""
        if packet.qos and not packet.dup:
            check_equal(self.outstanding, None, f"{self.client_id}: unsettled when {packet} came")
        if packet.qos:
            self.outstanding = packet.msg
        if packet.topic_type == SHORT:
            return Message(packet.topic, packet)
        table = self.predefined if packet.topic_type == PREDEFINED else self.ids
        check(packet.topic in table, f"{self.client_id}: {packet} has an id that was never announced")
        return Message(table[packet.topic], packet)


def write_capture(file):
    """Writes RECORD as a pcap file of raw IPv4 packets."""
    with open(file, "wb") as out:
        # Link type 101: raw IP.
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, 101))
        for seconds, source, destination, data in RECORD:
            ip = _ipv4(source, destination, data)
            head = (int(seconds), int(seconds % 1 * 1e6), len(ip), len(ip))
            out.write(struct.pack("<IIII", *head) + ip)


def _ipv4(source, destination, data):
    udp = struct.pack(">HHHH", source[1], destination[1], 8 + len(data), 0) + data
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
