"""Messages of every QoS in both directions, between MQTT-SN and MQTT, and their repetitions."""

from cases import case, check, check_equal
from mqttsn_cases import main
from mqttsn_codec import PREDEFINED


@case
def to_mqtt(env):
    """Each QoS arrives as itself."""
    client, subscriber = env.connected("a"), env.subscriber(env.topic("#"))
    topic = client.register(env.topic("t"))
    for qos in (0, 1, 2):
        client.publish(topic, b"qos %d" % qos, qos=qos)
        subscriber.expect(env.topic("t"), f"qos {qos}", qos=qos)
    client.publish(topic, b"", qos=1)
    subscriber.expect(env.topic("t"), "", qos=1)


@case
def from_mqtt(env):
    """The lower of the two QoS."""
    for granted in (0, 1, 2):
        client = env.connected(f"s{granted}")
        topic = client.subscribe(env.topic("t"), qos=granted)
        for qos in (0, 1, 2):
            env.publish(env.topic("t"), f"qos {qos}", qos=qos)
            message = client.message()
            check_equal(
                (message.name, message.data, message.qos, message.retain, message.packet.topic),
                (env.topic("t"), b"qos %d" % qos, min(qos, granted), 0, topic),
                "message",
            )
        client.disconnect()


@case
def between_clients(env):
    first, second = env.connected("a"), env.connected("b")
    second.subscribe(env.topic("t"), qos=2)
    topic = first.register(env.topic("t"))
    for qos in (0, 1, 2):
        for n in range(5):
            first.publish(topic, b"%d %d" % (qos, n), qos=qos)
            message = second.message()
            check_equal((message.data, message.qos), (b"%d %d" % (qos, n), qos), "message")


@case
def many_in_order(env):
    """One QoS 1 or 2 message at a time, in the order of their publication."""
    client = env.connected("a")
    client.subscribe(env.topic("t"), qos=2)
    sender = env.connected("b")
    topic = sender.register(env.topic("t"))
    for n in range(150):
        sender.publish(topic, b"%d" % n, qos=1 + n % 2)
    received = [message.data for message in client.messages(150)]
    check_equal(received, [b"%d" % n for n in range(150)], "order")


@case
def retained(env):
    client, topic = env.connected("a"), env.topic("t")
    client.publish(client.register(topic), b"kept", qos=1, retain=True)
    env.subscriber(topic).expect(topic, "kept", qos=1, retain=True)
    other = env.connected("b")
    other.subscribe(env.topic("#"), qos=1)
    message = other.message()
    check_equal((message.name, message.data, message.retain), (topic, b"kept", 1), "retained message")
    # Live it is not marked.
    client.publish(client.register(topic), b"new", qos=1, retain=True)
    check_equal(other.message().retain, 0, "Retain flag of a live message")
    client.publish(client.register(topic), b"", qos=0, retain=True)
    check_equal(other.message().data, b"", "deletion")
    third = env.connected("c")
    third.subscribe(topic, qos=1)
    third.ping()
    # By MQTT there, by a predefined id here.
    env.publish("sn/pre/five", "pre", qos=1, retain=True)
    third.predefined = {5: "sn/pre/five"}
    third.subscribe(5, qos=1, topic_type=PREDEFINED)
    message = third.message()
    check_equal((message.name, message.data, message.retain), ("sn/pre/five", b"pre", 1), "retained message")
    env.publish("sn/pre/five", "", retain=True)


@case
def unsubscribe(env):
    client = env.connected("a")
    client.subscribe(env.topic("t"), qos=1)
    client.subscribe(env.topic("+/x"), qos=1)
    client.unsubscribe(env.topic("t"))
    client.unsubscribe(env.topic("+/x"))
    # What it never had is acknowledged too.
    client.unsubscribe(env.topic("never"))
    env.publish(env.topic("t"), "x", qos=1)
    env.publish(env.topic("a/x"), "x", qos=1)
    client.ping()


@case
def subscribe_again_changes_the_qos(env):
    client = env.connected("a")
    topic = client.subscribe(env.topic("t"), qos=0)
    check_equal(client.subscribe(env.topic("t"), qos=2), topic, "id of the same topic")
    env.publish(env.topic("t"), "x", qos=2)
    check_equal(client.message().qos, 2, "QoS")
    client.ping()


