"""Topic ids, short names, predefined topics, QoS -1.

The server knows the predefined topics 5 (sn/pre/five), 6 (sn/pre/six) and 300 (sn/pre/large) of
all clients, and of the client `special` 7 (sn/pre/seven), and 5 (sn/pre/own) in the stead of the
other. Without a connection sn/pre/# and `ok` may be published to.
"""

from cases import case, check, check_equal
from mqttsn_cases import main
from mqttsn_codec import ACCEPTED, CONGESTION, INVALID_TOPIC_ID, NORMAL, NOT_SUPPORTED, PREDEFINED, SHORT, WITHOUT_CONNECTION

GLOBAL = {5: "sn/pre/five", 6: "sn/pre/six", 300: "sn/pre/large"}


@case
def register(env):
    """One id for a name, the same for the same name, others for others."""
    client = env.connected("a")
    subscriber = env.subscriber(env.topic("#"))
    first = client.register(env.topic("one"))
    second = client.register(env.topic("two"))
    check(first != second, "two names have one id")
    check_equal(client.register(env.topic("one")), first, "id of a name that has one")
    # A subscription and a REGISTER know the same table.
    check_equal(client.subscribe(env.topic("two")), second, "id in SUBACK")
    client.unsubscribe(env.topic("two"))
    client.publish(first, b"1", qos=1)
    client.publish(second, b"2", qos=1)
    subscriber.expect(env.topic("one"), "1", qos=1)
    subscriber.expect(env.topic("two"), "2", qos=1)


@case
def names_that_cannot_be_registered(env):
    client = env.connected("a")
    for name in ("a/#", "#", "+", "a/+/b"):
        check_equal(client.register(name, code=NOT_SUPPORTED), 0, f"id for {name}")
    good = client.register(env.topic("good"))
    client.publish(good, b"x", qos=1)


@case
def ids_are_the_clients_own(env):
    """What one client registers, another may not use."""
    first, second = env.connected("a"), env.connected("b")
    names = [env.topic(f"n/{n}") for n in range(5)]
    ids = [first.register(name) for name in names]
    for topic in ids:
        second.publish(topic, b"x", qos=1, code=INVALID_TOPIC_ID)
    # The same ids stand for other names there.
    theirs = [second.register(name) for name in reversed(names)]
    subscriber = env.subscriber(env.topic("#"))
    first.publish(ids[0], b"of a", qos=1)
    subscriber.expect(names[0], "of a", qos=1)
    second.publish(theirs[0], b"of b", qos=1)
    subscriber.expect(names[-1], "of b", qos=1)


@case
def unknown_ids(env):
    """PUBACK 0x02 whatever the QoS."""
    client = env.connected("a")
    for topic_type in (NORMAL, PREDEFINED):
        for qos in (0, 1, 2):
            client.publish(999, b"x", qos=qos, topic_type=topic_type, code=INVALID_TOPIC_ID)
    client.subscribe(999, topic_type=PREDEFINED, code=INVALID_TOPIC_ID)
    # Reserved ids are never known.
    for topic in (0, 0xFFFF):
        client.publish(topic, b"x", qos=1, code=INVALID_TOPIC_ID)
    client.ping()


@case
def no_id_is_left(env):
    """With `max_topics` (here 10) ids: 0x01 or 0x03; those that there are go on."""
    client = env.connected("a")
    ids = [client.register(env.topic(f"{n}")) for n in range(10)]
    check_equal(len(set(ids)), 10, "different ids")
    for n in range(10, 30):
        msg = client.next_msg()
        client.send("REGISTER", msg=msg, name=env.topic(f"{n}"))
        regack = client.receive()
        check_equal((regack.kind, regack.topic, regack.msg), ("REGACK", 0, msg), "answer without an id")
        check(regack.code in (CONGESTION, NOT_SUPPORTED), f"code {regack.code}")
    # A subscription to a name needs an id too.
    msg = client.next_msg()
    client.send("SUBSCRIBE", msg=msg, topic=env.topic("more"))
    suback = client.receive()
    check_equal((suback.kind, suback.msg), ("SUBACK", msg), "answer without an id")
    check(suback.code in (CONGESTION, NOT_SUPPORTED), f"code {suback.code}")
    # Another client has its own, and this one still has its ten.
    other = env.connected("b")
    other.register(env.topic("more"))
    subscriber = env.subscriber(env.topic("#"))
    client.publish(ids[9], b"x", qos=1)
    subscriber.expect(env.topic("9"), "x", qos=1)


