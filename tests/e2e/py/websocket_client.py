"""WebSocket frames, good and bad: `SCRIPT PORT CASE`.

The frames are made and read by the package `websockets`, those that it refuses to make by hand.
"""

import socket
import struct
import sys

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from cases import LIMIT, case, check, execute

CONNECT = bytes.fromhex("100d00044d5154540402003c000177")
CONNACK = bytes.fromhex("20020000")
PINGREQ = bytes.fromhex("c000")
PINGRESP = bytes.fromhex("d000")


class Link:
    """A connection of which every byte that is sent is the case's own."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.socket.settimeout(LIMIT)
        self.received = b""

    def request(self, path="/mqtt", protocols="mqtt", headers=(), upgrade=True):
        """Asks for a WebSocket; returns the head of the answer, in lower case."""
        lines = [f"GET {path} HTTP/1.1", "Host: test"]
        if upgrade:
            lines += ["Upgrade: websocket", "Connection: keep-alive, Upgrade"]
            lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
        if protocols is not None:
            lines.append(f"Sec-WebSocket-Protocol: {protocols}")
        self.send("\r\n".join([*lines, *headers, "", ""]).encode())
        while b"\r\n\r\n" not in self.received:
            more = self.socket.recv(4096)
            if not more:
                break
            self.received += more
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        return head.decode().lower()

    def open(self, **options):
        head = self.request(**options)
        check(head.startswith("http/1.1 101"), f"no upgrade: {head}")
        # The accept value of RFC 6455 section 1.3 for this key.
        check("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head, head)
        return self

    def send(self, data):
        self.socket.sendall(data)

    def frame(self, opcode, data=b"", fin=True):
        self.send(Frame(opcode, data, fin).serialize(mask=True))

    def binary(self, data):
        self.frame(Opcode.BINARY, data)

    def exactly(self, count):
        while len(self.received) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(f"closed with {self.received!r} received")
            self.received += more
        data, self.received = self.received[:count], self.received[count:]
        return data

    def next_frame(self):
        """Opcode and data of the next frame, which must be whole and unmasked."""
        first, second = self.exactly(2)
        check(first & 0xF0 == 0x80, f"a whole frame without extensions: {first:#x}")
        check(second & 0x80 == 0, "a server does not mask")
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
        return first & 0x0F, self.exactly(length)

    def mqtt(self, count):
        """The next bytes of MQTT, whatever frames they come in."""
        data = b""
        while len(data) < count:
            opcode, more = self.next_frame()
            check(opcode == Opcode.BINARY, f"a frame with opcode {opcode}")
            data += more
        return data

    def connect(self):
        self.open()
        self.binary(CONNECT)
        check(self.mqtt(4) == CONNACK, "CONNACK")
        return self

    def closed_with(self, code):
        """The server's close frame, then the end of the connection."""
        while True:
            opcode, data = self.next_frame()
            if opcode == Opcode.CLOSE:
                break
        got = struct.unpack("!H", data[:2])[0] if data else None
        check(got == code, f"close code {got}, wanted {code}")
        if code is not None:
            self.frame(Opcode.CLOSE, data[:2])
        self.ended()

    def ended(self):
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass


@case
def split_packets(port):
    """A packet in as many messages as it has bytes."""
    link = Link(port).open()
    for byte in CONNECT:
        link.binary(bytes([byte]))
    check(link.mqtt(4) == CONNACK, "CONNACK")


@case
def merged_packets(port):
    """Many packets in one message, and a part of the next one."""
    link = Link(port).open()
    link.binary(CONNECT + PINGREQ * 100 + PINGREQ[:1])
    link.binary(PINGREQ[1:])
    check(link.mqtt(4 + 2 * 101) == CONNACK + PINGRESP * 101, "all of them are answered")


@case
def fragments(port):
    """A message in several frames, in one write and in many."""
    link = Link(port).open()
    link.frame(Opcode.BINARY, CONNECT[:5], fin=False)
    link.frame(Opcode.CONT, b"", fin=False)
    link.frame(Opcode.CONT, CONNECT[5:7], fin=False)
    link.frame(Opcode.CONT, CONNECT[7:])
    check(link.mqtt(4) == CONNACK, "CONNACK")


@case
def pings_between_fragments(port):
    link = Link(port).open()
    link.frame(Opcode.BINARY, CONNECT[:5], fin=False)
    link.frame(Opcode.PING, b"are you there")
    link.frame(Opcode.CONT, CONNECT[5:])
    check(link.next_frame() == (Opcode.PONG, b"are you there"), "PONG")
    check(link.mqtt(4) == CONNACK, "CONNACK")
    link.frame(Opcode.PONG, b"unasked")
    link.binary(PINGREQ)
    check(link.mqtt(2) == PINGRESP, "PINGRESP")


@case
def text(port):
    link = Link(port).connect()
    link.frame(Opcode.TEXT, b"hello")
    link.closed_with(1003)


