"""MQTT-SN 1.2 packets to bytes and back, written from the specification alone.

The decoder is strict: a length that is not the datagram's, a flag that the packet type does not
have, a reserved value, a byte too much or too few is a Malformed. So whatever a test reads with
it was right in every bit.
"""

FLAG_PARTS = {"dup": (7, 1), "qos": (5, 3), "retain": (4, 1), "will": (3, 1), "clean": (2, 1), "topic_type": (0, 3)}

# Topic types, the lowest two bits of the flags.
NORMAL, PREDEFINED, SHORT = 0, 1, 2

# QoS -1 as it stands in the flags.
WITHOUT_CONNECTION = 3

ACCEPTED, CONGESTION, INVALID_TOPIC_ID, NOT_SUPPORTED = 0, 1, 2, 3

# Name: type, who sends it (c: client, g: gateway), parts of the flags if it has any, other fields.
# A field is a number of 1 or 2 octets ("u1", "u2"), the rest of the packet ("text", "bytes"), or
# a topic: an id, a short name or a name, as the flags say ("topic2": never a full name).
LAYOUTS = {
    "ADVERTISE": (0x00, "g", None, [("gateway", "u1"), ("duration", "u2")]),
    "SEARCHGW": (0x01, "c", None, [("radius", "u1")]),
    "GWINFO": (0x02, "cg", None, [("gateway", "u1"), ("address", "bytes")]),
    "CONNECT": (0x04, "c", ["will", "clean"], [("protocol", "u1"), ("duration", "u2"), ("client_id", "text")]),
    "CONNACK": (0x05, "g", None, [("code", "u1")]),
    "WILLTOPICREQ": (0x06, "g", None, []),
    "WILLTOPIC": (0x07, "c", ["qos", "retain"], [("topic", "text")]),
    "WILLMSGREQ": (0x08, "g", None, []),
    "WILLMSG": (0x09, "c", None, [("data", "bytes")]),
    "REGISTER": (0x0A, "cg", None, [("topic", "u2"), ("msg", "u2"), ("name", "text")]),
    "REGACK": (0x0B, "cg", None, [("topic", "u2"), ("msg", "u2"), ("code", "u1")]),
    "PUBLISH": (0x0C, "cg", ["dup", "qos", "retain", "topic_type"], [("topic", "topic2"), ("msg", "u2"), ("data", "bytes")]),
    "PUBACK": (0x0D, "cg", None, [("topic", "u2"), ("msg", "u2"), ("code", "u1")]),
    "PUBCOMP": (0x0E, "cg", None, [("msg", "u2")]),
    "PUBREC": (0x0F, "cg", None, [("msg", "u2")]),
    "PUBREL": (0x10, "cg", None, [("msg", "u2")]),
    "SUBSCRIBE": (0x12, "c", ["dup", "qos", "topic_type"], [("msg", "u2"), ("topic", "topic")]),
    "SUBACK": (0x13, "g", ["qos"], [("topic", "u2"), ("msg", "u2"), ("code", "u1")]),
    "UNSUBSCRIBE": (0x14, "c", ["topic_type"], [("msg", "u2"), ("topic", "topic")]),
    "UNSUBACK": (0x15, "g", None, [("msg", "u2")]),
    "PINGREQ": (0x16, "cg", None, [("client_id", "text")]),
    "PINGRESP": (0x17, "cg", None, []),
    "DISCONNECT": (0x18, "cg", None, [("duration", "u2?")]),
    "WILLTOPICUPD": (0x1A, "c", ["qos", "retain"], [("topic", "text")]),
    "WILLTOPICRESP": (0x1B, "g", None, [("code", "u1")]),
    "WILLMSGUPD": (0x1C, "c", None, [("data", "bytes")]),
    "WILLMSGRESP": (0x1D, "g", None, [("code", "u1")]),
}
ENCAPSULATED = 0xFE
NAMES = {layout[0]: name for name, layout in LAYOUTS.items()}
# What the optional rest of these is when it is not there.
EMPTY_FORM = ("WILLTOPIC", "WILLTOPICUPD")


class Malformed(Exception):
    """Bytes that are no packet, and why."""


class Packet:
    """A packet: its name and all its fields, flags among them. What is not given is 0 or empty."""

    def __init__(self, kind, **fields):
        _, _, flags, layout = LAYOUTS[kind]
        self.kind = kind
        known = list(flags or []) + [name for name, _ in layout]
        self.fields = {name: _default(kind, name, how) for name, how in layout}
        self.fields.update({name: 0 for name in flags or []})
        for name, value in fields.items():
            if name not in known:
                raise TypeError(f"{kind} has no {name}")
            self.fields[name] = value

    def __getattr__(self, name):
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __eq__(self, other):
        return isinstance(other, Packet) and (self.kind, self.fields) == (other.kind, other.fields)

    def __repr__(self):
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.fields.items())})"


def _default(kind, name, how):
    if kind == "CONNECT" and name == "protocol":
        return 1
    return {"text": "", "bytes": b"", "u2?": None}.get(how, 0)


def encode(packet, long_form=False):
    """The datagram of a packet; `long_form` uses three octets of length whatever the size."""
    number, _, flags, layout = LAYOUTS[packet.kind]
    body = bytes([number])
    if flags is not None and not (packet.kind in EMPTY_FORM and packet.topic == ""):
        octet = 0
        for name in flags:
            shift, mask = FLAG_PARTS[name]
            octet |= (int(getattr(packet, name)) & mask) << shift
        body += bytes([octet])
    for name, how in layout:
        value = getattr(packet, name)
        if how == "u1":
            body += bytes([value])
        elif how == "u2" or isinstance(value, int):
            body += value.to_bytes(2, "big")
        elif value is not None:
            body += value.encode() if isinstance(value, str) else value
    return frame(body, long_form)


