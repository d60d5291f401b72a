"""Limits as paho-mqtt meets them: `SCRIPT HOST PORT VERSION CASE`, one case for each setting."""

import contextlib
import queue
import socket
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cases import LIMIT, case, check, check_equal, main

SERVER_BUSY = 0x89
BAD_CREDENTIALS = 0x86
QUOTA_EXCEEDED = 0x97
FILTER_INVALID = 0x8F
TOPIC_INVALID = 0x90
TOO_LARGE = 0x95


class Client:
    """A paho client of MQTT 5 whose callbacks end in one queue."""

    def __init__(self, env, client_id, user=None, password=None):
        self.env = env
        self.events = queue.Queue()
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        if user:
            self.mqtt.username_pw_set(user, password)
        put = self.events.put
        self.mqtt.on_connect = lambda c, u, flags, code, props: put(("connack", code.value, props))
        self.mqtt.on_disconnect = lambda c, u, flags, code, props: put(("disconnect", code.value, None))
        self.mqtt.on_subscribe = lambda c, u, mid, codes, props: put(("suback", codes[0].value, None))
        self.mqtt.on_publish = lambda c, u, mid, code, props: put(("puback", code.value, None))
        self.mqtt.on_message = lambda c, u, message: put(("message", message.payload, None))

    def begin(self, keep_alive=60, source="", expiry=None, clean=True):
        """Opens the connection and sends CONNECT."""
        properties = None
        if expiry is not None:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
        self.mqtt.connect(
            self.env.host,
            self.env.port,
            keep_alive,
            bind_address=source,
            clean_start=clean,
            properties=properties,
        )
        self.mqtt.loop_start()
        return self

    def wait(self, kind):
        event = self.events.get(timeout=LIMIT)
        check(event[0] == kind, f"got {event}, wanted {kind}")
        return event[1:]

    def connect(self, **options):
        """Connects; returns the properties of CONNACK."""
        self.begin(**options)
        code, properties = self.wait("connack")
        check_equal(code, 0, "CONNACK")
        return properties

    def subscribe(self, topic):
        self.mqtt.subscribe(topic, 1)
        return self.wait("suback")[0]

    def publish(self, topic, payload=b"x"):
        self.mqtt.publish(topic, payload, 1)
        return self.wait("puback")[0]

    def close(self):
        self.mqtt.disconnect()
        self.wait("disconnect")
        self.mqtt.loop_stop()


def is_let_in(env, client_id, **options):
    """Whether a client gets as far as CONNACK; it stays connected then."""
    client = Client(env, client_id)
    try:
        client.begin(**options)
    except OSError:
        return None
    kind = client.events.get(timeout=LIMIT)[0]
    return client if kind == "connack" else None


def until_let_in(env, client_id, **options):
    end = time.monotonic() + LIMIT
    while not (client := is_let_in(env, client_id, **options)):
        check(time.monotonic() < end, f"{client_id} is let in at last")
    return client


def check_burst(env, **options):
    """Of 25 connections at once the burst of 3 is let in, and one more for each second."""
    begun = time.monotonic()
    clients = [is_let_in(env, env.client_id(str(number)), **options) for number in range(25)]
    took = time.monotonic() - begun
    got = sum(client is not None for client in clients)
    check(all(clients[:3]), "the burst is let in")
    check(got <= 3 + took + 1, f"{got} in {took} s")
    check(got < 25, "some are turned away")
    return clients[0]


@case
def connection_rate(env):
    first = check_burst(env)
    check_equal(first.publish("t"), 0x10, "who is there is served")
    until_let_in(env, env.client_id("later"))


@case
def source_rate(env):
    check_burst(env, source="127.0.0.5")
    check(is_let_in(env, env.client_id("elsewhere"), source="127.0.0.6"), "another source is free")
    until_let_in(env, env.client_id("later"), source="127.0.0.5")


@case
def source_connections(env):
    first, second = (is_let_in(env, env.client_id(tail), source="127.0.0.5") for tail in "ab")
    check(first and second, "two are let in")
    for _ in range(3):
        check(not is_let_in(env, env.client_id("c"), source="127.0.0.5"), "the third is not")
    other = is_let_in(env, env.client_id("d"), source="127.0.0.6")
    check(other, "another source has its own")
    first.close()
    until_let_in(env, env.client_id("c"), source="127.0.0.5")
    check_equal(second.publish("t"), 0x10, "who is there is served")


@case
def byte_rate(env):
    """A bucket of 64 KiB that fills in a second: 256 KiB take three, and nothing is lost."""
    client = Client(env, env.client_id("c"))
    client.connect()
    begun = time.monotonic()
    for _ in range(16):
        client.mqtt.publish("t", bytes(16 * 1024), 1)
    for _ in range(16):
        check_equal(client.wait("puback")[0], 0x10, "PUBACK")
    took = time.monotonic() - begun
    check(took > 2, f"256 KiB took {took} s")
    client.close()