@case
def unmasked(port):
    link = Link(port).connect()
    link.send(Frame(Opcode.BINARY, PINGREQ).serialize(mask=False))
    link.closed_with(1002)


@case
def reserved_bits(port):
    link = Link(port).connect()
    link.send(bytes([0xC2, 0x82, 0, 0, 0, 0]) + PINGREQ)
    link.closed_with(1002)


@case
def unknown_opcode(port):
    link = Link(port).connect()
    link.send(bytes([0x83, 0x80, 0, 0, 0, 0]))
    link.closed_with(1002)


@case
def long_control(port):
    link = Link(port).connect()
    link.send(bytes([0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0]) + bytes(126))
    link.closed_with(1002)


@case
def lone_end(port):
    """The continuation of nothing."""
    link = Link(port).connect()
    link.frame(Opcode.CONT, PINGREQ)
    link.closed_with(1002)


@case
def close(port):
    link = Link(port).connect()
    link.frame(Opcode.CLOSE, struct.pack("!H", 1000) + b"done")
    opcode, data = link.next_frame()
    check(opcode == Opcode.CLOSE and data[:2] == struct.pack("!H", 1000), "the code comes back")
    link.ended()
    link = Link(port).connect()
    link.frame(Opcode.CLOSE)
    opcode, data = link.next_frame()
    check(opcode == Opcode.CLOSE, "an empty close is answered")
    link.ended()


@case
def close_codes(port):
    """Codes that must not be sent are errors, those of applications are not."""
    for code, answer in [(1005, 1002), (1006, 1002), (999, 1002), (3000, 3000), (4999, 4999)]:
        link = Link(port).connect()
        link.frame(Opcode.CLOSE, struct.pack("!H", code))
        opcode, data = link.next_frame()
        got = struct.unpack("!H", data[:2])[0]
        check(opcode == Opcode.CLOSE and got == answer, f"{code} is answered by {got}")
        link.ended()


@case
def malformed_mqtt(port):
    """What is no MQTT ends the WebSocket by a closing handshake, not by a reset."""
    link = Link(port).connect()
    link.binary(bytes.fromhex("0000"))
    link.closed_with(1002)


@case
def vanish(port):
    """A frame that never ends does no harm."""
    link = Link(port).connect()
    link.send(bytes([0x82, 0xFF]) + struct.pack("!Q", 1 << 40) + bytes(4))
    link.socket.close()
    Link(port).connect()


@case
def subprotocols(port):
    for offered, chosen in [
        ("mqtt", "mqtt"),
        ("mqttv3.1", "mqttv3.1"),
        ("mqttv3.1, mqtt", "mqttv3.1"),
        ("chat,mqtt", "mqtt"),
    ]:
        head = Link(port).request(protocols=offered)
        check(head.startswith("http/1.1 101"), f"{offered}: {head}")
        check(f"sec-websocket-protocol: {chosen}\r\n" in head + "\r\n", f"{offered}: {head}")
    for offered in ["chat", "MQTT5", None]:
        head = Link(port).request(protocols=offered)
        check(head.startswith("http/1.1 400"), f"{offered}: {head}")
    # The library agrees that the answer is one.
    link = Link(port)
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/mqtt"), subprotocols=["mqtt"])
    protocol.send_request(protocol.connect())
    link.send(b"".join(protocol.data_to_send()))
    while protocol.state.name == "CONNECTING":
        protocol.receive_data(link.socket.recv(4096))
        list(protocol.events_received())
        check(protocol.handshake_exc is None, f"{protocol.handshake_exc}")
    check(protocol.subprotocol == "mqtt", f"{protocol.subprotocol}")


@case
def paths(port):
    Link(port).open(path="/here")
    Link(port).open(path="/here?token=1")
    for path in ["/", "/mqtt", "/here/there", "/heretic"]:
        head = Link(port).request(path=path)
        check(head.startswith("http/1.1 404"), f"{path}: {head}")


@case
def origins(port):
    Link(port).open(path="/here", headers=["Origin: https://good.example"])
    Link(port).open(path="/here")
    for origin in ["https://bad.example", "https://good.example.bad.example", "null"]:
        head = Link(port).request(path="/here", headers=[f"Origin: {origin}"])
        check(head.startswith("http/1.1 403"), f"{origin}: {head}")


@case
def not_a_websocket(port):
    head = Link(port).request(path="/here", upgrade=False)
    check(head.startswith("http/1.1 4"), head)
    link = Link(port)
    link.send(b"GET /here HTTP/1.1\r\nX: " + b"a" * 100_000)
    try:
        while link.socket.recv(4096):
            pass
    except ConnectionError:
        pass
    link = Link(port)
    link.send(CONNECT)
    link.ended()


def main():
    port, name = sys.argv[1:]
    execute(name, int(port))


if __name__ == "__main__":
    main()
