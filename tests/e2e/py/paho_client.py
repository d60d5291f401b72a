"""paho-mqtt against the server, MQTT 3.1.1 and 5."""

import queue
import socket
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from cases import LIMIT, Env, case, check, check_equal, main


def properties(packet, **values):
    """Properties of a packet type, by the standard's names without spaces."""
    p = Properties(packet)
    for name, value in values.items():
        setattr(p, name, value)
    return p


def publish_properties(**values):
    return properties(PacketTypes.PUBLISH, **values)


class Client:
    """A paho client whose callbacks end in queues."""

    def __init__(self, env, tail, clean=True, expiry=None, will=None, manual_ack=False, **connect):
        self.env = env
        self.connacks = queue.Queue()
        self.subacks = queue.Queue()
        self.unsubacks = queue.Queue()
        self.messages = queue.Queue()
        self.disconnects = queue.Queue()
        client_id = "" if tail is None else env.client_id(tail)
        options = {} if env.v5 else {"clean_session": clean}
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=env.version,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            **options,
        )
        self.clean = clean
        if expiry is not None:
            connect["SessionExpiryInterval"] = expiry
        self.connect_properties = properties(PacketTypes.CONNECT, **connect)
        if will:
            self.mqtt.will_set(**will)
        self.mqtt.on_connect = lambda c, u, flags, code, props: self.connacks.put((flags, code, props))
        self.mqtt.on_subscribe = lambda c, u, mid, codes, props: self.subacks.put(codes)
        self.mqtt.on_unsubscribe = lambda c, u, mid, codes, props: self.unsubacks.put(codes)
        self.mqtt.on_message = lambda c, u, message: self.messages.put(message)
        self.mqtt.on_disconnect = lambda c, u, flags, code, props: self.disconnects.put((flags, code))

    def connect(self, keepalive=60):
        """Connects; returns whether the server had a session."""
        options = {"clean_start": self.clean, "properties": self.connect_properties} if self.env.v5 else {}
        self.mqtt.connect(self.env.host, self.env.port, keepalive, **options)
        self.mqtt.loop_start()
        self.flags, code, self.connack = self.connacks.get(timeout=LIMIT)
        check(not code.is_failure, f"CONNECT refused: {code}")
        return self.flags.session_present

    def subscribe(self, topic, qos=0, identifier=None, **options):
        """Subscribes; returns the granted QoS or reason code."""
        if self.env.v5:
            props = properties(PacketTypes.SUBSCRIBE)
            if identifier is not None:
                props.SubscriptionIdentifier = identifier
            self.mqtt.subscribe(topic, options=SubscribeOptions(qos=qos, **options), properties=props)
        else:
            self.mqtt.subscribe(topic, qos)
        return self.subacks.get(timeout=LIMIT)[0].value

    def unsubscribe(self, topic):
        self.mqtt.unsubscribe(topic)
        return self.unsubacks.get(timeout=LIMIT)

    def publish(self, topic, payload=b"", qos=0, retain=False, **props):
        """Publishes and waits for the acknowledgement that the QoS has."""
        given = publish_properties(**props) if props else None
        self.mqtt.publish(topic, payload, qos, retain, given).wait_for_publish(LIMIT)

    def receive(self):
        return self.messages.get(timeout=LIMIT)

    def receive_until(self, topic):
        """All messages before the one on `topic`."""
        messages = []
        while (message := self.receive()).topic != topic:
            messages.append(message)
        return messages

    def receive_around(self, topic, count):
        """All messages but the one on `topic`, once that and `count` others came: retained and live
        messages have no order between them."""
        messages, ended = [], False
        while not ended or len(messages) < count:
            message = self.receive()
            if message.topic == topic:
                ended = True
            else:
                messages.append(message)
        return messages

    def disconnect(self, **options):
        self.mqtt.disconnect(**options)
        self.disconnects.get(timeout=LIMIT)
        self.mqtt.loop_stop()

    def drop(self):
        """Loses the connection without DISCONNECT."""
        self.mqtt.socket().shutdown(socket.SHUT_RDWR)
        self.disconnects.get(timeout=LIMIT)
        self.mqtt.loop_stop()


def connected(env, tail, *args, **options):
    client = Client(env, tail, *args, **options)
    client.connect()
    return client