@case
def wildcards_without_ids_left(env):
    """A message whose topic gets no id harms nothing else."""
    client = env.connected("a")
    client.subscribe(env.topic("in/#"), qos=1)
    for n in range(10):
        client.register(env.topic(f"{n}"))
    kept = env.topic("in/kept")
    for n in range(3):
        env.publish(env.topic(f"in/{n}"), "x", qos=1)
    client.ping()
    client.disconnect()
    client.connect()
    client.subscribe(env.topic("in/#"), qos=1)
    env.publish(kept, "x", qos=1)
    check_equal(client.message().name, kept, "message after a clean start")


@case
def wildcard_subscription(env):
    """SUBACK has id 0; each topic is registered before its first message and only then."""
    client = env.connected("a")
    check_equal(client.subscribe(env.topic("+/x"), qos=1), 0, "id of a wildcard")
    client.subscribe(env.topic("deep/#"), qos=0)
    for name in ("1/x", "2/x", "deep/a/b/c"):
        env.publish(env.topic(name), "first", qos=1)
        registered = client.expect("REGISTER", name=env.topic(name))
        client.take_register(registered)
        check_equal(client.message().name, env.topic(name), "name of a registered id")
        env.publish(env.topic(name), "second", qos=1)
        packet = client.expect("PUBLISH", topic=registered.topic, data=b"second")
        check_equal(client.take(packet).name, env.topic(name), "name of a registered id")


@case
def refused_registration_ends_the_topic(env):
    """REGACK with a rejection: no message of that topic any more, others go on."""
    client = env.connected("a")
    client.subscribe(env.topic("#"), qos=1)
    bad, good = env.topic("bad"), env.topic("good")
    for n in range(3):
        env.publish(bad, f"{n}", qos=1)
    client.take_register(client.expect("REGISTER", name=bad), code=NOT_SUPPORTED)
    env.publish(good, "x", qos=1)
    message = client.message()
    check_equal((message.name, message.data), (good, b"x"), "message after the refused topic")


@case
def refused_id_is_corrected(env):
    """The client's PUBACK 0x02: REGISTER again, and the message once more."""
    client = env.connected("a")
    topic = client.subscribe(env.topic("t"), qos=1)
    env.publish(env.topic("t"), "x", qos=1)
    publish = client.expect("PUBLISH", qos=1, topic=topic)
    client.ids = {}
    client.send("PUBACK", topic=topic, msg=publish.msg, code=INVALID_TOPIC_ID)
    client.take_register(client.expect("REGISTER", name=env.topic("t")))
    message = client.message()
    check_equal((message.name, message.data), (env.topic("t"), b"x"), "message after the correction")
    # Refused again it is given up, and the next one comes.
    env.publish(env.topic("t"), "y", qos=1)
    refusals = 0
    while refusals < 5:
        packet = client.receive()
        if packet.kind == "REGISTER":
            client.take_register(packet)
        else:
            check_equal((packet.kind, packet.data), ("PUBLISH", b"y"), "refused message")
            refusals += 1
            client.send("PUBACK", topic=packet.topic, msg=packet.msg, code=INVALID_TOPIC_ID)
        client.send("PINGREQ")
        packet = client.receive()
        if packet.kind == "PINGRESP":
            continue
        client.take(packet)
        client.expect("PINGRESP")
        break


@case
def short_names(env):
    """Two octets are the topic; no id, no REGISTER."""
    client = env.connected("a")
    subscriber = env.subscriber("ab", "é")
    client.subscribe("ab", qos=2, topic_type=SHORT)
    # Two octets may be one character.
    client.subscribe("é", qos=1, topic_type=SHORT)
    for qos in (0, 1, 2):
        client.publish("ab", b"%d" % qos, qos=qos, topic_type=SHORT)
        message = client.message()
        check_equal((message.name, message.data, message.qos), ("ab", b"%d" % qos, qos), "own message")
        check_equal(message.packet.topic_type, SHORT, "topic type")
        subscriber.expect("ab", f"{qos}", qos=qos)
    env.publish("é", "by MQTT", qos=1)
    check_equal(client.message().name, "é", "topic of two octets")
    subscriber.expect("é", "by MQTT", qos=1)
    client.unsubscribe("ab", topic_type=SHORT)
    env.publish("ab", "not for you", qos=1)
    client.ping()