def subscriptions_until_refused(env):
    client = Client(env, env.client_id("subscriber"))
    client.connect()
    count = 0
    while count < 20 and (code := client.subscribe(f"t/{count}")) == 1:
        count += 1
    if count < 20:
        check_equal(code, QUOTA_EXCEEDED, "SUBACK")
    client.close()
    return count


def levels_until_refused(env):
    client = Client(env, env.client_id("levels"))
    client.connect()
    levels = 1
    while levels < 20 and (code := client.publish("/".join("x" * levels))) == 0x10:
        levels += 1
    if levels < 20:
        check_equal(code, TOPIC_INVALID, "PUBACK")
        check_equal(client.subscribe("/".join("x" * levels)), FILTER_INVALID, "SUBACK")
    client.close()
    return levels - 1


def messages_kept(env):
    """How many of 20 messages wait for a client that is away, which are the first ones."""
    away = Client(env, env.client_id("away"))
    away.connect(expiry=300)
    check_equal(away.subscribe("kept"), 1, "SUBACK")
    away.close()
    publisher = Client(env, env.client_id("publisher"))
    publisher.connect()
    for number in range(20):
        publisher.publish("kept", str(number))
    back = Client(env, env.client_id("away"))
    back.connect(expiry=300, clean=False)
    publisher.publish("kept", "end")
    got = []
    while (payload := back.wait("message")[0].decode()) != "end":
        got.append(payload)
    check_equal(got, [str(number) for number in range(len(got))], "the first ones")
    publisher.close()
    back.close()
    return len(got)


def packet_size(env):
    client = Client(env, env.client_id("size"))
    told = getattr(client.connect(), "MaximumPacketSize", None)
    check_equal(client.publish("t", bytes(told - 50)), 0x10, "a packet that is small enough")
    client.mqtt.publish("t", bytes(told), 1)
    check_equal(client.wait("disconnect")[0], TOO_LARGE, "DISCONNECT")
    return told


def keep_alive(env, wanted):
    client = Client(env, env.client_id("keep-alive"))
    told = getattr(client.connect(keep_alive=wanted), "ServerKeepAlive", None)
    client.close()
    return told


def check_limits(env, subscriptions, levels, kept, size, keep_alives):
    """All limits that a zone can set; `keep_alives` are what 1, 10 and 60 seconds come to."""
    check_equal(subscriptions_until_refused(env), subscriptions, "subscriptions")
    check_equal(levels_until_refused(env), levels, "topic levels")
    check_equal(messages_kept(env), kept, "messages kept")
    check_equal(packet_size(env), size, "packet size")
    check_equal([keep_alive(env, wanted) for wanted in (1, 10, 60)], keep_alives, "keep alive")


@case
def limits_of_the_file(env):
    check_limits(env, 20, 19, 20, 8192, [None, None, None])


@case
def limits_of_the_zone(env):
    check_limits(env, 2, 3, 5, 2048, [5, None, 20])


@case
def limits_of_the_listener(env):
    check_limits(env, 4, 3, 7, 4096, [5, None, 30])


@case
def hashing_queue(env):
    """Many wrong passwords at once: some are hashed, the rest is told that the server is busy."""
    standing = Client(env, env.client_id("standing"))
    standing.connect()
    check_equal(standing.subscribe("t"), 1, "SUBACK")
    codes = queue.Queue()

    def attack(number):
        client = Client(env, env.client_id(str(number)), "ann", "any password")
        client.begin()
        codes.put(client.wait("connack")[0])

    threads = [threading.Thread(target=attack, args=(number,), daemon=True) for number in range(40)]
    for thread in threads:
        thread.start()
    got = []
    while len(got) < len(threads):
        # Who is there is served all the while.
        standing.mqtt.publish("t", "x", 1)
        served = sorted(standing.events.get(timeout=LIMIT)[0] for _ in range(2))
        check_equal(served, ["message", "puback"], "an established client")
        with contextlib.suppress(queue.Empty):
            got.append(codes.get(timeout=0.01))
    busy, bad = got.count(SERVER_BUSY), got.count(BAD_CREDENTIALS)
    check_equal(busy + bad, len(threads), f"refusals in {got}")
    check(busy > 0 and bad > 0, f"{busy} busy, {bad} bad")
    Client(env, env.client_id("good"), "ann", "first password").connect()
    print(busy)


@case
def half_open(env):
    """As many connections as handshakes may be at once say nothing; they are closed in time."""
    silent = [socket.create_connection((env.host, env.port), LIMIT) for _ in range(10)]
    # The eleventh is turned away at once.
    refused = socket.create_connection((env.host, env.port), LIMIT)
    check_equal(read_end(refused), b"", "closed")
    for one in silent:
        check_equal(read_end(one), b"", "closed")


def read_end(connection):
    """What comes before the end of a connection."""
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


if __name__ == "__main__":
    main()