def start_clock(env, seconds):
    """A client whose will comes after `seconds` of the server's time: a clock to wait for."""
    clock = connected(
        Env(env.host, env.port, 5, env.name),
        "clock",
        expiry=600,
        will={
            "topic": env.topic("clock"),
            "payload": "now",
            "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=seconds),
        },
    )
    clock.drop()


def leaves_with_will(client, watcher, **properties_of_disconnect):
    """Ends a connection and waits for its will: then the server knows that it has ended."""
    client.disconnect(
        reasoncode=mqtt.ReasonCode(PacketTypes.DISCONNECT, identifier=0x04),
        properties=properties(PacketTypes.DISCONNECT, **properties_of_disconnect),
    )
    check_equal(watcher.receive().payload, b"left", "will after DISCONNECT 0x04")


@case
def qos_both_ways(env):
    pub = connected(env, "pub")
    for granted in (0, 1, 2):
        sub = connected(env, f"sub{granted}")
        check_equal(sub.subscribe(env.topic("+"), granted), granted, "granted QoS")
        for qos in (0, 1, 2):
            pub.publish(env.topic(f"q{qos}"), f"payload {qos}", qos)
            message = sub.receive()
            check_equal(message.topic, env.topic(f"q{qos}"), "topic")
            check_equal(message.payload, f"payload {qos}".encode(), "payload")
            check_equal(message.qos, min(qos, granted), f"QoS of {qos} at subscription {granted}")
            check(not message.retain, "RETAIN on a live message")
        sub.disconnect()


@case
def many_in_order(env):
    sub = connected(env, "sub")
    sub.subscribe(env.topic("#"), 2)
    pub = Client(env, "pub")
    # With a limit, paho lets new messages overtake those that wait for an acknowledgement.
    pub.mqtt.max_inflight_messages_set(0)
    pub.connect()
    count = 600
    for i in range(count):
        pub.mqtt.publish(env.topic(f"q{i % 3}"), str(i), qos=i % 3)
    got = {0: [], 1: [], 2: []}
    for _ in range(count):
        message = sub.receive()
        got[message.qos].append(int(message.payload))
    for qos in (0, 1, 2):
        check_equal(got[qos], list(range(qos, count, 3)), f"order at QoS {qos}")


@case
def retained(env):
    pub = connected(env, "pub")
    topic = env.topic("state")
    pub.publish(topic, "old", 1, retain=True)
    pub.publish(topic, "on", 1, retain=True)
    pub.publish(topic, "not kept", 1)
    sub = connected(env, "sub")
    sub.subscribe(env.topic("#"), 1)
    message = sub.receive()
    check_equal((message.payload, message.retain, message.qos), (b"on", True, 1), "retained message")
    pub.publish(topic, b"", 1, retain=True)
    message = sub.receive()
    check_equal((message.payload, message.retain), (b"", False), "the live message that clears")
    late = connected(env, "late")
    late.subscribe(env.topic("#"), 1)
    pub.publish(env.topic("end"), "", 1)
    check_equal(late.receive_until(env.topic("end")), [], "retained messages after the clear")


@case
def will(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("#"), 2)
    topic = env.topic("will")
    for qos in (0, 1, 2):
        client = connected(env, f"w{qos}", will={"topic": topic, "payload": f"gone {qos}", "qos": qos})
        client.drop()
        message = watcher.receive()
        check_equal((message.topic, message.payload, message.qos), (topic, f"gone {qos}".encode(), qos), "will")
    client = connected(env, "r", will={"topic": topic, "payload": "kept", "retain": True})
    client.drop()
    check_equal(watcher.receive().payload, b"kept", "retained will, live")
    late = connected(env, "late")
    late.subscribe(topic)
    message = late.receive()
    check_equal((message.payload, message.retain), (b"kept", True), "retained will, kept")


@case
def no_will_after_disconnect(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("#"), 1)
    client = connected(env, "c", will={"topic": env.topic("will"), "payload": "gone", "qos": 1})
    client.disconnect()
    start_clock(env, 1)
    check_equal(watcher.receive_until(env.topic("clock")), [], "wills after DISCONNECT")


