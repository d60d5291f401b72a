"""gmqtt against the server: MQTT 5, with a parser of its own."""

import asyncio

import gmqtt

from cases import LIMIT, case, check, check_equal, main


class Client:
    """A gmqtt client whose callbacks end in queues."""

    def __init__(self, env, tail, clean=True, will=None, **connect):
        self.env = env
        self.messages = asyncio.Queue()
        self.subacks = asyncio.Queue()
        self.unsubacks = asyncio.Queue()
        self.connacks = asyncio.Queue()
        self.disconnects = asyncio.Queue()
        self.gmqtt = gmqtt.Client(env.client_id(tail), clean_session=clean, will_message=will, **connect)
        self.gmqtt.set_config({"reconnect_retries": -1})
        self.gmqtt.on_connect = lambda c, flags, code, props: self.connacks.put_nowait((flags, props))
        self.gmqtt.on_message = self.on_message
        self.gmqtt.on_subscribe = lambda c, mid, codes, props: self.subacks.put_nowait(codes)
        self.gmqtt.on_unsubscribe = lambda c, mid, codes: self.unsubacks.put_nowait(codes)
        self.gmqtt.on_disconnect = lambda c, packet, exc=None: self.disconnects.put_nowait(packet)

    def on_message(self, client, topic, payload, qos, properties):
        self.messages.put_nowait((topic, payload, qos, properties))
        return 0

    async def connect(self):
        """Connects; returns whether the server had a session."""
        await asyncio.wait_for(self.gmqtt.connect(self.env.host, self.env.port), LIMIT)
        flags, self.connack = await asyncio.wait_for(self.connacks.get(), LIMIT)
        return bool(flags)

    async def subscribe(self, topic, qos=0, **options):
        self.gmqtt.subscribe(topic, qos=qos, **options)
        return (await asyncio.wait_for(self.subacks.get(), LIMIT))[0]

    async def unsubscribe(self, topic):
        self.gmqtt.unsubscribe(topic)
        return await asyncio.wait_for(self.unsubacks.get(), LIMIT)

    async def publish(self, topic, payload=b"", qos=0, retain=False, **properties):
        """Publishes and waits for the acknowledgement that the QoS has."""
        self.gmqtt.publish(topic, payload, qos=qos, retain=retain, **properties)
        await asyncio.wait_for(self.gmqtt._persistent_storage.wait_empty(), LIMIT)

    async def receive(self):
        return await asyncio.wait_for(self.messages.get(), LIMIT)

    async def receive_until(self, topic):
        """All messages before the one on `topic`."""
        messages = []
        while (message := await self.receive())[0] != topic:
            messages.append(message)
        return messages

    def drop(self):
        """Loses the connection without DISCONNECT."""
        self.gmqtt.stop_reconnect()
        self.gmqtt._connection._transport.abort()


async def connected(env, tail, **options):
    client = Client(env, tail, **options)
    await client.connect()
    return client


@case
async def qos_both_ways(env):
    pub = await connected(env, "pub")
    for granted in (0, 1, 2):
        sub = await connected(env, f"sub{granted}")
        check_equal(await sub.subscribe(env.topic("+"), granted), granted, "granted QoS")
        for qos in (0, 1, 2):
            await pub.publish(env.topic(f"q{qos}"), f"payload {qos}", qos)
            topic, payload, got_qos, properties = await sub.receive()
            check_equal((topic, payload), (env.topic(f"q{qos}"), f"payload {qos}".encode()), "message")
            check_equal(got_qos, min(qos, granted), f"QoS of {qos} at subscription {granted}")
            check_equal(properties["retain"], 0, "RETAIN on a live message")
        await sub.gmqtt.disconnect()


@case
async def retained(env):
    pub = await connected(env, "pub")
    await pub.publish(env.topic("state"), "on", 1, retain=True, content_type="text/plain")
    sub = await connected(env, "sub")
    await sub.subscribe(env.topic("#"), 1)
    _, payload, _, properties = await sub.receive()
    check_equal((payload, properties["retain"]), (b"on", 1), "retained message")
    check_equal(properties["content_type"], ["text/plain"], "content type of the retained message")
    await pub.publish(env.topic("state"), b"", 1, retain=True)
    await sub.receive()
    late = await connected(env, "late")
    await late.subscribe(env.topic("#"), 1)
    await pub.publish(env.topic("end"), "", 1)
    check_equal(await late.receive_until(env.topic("end")), [], "retained messages after the clear")


@case
async def will_delay(env):
    watcher = await connected(env, "watcher")
    await watcher.subscribe(env.topic("#"), 1)
    will = gmqtt.Message(
        env.topic("will"), "gone", qos=1, will_delay_interval=1, user_property=[("a", "1"), ("a", "2")]
    )
    client = await connected(env, "c", will=will, session_expiry_interval=600)
    loop = asyncio.get_running_loop()
    client.drop()
    dropped = loop.time()
    _, payload, _, properties = await watcher.receive()
    check_equal(payload, b"gone", "will")
    check(loop.time() - dropped > 0.9, "the will came before its delay")
    check_equal(properties["user_property"], [("a", "1"), ("a", "2")], "user properties of the will")


@case
async def shared(env):
    members = [await connected(env, f"m{i}") for i in range(3)]
    together = asyncio.Queue()
    for m in members:
        m.messages = together
        await m.subscribe(f"$share/group/{env.topic('#')}", 2)
    pub = await connected(env, "pub")
    count = 60
    for i in range(count):
        await pub.publish(env.topic("job"), str(i), i % 3)
    got = [int((await asyncio.wait_for(together.get(), LIMIT))[1]) for _ in range(count)]
    check_equal(sorted(got), list(range(count)), "the group's messages, each once")