@case
def short_names_that_are_none(env):
    """No wildcard, no NUL, no half a character; nothing reaches anyone."""
    client = env.connected("a")
    subscriber = env.subscriber("#")
    for name in (b"a+", b"#a", b"a\0", b"\xc3a", b"\xff\xfe"):
        client.send_bytes(bytes([9, 0x0C, 0x22]) + name + b"\0\x07" + b"hi")
        client.send("PINGREQ")
        packet = client.receive()
        if packet.kind == "PUBACK":
            check(packet.code != ACCEPTED and packet.msg == 7, f"answer to {name}: {packet}")
            packet = client.receive()
        check_equal(packet.kind, "PINGRESP", f"answer after {name}")
    subscriber.expect_none_before(env, env.topic("fence"))


@case
def a_name_of_two_octets_by_its_name(env):
    """Registered or subscribed to as a full name it has an id like others."""
    client = env.connected("a")
    subscriber = env.subscriber("xy")
    topic = client.register("xy")
    client.publish(topic, b"by id", qos=1)
    subscriber.expect("xy", "by id", qos=1)


@case
def predefined_topics(env):
    """Known without REGISTER; messages come with the predefined id."""
    client = env.connected("a")
    client.predefined = GLOBAL
    subscriber = env.subscriber("sn/pre/#")
    for topic, name in GLOBAL.items():
        client.subscribe(topic, qos=1, topic_type=PREDEFINED)
        client.publish(topic, b"x", qos=1, topic_type=PREDEFINED)
        message = client.message()
        check_equal((message.name, message.packet.topic_type), (name, PREDEFINED), "own message")
        subscriber.expect(name, "x", qos=1)
    client.unsubscribe(5, topic_type=PREDEFINED)
    env.publish("sn/pre/five", "not for you", qos=1)
    client.ping()


@case
def predefined_topics_of_a_client(env):
    """Those of the client itself win; others do not see them."""
    special, other = env.client("a"), env.connected("b")
    special.client_id = "special"
    special.connect()
    special.predefined = GLOBAL | {7: "sn/pre/seven", 5: "sn/pre/own"}
    subscriber = env.subscriber("sn/pre/#")
    for topic, name in special.predefined.items():
        special.subscribe(topic, qos=1, topic_type=PREDEFINED)
        special.publish(topic, b"x", qos=1, topic_type=PREDEFINED)
        check_equal(special.message().name, name, "own message")
        subscriber.expect(name, "x", qos=1)
    other.publish(7, b"x", qos=1, topic_type=PREDEFINED, code=INVALID_TOPIC_ID)
    other.publish(5, b"of all", qos=1, topic_type=PREDEFINED)
    subscriber.expect("sn/pre/five", "of all", qos=1)
    special.ping()


@case
def without_connection(env):
    """QoS -1: handled as QoS 0, with Retain; never answered."""
    stranger = env.client("stranger")
    subscriber = env.subscriber("sn/pre/#", "ok", "no")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=PREDEFINED, topic=5, data=b"predefined")
    subscriber.expect("sn/pre/five", "predefined")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=SHORT, topic="ok", data=b"short")
    subscriber.expect("ok", "short")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=PREDEFINED, topic=6, retain=1, data=b"kept")
    subscriber.expect("sn/pre/six", "kept")
    env.subscriber("sn/pre/six").expect("sn/pre/six", "kept", retain=True)
    env.publish("sn/pre/six", "", retain=True)
    subscriber.next()
    # Not on the list, unknown, normal, of one client only: dropped without a word.
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=SHORT, topic="no", data=b"x")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=PREDEFINED, topic=999, data=b"x")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=PREDEFINED, topic=7, data=b"x")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=NORMAL, topic=1, data=b"x")
    stranger.expect_silence()
    subscriber.expect_none_before(env, "ok")


@case
def without_connection_in_one(env):
    """A connected client may use QoS -1 too."""
    client = env.connected("a")
    subscriber = env.subscriber("sn/pre/#")
    client.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=PREDEFINED, topic=5, data=b"x")
    subscriber.expect("sn/pre/five", "x")
    client.ping()


@case
def without_connection_switched_off(env):
    """For a server without `qos_minus_one`: silence and no message."""
    stranger = env.client("stranger")
    subscriber = env.subscriber("#")
    stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=SHORT, topic="ok", data=b"x")
    stranger.expect_silence()
    subscriber.expect_none_before(env, env.topic("fence"))


main()