@case
def shared(env):
    members = [connected(env, f"m{i}") for i in range(3)]
    single = connected(env, "single")
    for m in members:
        m.subscribe(f"$share/group/{env.topic('#')}", 1)
    single.subscribe(env.topic("#"), 1)
    pub = connected(env, "pub")
    count = 60
    for i in range(count):
        pub.publish(env.topic("job"), str(i), 1)
    all_of_them = sorted(int(single.receive().payload) for _ in range(count))
    check_equal(all_of_them, list(range(count)), "the plain subscription's messages")
    got = []
    end = time.monotonic() + LIMIT
    while len(got) < count and time.monotonic() < end:
        for m in members:
            try:
                got.append(int(m.messages.get(timeout=0.01).payload))
            except queue.Empty:
                pass
    check_equal(sorted(got), list(range(count)), "the group's messages, each once")
    for m in members:
        check_equal(len(m.unsubscribe(f"$share/group/{env.topic('#')}")), 1 if env.v5 else 0, "UNSUBACK codes")
    pub.publish(env.topic("job"), "nobody", 1)
    for m in members:
        m.subscribe(env.topic("end"), 1)
    pub.publish(env.topic("end"), "", 1)
    for m in members:
        check_equal(m.receive_until(env.topic("end")), [], "messages after UNSUBSCRIBE")


@case
def offline_queue(env):
    expiry = 300 if env.v5 else None
    sub = Client(env, "sub", clean=False, expiry=expiry)
    check(not sub.connect(), "session present for a new client")
    for qos in (1, 2):
        sub.subscribe(env.topic(f"q{qos}"), qos)
    sub.disconnect()
    pub = connected(env, "pub")
    count = 100
    for i in range(count):
        pub.publish(env.topic(f"q{i % 2 + 1}"), str(i), i % 2 + 1)
    again = Client(env, "sub", clean=False, expiry=expiry)
    check(again.connect(), "no session present")
    got = [again.receive() for _ in range(count)]
    for qos in (1, 2):
        numbers = [int(m.payload) for m in got if m.qos == qos]
        check_equal(numbers, list(range(qos - 1, count, 2)), f"queued messages in order at QoS {qos}")
    pub.publish(env.topic("q1"), "live", 1)
    check_equal(again.receive().payload, b"live", "live message after the queue")
    again.disconnect()
    clean = Client(env, "sub", clean=True)
    check(not clean.connect(), "session present after a clean start")


@case
def unacknowledged_is_sent_again(env):
    expiry = 300 if env.v5 else None
    sub = Client(env, "sub", clean=False, expiry=expiry, manual_ack=True)
    sub.connect()
    sub.subscribe(env.topic("a"), 1)
    pub = connected(env, "pub")
    pub.publish(env.topic("a"), "once more", 1)
    first = sub.receive()
    check(not first.dup, "DUP on the first delivery")
    sub.drop()
    again = Client(env, "sub", clean=False, expiry=expiry)
    check(again.connect(), "no session present")
    second = again.receive()
    check_equal((second.payload, second.dup, second.mid), (b"once more", True, first.mid), "second delivery")


@case
def take_over(env):
    expiry = 300 if env.v5 else None
    old = Client(env, "c", clean=False, expiry=expiry)
    old.connect()
    old.subscribe(env.topic("a"), 1)
    new = Client(env, "c", clean=False, expiry=expiry)
    check(new.connect(), "no session present at take-over")
    flags, code = old.disconnects.get(timeout=LIMIT)
    if env.v5:
        check(flags.is_disconnect_packet_from_server, f"no DISCONNECT packet to the old connection: {code}")
        check_equal(code.value, 0x8E, "reason code of the old connection")
    new.publish(env.topic("a"), "mine", 1)
    check_equal(new.receive().payload, b"mine", "the subscription of the session")
    check(old.messages.empty(), "a message for the old connection")


@case
def large_payload(env):
    pub = connected(env, "pub")
    sub = connected(env, "sub")
    sub.subscribe(env.topic("#"), 2)
    for qos in (0, 1, 2):
        payload = bytes((i * 7 + qos) % 256 for i in range(1024)) * 900
        pub.publish(env.topic(f"q{qos}"), payload, qos)
        message = sub.receive()
        check_equal(len(message.payload), len(payload), "length")
        check(message.payload == payload, "content")
    pub.publish(env.topic("q0"), b"", 0)
    check_equal(sub.receive().payload, b"", "empty payload")