@case
async def offline_queue(env):
    sub = Client(env, "sub", clean=False, session_expiry_interval=300)
    check(not await sub.connect(), "session present for a new client")
    await sub.subscribe(env.topic("#"), 2)
    await sub.gmqtt.disconnect()
    pub = await connected(env, "pub")
    count = 100
    for i in range(count):
        await pub.publish(env.topic("a"), str(i), 1 + i % 2)
    again = Client(env, "sub", clean=False, session_expiry_interval=300)
    check(await again.connect(), "no session present")
    got = [await again.receive() for _ in range(count)]
    for qos in (1, 2):
        numbers = [int(m[1]) for m in got if m[2] == qos]
        check_equal(numbers, list(range(qos - 1, count, 2)), f"queued messages in order at QoS {qos}")


@case
async def take_over(env):
    old = await connected(env, "c")
    new = await connected(env, "c")
    old.gmqtt.stop_reconnect()
    packet = await asyncio.wait_for(old.disconnects.get(), LIMIT)
    check_equal(packet[:1], b"\x8e", "reason code of the old connection")
    await new.subscribe(env.topic("a"))
    await new.publish(env.topic("a"), "mine")
    check_equal((await new.receive())[1], b"mine", "message")


@case
async def large_payload(env):
    client = await connected(env, "c")
    await client.subscribe(env.topic("a"), 2)
    for qos in (0, 1, 2):
        payload = bytes((i * 3 + qos) % 256 for i in range(1024)) * 900
        await client.publish(env.topic("a"), payload, qos)
        check((await client.receive())[1] == payload, "content")


@case
async def alias_to_client(env):
    sub = await connected(env, "sub", topic_alias_maximum=3)
    await sub.subscribe(env.topic("#"), 1)
    pub = await connected(env, "pub")
    # More topics than the client allows aliases, each several times.
    count = 120
    for i in range(count):
        await pub.publish(env.topic(f"t{i % 12}"), str(i), i % 2)
    for i in range(count):
        topic, payload, _, properties = await sub.receive()
        check_equal(topic, env.topic(f"t{int(payload) % 12}"), "topic by alias")
        check(properties.get("topic_alias", [1])[0] in (1, 2, 3), f"alias {properties.get('topic_alias')}")


@case
async def alias_to_server(env):
    sub = await connected(env, "sub")
    await sub.subscribe(env.topic("#"), 1)
    pub = await connected(env, "pub")
    await pub.publish(env.topic("a"), "1", 1, topic_alias=1)
    await pub.publish("", "2", 1, topic_alias=1)
    for payload in (b"1", b"2"):
        topic, got, _, properties = await sub.receive()
        check_equal((topic, got), (env.topic("a"), payload), "message by alias")
        check("topic_alias" not in properties, "an alias for a client that allows none")


@case
async def subscription_identifiers(env):
    client = await connected(env, "c")
    await client.subscribe(env.topic("a/#"), 1, subscription_identifier=3)
    await client.subscribe(env.topic("a/+"), 1, subscription_identifier=200)
    await client.subscribe(env.topic("end"), 1)
    await client.publish(env.topic("a/b"), "x", 1)
    await client.publish(env.topic("end"), "", 1)
    got = []
    for message in await client.receive_until(env.topic("end")):
        got += message[3].get("subscription_identifier", [])
    check_equal(sorted(got), [3, 200], "subscription identifiers")


@case
async def message_properties(env):
    sub = await connected(env, "sub")
    await sub.subscribe(env.topic("a"), 1)
    pub = await connected(env, "pub")
    users = [("b", "1"), ("a", "2"), ("b", "3")]
    await pub.publish(
        env.topic("a"),
        "x",
        1,
        user_property=users,
        content_type="text/plain",
        response_topic="r/t",
        correlation_data=b"\x00\x01",
        message_expiry_interval=100,
        payload_format_id=1,
    )
    _, _, _, p = await sub.receive()
    check_equal(p["user_property"], users, "user properties in order")
    check_equal(p["content_type"], ["text/plain"], "content type")
    check_equal(p["response_topic"], ["r/t"], "response topic")
    check_equal(p["correlation_data"], [b"\x00\x01"], "correlation data")
    check(98 <= p["message_expiry_interval"][0] <= 100, "message expiry")


@case
async def subscription_options(env):
    pub = await connected(env, "pub")
    await pub.publish(env.topic("a"), "kept", 1, retain=True)
    client = await connected(env, "c")
    await client.subscribe(env.topic("#"), 1, no_local=True, retain_as_published=True, retain_handling_options=2)
    await client.publish(env.topic("a"), "own", 1)
    await pub.publish(env.topic("a"), "retained now", 1, retain=True)
    _, payload, _, properties = await client.receive()
    check_equal((payload, properties["retain"]), (b"retained now", 1), "first message")


@case
async def unsubscribe(env):
    client = await connected(env, "c")
    await client.subscribe(env.topic("a"), 1)
    await client.subscribe(env.topic("end"), 1)
    check_equal(await client.unsubscribe(env.topic("a")), (0,), "UNSUBACK codes")
    check_equal(await client.unsubscribe(env.topic("never")), (0x11,), "UNSUBACK codes of an unknown filter")
    await client.publish(env.topic("a"), "x", 1)
    await client.publish(env.topic("end"), "", 1)
    check_equal(await client.receive_until(env.topic("end")), [], "messages after UNSUBSCRIBE")


if __name__ == "__main__":
    main()