def frame(body, long_form=False):
    """Puts the length before a packet's type and content."""
    if long_form or len(body) + 1 > 255:
        return b"\x01" + (len(body) + 3).to_bytes(2, "big") + body
    return bytes([len(body) + 1]) + body


def encapsulate(node, datagram, radius=0):
    """A datagram as a forwarder sends it for a node; the length ends with the node's id."""
    return bytes([3 + len(node), ENCAPSULATED, radius]) + node + datagram


def unwrap(datagram):
    """(node, inner datagram) of what the gateway sends to a forwarder."""
    if len(datagram) < 3 or datagram[1] != ENCAPSULATED:
        raise Malformed(f"no encapsulated packet: {datagram.hex()}")
    length, ctrl = datagram[0], datagram[2]
    if length < 3 or length > len(datagram) or ctrl & ~3:
        raise Malformed(f"bad encapsulation: {datagram.hex()}")
    return datagram[3:length], datagram[length:]


def decode(datagram, sender):
    """The packet in a datagram that `sender` ("g" or "c") sent."""
    try:
        return _decode(datagram, sender)
    except Malformed as e:
        raise Malformed(f"{e}, in {datagram.hex()}") from None


def _decode(datagram, sender):
    body = _body(datagram, sender)
    name = NAMES.get(body[0])
    if name is None:
        raise Malformed(f"type {body[0]:#04x}")
    _, senders, flags, layout = LAYOUTS[name]
    if sender not in senders:
        raise Malformed(f"{name} from {sender}")
    rest, fields = body[1:], {}
    if flags is not None and not (name in EMPTY_FORM and not rest):
        fields = _flags(name, flags, *_take(rest, 1))
        rest = rest[1:]
    for field, how in layout:
        if how == "topic":
            how = "text" if fields["topic_type"] == NORMAL else "topic2"
        if how == "topic2":
            how = "short" if fields["topic_type"] == SHORT else "u2"
        if how == "u2?":
            how = "u2" if rest else "none"
        size = {"u1": 1, "u2": 2, "short": 2, "none": 0}.get(how, len(rest))
        fields[field] = _field(how, _take(rest, size))
        rest = rest[size:]
    if rest:
        raise Malformed(f"{len(rest)} octets too many")
    packet = Packet(name, **fields)
    _judge(packet, sender)
    return packet


def _body(datagram, sender):
    """The packet without its length."""
    if len(datagram) < 2:
        raise Malformed("too short")
    if datagram[0] == 1:
        length, head = int.from_bytes(datagram[1:3], "big"), 3
        # Who sends the long form without need wastes octets; the gateway must not.
        if sender == "g" and length < 256:
            raise Malformed("long form of a short packet")
    else:
        length, head = datagram[0], 1
    if length != len(datagram) or length <= head:
        raise Malformed(f"length {length} of {len(datagram)}")
    return datagram[head:]


def _flags(name, parts, octet):
    fields = {}
    for part in parts:
        shift, mask = FLAG_PARTS[part]
        fields[part] = octet >> shift & mask
        octet &= ~(mask << shift)
    if octet:
        raise Malformed(f"{name} has no such flags: {octet:#04x}")
    return fields


def _take(rest, size):
    if len(rest) < size:
        raise Malformed("octets are missing")
    return rest[:size]


def _field(how, octets):
    if how in ("u1", "u2"):
        return int.from_bytes(octets, "big")
    if how == "none":
        return None
    if how == "bytes":
        return bytes(octets)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None


def _judge(packet, sender):
    """What the values of a packet must be, apart from its layout."""
    kind, fields = packet.kind, packet.fields
    if fields.get("code", 0) > NOT_SUPPORTED:
        raise Malformed(f"return code {packet.code:#04x} is reserved")
    if fields.get("topic_type", 0) > SHORT:
        raise Malformed("topic type 3 is reserved")
    if kind == "PUBLISH":
        acknowledged = packet.qos in (1, 2)
        if (packet.msg != 0) != acknowledged or (packet.dup and not acknowledged):
            raise Malformed(f"QoS {packet.qos} with message id {packet.msg}, DUP {packet.dup}")
        if packet.topic_type == NORMAL and packet.topic in (0, 0xFFFF):
            raise Malformed(f"topic id {packet.topic} is reserved")
    elif kind not in ("REGISTER", "REGACK", "PUBACK") and fields.get("msg") == 0:
        raise Malformed("message id 0")
    if sender == "g":
        _judge_gateway(packet)


def _judge_gateway(packet):
    kind = packet.kind
    if kind == "PUBLISH" and packet.qos == WITHOUT_CONNECTION:
        raise Malformed("QoS -1 from the gateway")
    if kind == "PUBLISH" and packet.topic_type == PREDEFINED and packet.topic in (0, 0xFFFF):
        raise Malformed(f"topic id {packet.topic} is reserved")
    if kind == "REGISTER":
        if packet.topic in (0, 0xFFFF) or packet.msg == 0:
            raise Malformed(f"topic id {packet.topic}, message id {packet.msg}")
        if not packet.name or any(c in packet.name for c in "+#\0"):
            raise Malformed(f"topic name {packet.name!r}")
    if kind == "REGACK" and packet.topic == 0xFFFF:
        raise Malformed("topic id 0xffff is reserved")
    if kind == "SUBACK" and packet.qos > 2:
        raise Malformed("QoS 3 granted")
    only_client = {"GWINFO": "address", "PINGREQ": "client_id", "DISCONNECT": "duration"}.get(kind)
    if only_client and packet.fields[only_client]:
        raise Malformed(f"{kind} with {only_client}, which only a client sends")