@case
def unsubscribe(env):
    client = connected(env, "c")
    client.subscribe(env.topic("a"), 1)
    client.subscribe(env.topic("end"), 1)
    codes = client.unsubscribe(env.topic("a"))
    if env.v5:
        check_equal([c.value for c in codes], [0x00], "UNSUBACK codes")
        codes = client.unsubscribe(env.topic("never"))
        check_equal([c.value for c in codes], [0x11], "UNSUBACK codes of an unknown filter")
    client.publish(env.topic("a"), "x", 1)
    client.publish(env.topic("end"), "", 1)
    check_equal(client.receive_until(env.topic("end")), [], "messages after UNSUBSCRIBE")


@case
def overlapping_subscriptions(env):
    client = connected(env, "c")
    client.subscribe(env.topic("a/#"), 0)
    client.subscribe(env.topic("a/+"), 2)
    client.subscribe(env.topic("end"), 0)
    client.publish(env.topic("a/b"), "x", 2)
    client.publish(env.topic("end"), "", 0)
    messages = client.receive_until(env.topic("end"))
    check(1 <= len(messages) <= 2, f"{len(messages)} copies")
    check_equal(max(m.qos for m in messages), 2, "maximum QoS of the overlapping subscriptions")


@case
def empty_client_id(env):
    first, second = Client(env, None), Client(env, None)
    for client in (first, second):
        check(not client.connect(), "session present for a nameless client")
        client.subscribe(env.topic("a"))
        if env.v5:
            check(client.connack.AssignedClientIdentifier, "no assigned client identifier")
    if env.v5:
        names = {c.connack.AssignedClientIdentifier for c in (first, second)}
        check_equal(len(names), 2, "distinct assigned client identifiers")
    first.publish(env.topic("a"), "x")
    for client in (first, second):
        check_equal(client.receive().payload, b"x", "message")


@case
def sys_readable(env):
    client = connected(env, "c")
    client.subscribe("$SYS/#")
    message = client.receive()
    check(message.topic.startswith("$SYS/"), f"topic {message.topic}")
    # A wildcard at the front must not match it.
    other = connected(env, "other")
    other.subscribe("#")
    other.publish(env.topic("end"))
    messages = other.receive_until(env.topic("end"))
    check(not any(m.topic.startswith("$") for m in messages), "a $ topic for the filter #")


@case
def will_delay(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("#"), 1)
    props = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=1, UserProperty=[("k", "1"), ("k", "2")])
    client = connected(
        env, "c", expiry=600, will={"topic": env.topic("will"), "payload": "gone", "qos": 1, "properties": props}
    )
    client.drop()
    dropped = time.monotonic()
    message = watcher.receive()
    waited = time.monotonic() - dropped
    check_equal(message.payload, b"gone", "will")
    check(waited > 0.9, f"the will came after {waited:.2f} s instead of 1 s")
    check_equal(message.properties.UserProperty, [("k", "1"), ("k", "2")], "user properties of the will")
    check(not hasattr(message.properties, "WillDelayInterval"), "the will delay was forwarded")


@case
def will_delay_cancelled(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("#"), 1)
    props = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=1)
    will = {"topic": env.topic("will"), "payload": "gone", "qos": 1, "properties": props}
    client = connected(env, "c", expiry=600, will=will)
    client.drop()
    again = Client(env, "c", clean=False, expiry=600)
    check(again.connect(), "no session present")
    start_clock(env, 2)
    check_equal(watcher.receive_until(env.topic("clock")), [], "wills of a client that came back in time")


@case
def disconnect_with_will(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("#"), 1)
    client = connected(env, "c", will={"topic": env.topic("will"), "payload": "left", "qos": 1})
    leaves_with_will(client, watcher)


@case
def request_response(env):
    server = connected(env, "server")
    server.subscribe(env.topic("request"), 1)
    client = connected(env, "client")
    client.subscribe(env.topic("response"), 1)
    client.publish(
        env.topic("request"), "2+2", 1, ResponseTopic=env.topic("response"), CorrelationData=b"\x00\xffid"
    )
    request = server.receive()
    check_equal(request.properties.ResponseTopic, env.topic("response"), "response topic")
    server.publish(request.properties.ResponseTopic, "4", 1, CorrelationData=request.properties.CorrelationData)
    response = client.receive()
    check_equal(response.payload, b"4", "response")
    check_equal(response.properties.CorrelationData, b"\x00\xffid", "correlation data")