@case
def lost_answers_of_qos_1(env):
    """A PUBLISH again, with DUP: acknowledged again."""
    client, subscriber = env.connected("a"), env.subscriber(env.topic("t"))
    topic, msg = client.register(env.topic("t")), client.next_msg()
    for dup in (0, 1):
        client.send("PUBLISH", dup=dup, qos=1, topic=topic, msg=msg, data=b"x")
        client.expect("PUBACK", topic=topic, msg=msg, code=0)
    subscriber.expect(env.topic("t"), "x", qos=1)


@case
def lost_answers_of_qos_2(env):
    """PUBLISH and PUBREL three times each: one message."""
    client, subscriber = env.connected("a"), env.subscriber(env.topic("t"))
    topic, msg = client.register(env.topic("t")), client.next_msg()
    for dup in (0, 1, 1):
        client.send("PUBLISH", dup=dup, qos=2, topic=topic, msg=msg, data=b"once")
        client.expect("PUBREC", msg=msg)
    for _ in range(3):
        client.send("PUBREL", msg=msg)
        client.expect("PUBCOMP", msg=msg)
    subscriber.expect(env.topic("t"), "once", qos=2)
    # The id is free again: the same one is a new message.
    client.send("PUBLISH", qos=2, topic=topic, msg=msg, data=b"next")
    client.expect("PUBREC", msg=msg)
    client.send("PUBREL", msg=msg)
    client.expect("PUBCOMP", msg=msg)
    subscriber.expect(env.topic("t"), "next", qos=2)
    subscriber.expect_none_before(env, env.topic("t"))


@case
def qos_2_goes_on_after_a_reconnect(env):
    """A kept session knows the message ids that are not released."""
    client, subscriber = env.connected("a", clean=False), env.subscriber(env.topic("t"))
    topic, msg = client.register(env.topic("t")), client.next_msg()
    client.send("PUBLISH", qos=2, topic=topic, msg=msg, data=b"once")
    client.expect("PUBREC", msg=msg)
    client.connect(clean=False)
    client.send("PUBLISH", dup=1, qos=2, topic=topic, msg=msg, data=b"once")
    client.expect("PUBREC", msg=msg)
    client.send("PUBREL", msg=msg)
    client.expect("PUBCOMP", msg=msg)
    subscriber.expect(env.topic("t"), "once", qos=2)
    subscriber.expect_none_before(env, env.topic("t"))


@case
def two_at_once(env):
    """A client that does not wait for its acknowledgement is served all the same."""
    client, subscriber = env.connected("a"), env.subscriber(env.topic("t"))
    topic = client.register(env.topic("t"))
    first, second = client.next_msg(), client.next_msg()
    for msg in (first, second):
        client.send("PUBLISH", qos=1, topic=topic, msg=msg, data=b"%d" % msg)
    for msg in (first, second):
        client.expect("PUBACK", topic=topic, msg=msg, code=0)
        subscriber.expect(env.topic("t"), f"{msg}", qos=1)


@case
def large_messages(env):
    """Of any size that a datagram takes; what is larger is given up silently."""
    client = env.connected("a")
    topic = client.subscribe(env.topic("t"), qos=1)
    sender = env.connected("b")
    same = sender.register(env.topic("t"))
    for size in (1, 247, 248, 249, 250, 1400):
        sender.publish(same, b"z" * size, qos=1)
        check_equal(len(client.message().data), size, "size")
    env.publish(env.topic("t"), "y" * 70_000, qos=1)
    env.publish(env.topic("t"), "after", qos=1)
    message = client.message()
    check_equal((message.data, message.packet.topic), (b"after", topic), "message after one that is too large")


@case
def answers_to_nothing(env):
    """PINGRESP without PINGREQ and answers to nothing change nothing."""
    client = env.connected("a")
    client.send("PINGRESP")
    client.send("PUBACK", topic=1, msg=77, code=0)
    client.send("PUBREC", msg=78)
    client.send("PUBCOMP", msg=79)
    client.send("REGACK", topic=1, msg=80, code=0)
    client.send("PINGREQ")
    packet = client.receive()
    if packet.kind == "PUBREL":
        # MQTT answers a PUBREC of nothing so.
        check_equal(packet.msg, 78, "PUBREL")
        packet = client.receive()
    check_equal(packet.kind, "PINGRESP", "answer")
    check(client.subscribe(env.topic("t"), qos=1) != 0, "no id")


main()
