"""paho-mqtt over every road: `SCRIPT ROAD ADDRESS CA_FILE VERSION CASE`.

ROAD is tcp, tls, ws, wss or unix; the same cases must end the same way on all of them.
"""

import os
import queue
import sys
import time

import paho.mqtt.client as mqtt

from cases import LIMIT, case, check, execute


class Env:
    def __init__(self, road, address, ca_file, version, name):
        self.road = road
        self.address = address
        self.ca_file = ca_file
        self.version = version
        self.name = name

    @property
    def v5(self):
        return self.version == 5


class Client:
    """A paho client over the road of the environment, whose callbacks end in queues."""

    def __init__(self, env, client_id, user="ann", password="ann's secret", clean=True):
        self.env = env
        self.events = queue.Queue()
        self.messages = []
        transport = {"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(env.road, "tcp")
        options = {} if env.v5 else {"clean_session": clean}
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=env.version,
            transport=transport,
            reconnect_on_failure=False,
            **options,
        )
        if user is not None:
            self.mqtt.username_pw_set(user, password)
        if env.road in ("tls", "wss"):
            self.mqtt.tls_set(ca_certs=env.ca_file)
        if env.road in ("ws", "wss"):
            self.mqtt.ws_set_options(path="/mqtt")
        self.mqtt.on_connect = lambda c, u, flags, code, props: self.events.put(("connack", code, flags))
        self.mqtt.on_connect_fail = lambda c, u: self.events.put(("failed", None, None))
        self.mqtt.on_disconnect = lambda c, u, flags, code, props: self.events.put(("disconnect", code, flags))
        self.mqtt.on_subscribe = lambda c, u, mid, codes, props: self.events.put(("suback", codes[0], mid))
        self.mqtt.on_publish = lambda c, u, mid, code, props: self.events.put(("puback", code, mid))
        self.mqtt.on_message = lambda c, u, message: self.events.put(("message", message.topic, message.payload))

    def begin(self):
        """Opens the connection and sends CONNECT."""
        if self.env.road == "unix":
            self.mqtt.connect(self.env.address, 1, 60)
        else:
            host, port = self.env.address.rsplit(":", 1)
            self.mqtt.connect(host, int(port), 60)
        self.mqtt.loop_start()
        return self

    def connect(self):
        """Connects, and fails unless the server lets it in."""
        self.begin()
        code = self.wait("connack")[1]
        check(not code.is_failure, f"CONNECT refused: {code}")
        return self

    def wait(self, kind):
        """The next event, which must be of this kind."""
        if kind == "message" and self.messages:
            return self.messages.pop(0)
        while True:
            event = self.events.get(timeout=LIMIT)
            if event[0] == kind:
                return event
            # A message may come before the acknowledgement of the publish that caused it.
            check(event[0] == "message", f"got {event}, wanted {kind}")
            self.messages.append(event)

    def refused(self, v5, v4):
        """Waits for the refusal of the connect with the code of either version."""
        code = self.wait("connack")[1]
        # paho translates the codes of 3.1.1 into those of 5.
        wanted = v5 if self.env.v5 else v4
        check(code.value == wanted, f"CONNACK {code} ({code.value:#x}), wanted {wanted:#x}")

    def subscribe(self, topic, qos=1):
        self.mqtt.subscribe(topic, qos)
        return self.wait("suback")[1].value

    def publish(self, topic, payload=b"x", qos=1, retain=False):
        self.mqtt.publish(topic, payload, qos, retain)
        return self.wait("puback")[1].value

    def close(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


BAD_CREDENTIALS = 0x86
NOT_AUTHORIZED = 0x87
BANNED = 0x8A
TAKEN_OVER = 0x8E
TOO_LARGE = 0x95


@case
def works(env):
    """A message there and back, large enough for several records, frames and reads."""
    client = Client(env, f"works-{env.version}").connect()
    check(client.subscribe("free/works") == 1, "subscribed")
    payload = os.urandom(300_000)
    client.mqtt.publish("free/works", payload, 1)
    got = [client.events.get(timeout=LIMIT) for _ in range(2)]
    check(("message", "free/works", payload) in got, "the message came back")
    client.close()


@case
def bad_password(env):
    Client(env, "x", password="wrong").begin().refused(BAD_CREDENTIALS, BAD_CREDENTIALS)
    Client(env, "x", user="nobody").begin().refused(BAD_CREDENTIALS, BAD_CREDENTIALS)
    Client(env, "x", user=None).begin().refused(NOT_AUTHORIZED, NOT_AUTHORIZED)
    Client(env, "x").connect().close()


@case
def banned(env):
    Client(env, "outcast").begin().refused(BANNED, NOT_AUTHORIZED)
    Client(env, "x").connect().close()


@case
def acl_deny(env):
    client = Client(env, f"acl-{env.version}").connect()
    refused = 0x87 if env.v5 else 0x80
    check(client.subscribe("free/#") == 1, "what is allowed works")
    for topic in ["secret/a", "secret/#", "#", "+/a", "$share/g/secret/#", "$share/g/#", "$SYS/#"]:
        check(client.subscribe(topic) == refused, f"SUBSCRIBE {topic} is refused")
    if env.v5:
        check(client.publish("secret/a") == NOT_AUTHORIZED, "PUBLISH is refused")
        check(client.publish("free/a") == 0, "what is allowed works")
        check(client.wait("message")[1] == "free/a", "and arrives")
    client.close()


@case
def over_size(env):
    client = Client(env, f"size-{env.version}").connect()
    client.mqtt.publish("free/size", bytes(1_100_000), 0)
    kind, code, _ = client.events.get(timeout=LIMIT)
    if kind == "puback":
        # It was written whole before the answer came.
        code = client.wait("disconnect")[1]
    check(not env.v5 or code.value == TOO_LARGE, f"DISCONNECT {code}")


@case
def over_rate(env):
    """The reader is slowed: all arrive, and not before the bucket allows it."""
    client = Client(env, f"rate-{env.version}").connect()
    begun = time.monotonic()
    for number in range(60):
        client.mqtt.publish("free/rate", str(number), 1)
    for _ in range(60):
        check(not client.wait("puback")[1].is_failure, "accepted")
    took = time.monotonic() - begun
    # A bucket of 20, refilled with 20 a second: CONNECT and 60 messages take 2 seconds.
    check(took > 1.5, f"60 messages took {took} s")
    client.close()


@case
def connection_limit(env):
    """Two may be connected; the third is turned away, and let in when one has gone."""
    first, second = (Client(env, f"limit-{n}").connect() for n in range(2))
    third = Client(env, "limit-2")
    try:
        third.begin()
        kind = third.events.get(timeout=LIMIT)[0]
        check(kind == "disconnect", f"the third got {kind}")
    except (OSError, ValueError):
        # Closed before TLS or WebSocket were ready.
        pass
    first.close()
    end = time.monotonic() + LIMIT
    while True:
        again = Client(env, "limit-3")
        try:
            again.begin()
            if again.events.get(timeout=LIMIT)[0] == "connack":
                break
        except (OSError, ValueError):
            pass
        check(time.monotonic() < end, "let in when there is room")
    again.close()
    second.close()


@case
def take_over(env):
    first = Client(env, f"twin-{env.version}").connect()
    second = Client(env, f"twin-{env.version}").connect()
    code = first.wait("disconnect")[1]
    check(not env.v5 or code.value == TAKEN_OVER, f"DISCONNECT {code}")
    check(second.publish("free/twin") in (0, 0x10), "the second is served")
    second.close()


def main():
    road, address, ca_file, version, name = sys.argv[1:]
    execute(name, Env(road, address, ca_file, int(version), name))


if __name__ == "__main__":
    main()