@case
def alias_to_server(env):
    sub = connected(env, "sub")
    sub.subscribe(env.topic("#"), 1)
    pub = connected(env, "pub")
    check(getattr(pub.connack, "TopicAliasMaximum", 0) >= 2, "the server accepts fewer than 2 topic aliases")
    for qos in (0, 1):
        pub.publish(env.topic("a"), "1", qos, TopicAlias=1)
        pub.publish(env.topic("b"), "2", qos, TopicAlias=2)
        pub.publish("", "3", qos, TopicAlias=1)
        pub.publish(env.topic("c"), "4", qos, TopicAlias=1)
        pub.publish("", "5", qos, TopicAlias=1)
        pub.publish("", "6", qos, TopicAlias=2)
        got = [sub.receive() for _ in range(6)]
        check_equal(
            [(m.topic[len(env.topic("")):], m.payload) for m in got],
            [("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"), ("c", b"5"), ("b", b"6")],
            "topics by alias",
        )


@case
def session_expiry(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("#"), 1)
    # The will is due at the end of its delay or of the session: here it tells that the session ended.
    props = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=600)
    client = connected(
        env, "c", expiry=1, will={"topic": env.topic("will"), "payload": "ended", "qos": 1, "properties": props}
    )
    client.subscribe(env.topic("x"), 1)
    client.drop()
    dropped = time.monotonic()
    check_equal(watcher.receive().payload, b"ended", "will at the end of the session")
    check(time.monotonic() - dropped > 0.9, "the session ended before its expiry")
    will = {"topic": env.topic("will"), "payload": "left", "qos": 1}
    again = Client(env, "c", clean=False, expiry=600, will=will)
    check(not again.connect(), "session present after its expiry")
    again.subscribe(env.topic("y"), 1)
    # DISCONNECT may shorten it to nothing.
    leaves_with_will(again, watcher, SessionExpiryInterval=0)
    third = Client(env, "c", clean=False, expiry=600)
    check(not third.connect(), "session present after DISCONNECT ended it")


@case
def subscription_identifiers(env):
    client = connected(env, "c")
    client.subscribe(env.topic("a/#"), 1, identifier=1)
    client.subscribe(env.topic("a/+"), 1, identifier=268_435_455)
    client.subscribe(env.topic("a/b"), 1)
    client.subscribe(env.topic("end"), 1)
    client.publish(env.topic("a/b"), "x", 1)
    client.publish(env.topic("end"), "", 1)
    got = []
    for message in client.receive_until(env.topic("end")):
        got += getattr(message.properties, "SubscriptionIdentifier", [])
    check_equal(sorted(got), [1, 268_435_455], "subscription identifiers")
    # Replacing a subscription without an identifier removes the old one.
    client.subscribe(env.topic("a/#"), 1)
    client.unsubscribe(env.topic("a/+"))
    client.publish(env.topic("a/b"), "y", 1)
    client.publish(env.topic("end"), "", 1)
    for message in client.receive_until(env.topic("end")):
        check(not hasattr(message.properties, "SubscriptionIdentifier"), "an identifier that was replaced")


@case
def message_properties(env):
    sub = connected(env, "sub")
    sub.subscribe(env.topic("a"), 2)
    pub = connected(env, "pub")
    users = [("b", "1"), ("a", "2"), ("b", "3"), ("", ""), ("ü", "日本")]
    for qos in (0, 1, 2):
        pub.publish(
            env.topic("a"),
            "{}",
            qos,
            UserProperty=users,
            ContentType="application/json",
            PayloadFormatIndicator=1,
            ResponseTopic="r/t",
            CorrelationData=b"\x00\x01",
        )
        p = sub.receive().properties
        check_equal(p.UserProperty, users, "user properties in order")
        check_equal(p.ContentType, "application/json", "content type")
        check_equal(p.PayloadFormatIndicator, 1, "payload format indicator")
        check_equal(p.ResponseTopic, "r/t", "response topic")
        check_equal(p.CorrelationData, b"\x00\x01", "correlation data")


@case
def message_expiry(env):
    watcher = connected(env, "watcher")
    watcher.subscribe(env.topic("+"))
    sub = connected(env, "sub", expiry=600, will={"topic": env.topic("will"), "payload": "left"})
    sub.subscribe(env.topic("q/#"), 1)
    leaves_with_will(sub, watcher)
    pub = connected(env, "pub")
    pub.publish(env.topic("q/short"), "expired", 1, MessageExpiryInterval=1)
    pub.publish(env.topic("q/long"), "kept", 1, MessageExpiryInterval=100)
    pub.publish(env.topic("r/short"), "expired", 1, retain=True, MessageExpiryInterval=1)
    pub.publish(env.topic("r/long"), "kept", 1, retain=True, MessageExpiryInterval=100)
    start_clock(env, 2)
    watcher.receive()
    again = Client(env, "sub", clean=False, expiry=600)
    check(again.connect(), "no session present")
    pub.publish(env.topic("q/end"), "", 1)
    queued = again.receive_around(env.topic("q/end"), 1)
    late = connected(env, "late")
    late.subscribe(env.topic("r/#"), 1)
    pub.publish(env.topic("r/end"), "", 1)
    kept = late.receive_around(env.topic("r/end"), 1)
    for messages, what in ((queued, "queued"), (kept, "retained")):
        check_equal([m.payload for m in messages], [b"kept"], f"{what} messages that did not expire")
        left = messages[0].properties.MessageExpiryInterval
        check(90 <= left <= 99, f"{what}: remaining expiry {left} of 100 after 2 s")


@case
def no_local(env):
    client = connected(env, "c")
    other = connected(env, "other")
    client.subscribe(env.topic("#"), 1, noLocal=True)
    client.publish(env.topic("a"), "own", 1)
    other.publish(env.topic("a"), "other's", 1)
    check_equal(client.receive().payload, b"other's", "the first message with No Local")


@case
def retain_as_published(env):
    keeps, clears = connected(env, "keeps"), connected(env, "clears")
    keeps.subscribe(env.topic("a"), 1, retainAsPublished=True)
    clears.subscribe(env.topic("a"), 1, retainAsPublished=False)
    pub = connected(env, "pub")
    for retain in (True, False):
        pub.publish(env.topic("a"), "x", 1, retain=retain)
        check_equal(keeps.receive().retain, retain, "RETAIN with Retain As Published")
        check_equal(clears.receive().retain, False, "RETAIN without Retain As Published")


@case
def retain_handling(env):
    pub = connected(env, "pub")
    pub.publish(env.topic("a"), "x", 1, retain=True)
    client = connected(env, "c")
    client.subscribe(env.topic("end"), 1)

    def after(handling, count):
        client.subscribe(env.topic("a"), 1, retainHandling=handling)
        client.publish(env.topic("end"), "", 1)
        return [m.payload for m in client.receive_around(env.topic("end"), count)]

    check_equal(after(2, 0), [], "retained messages with handling 2")
    check_equal(after(1, 0), [], "retained messages with handling 1, subscribed before")
    check_equal(after(0, 1), [b"x"], "retained messages with handling 0")
    client.unsubscribe(env.topic("a"))
    check_equal(after(1, 1), [b"x"], "retained messages with handling 1, newly subscribed")


@case
def max_packet_size(env):
    sub = connected(env, "sub", MaximumPacketSize=200)
    sub.subscribe(env.topic("#"), 1)
    pub = connected(env, "pub")
    pub.publish(env.topic("a"), b"x" * 300, 1)
    pub.publish(env.topic("a"), b"small", 1)
    check_equal(sub.receive().payload, b"small", "the first message below the maximum packet size")
    # Dropped messages must not use up the receive maximum or block what follows.
    for _ in range(50):
        pub.publish(env.topic("a"), b"x" * 300, 1)
    pub.publish(env.topic("a"), b"last", 1)
    check_equal(sub.receive().payload, b"last", "the next message below the maximum packet size")


@case
def receive_maximum(env):
    sub = connected(env, "sub", manual_ack=True, ReceiveMaximum=2)
    sub.subscribe(env.topic("a"), 1)
    pub = connected(env, "pub")
    for i in range(6):
        pub.publish(env.topic("a"), str(i), 1)
    first, second = sub.receive(), sub.receive()
    # Other packets are never held back by the quota.
    sub.subscribe(env.topic("b"), 1)
    check(sub.messages.empty(), "more messages than the receive maximum")
    held = [first, second]
    got = [int(m.payload) for m in held]
    for _ in range(4):
        done = held.pop(0)
        sub.mqtt.ack(done.mid, done.qos)
        held.append(sub.receive())
        got.append(int(held[-1].payload))
        check(sub.messages.empty(), "more messages than were acknowledged")
    check_equal(got, list(range(6)), "messages in order")


if __name__ == "__main__":
    main()
