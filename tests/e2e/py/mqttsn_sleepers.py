"""Sleeping clients: what waits for them, their order, and where they come back from."""

import time

from cases import case, check, check_equal
from mqttsn_cases import main


def data_of(messages):
    return [message.data for message in messages]


@case
def messages_wait(env):
    """Of all QoS, in their order, one after another, then PINGRESP; next time there are none."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("#"), qos=2)
    client.sleep(60)
    expected = []
    for n in range(12):
        env.publish(env.topic(f"{n % 3}"), f"{n}", qos=n % 3)
        expected.append((env.topic(f"{n % 3}"), b"%d" % n, n % 3))
    messages = [(m.name, m.data, m.qos) for m in client.wake()]
    check_equal(len(messages), len(expected), "number of messages that waited")
    # MQTT promises the order of those of one QoS.
    for qos in (0, 1, 2):
        of_qos = [[m for m in each if m[2] == qos] for each in (messages, expected)]
        check_equal(of_qos[0], of_qos[1], "messages that waited")
    check_equal(client.wake(), [], "messages the second time")
    client.disconnect()


@case
def clean_sessions_sleep_too(env):
    client = env.connected("a", clean=True)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    env.publish(env.topic("t"), "x", qos=1)
    check_equal(data_of(client.wake()), [b"x"], "messages that waited")


@case
def nothing_is_sent_to_a_sleeper(env):
    client, other = env.connected("a"), env.connected("b")
    for each in (client, other):
        each.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    env.publish(env.topic("t"), "x", qos=1)
    other.message()
    # What had been sent before the other's message would be here now.
    check_equal(client.receive_bytes(0.05), None, "datagram to a sleeper")
    check_equal(data_of(client.wake()), [b"x"], "messages that waited")
    env.publish(env.topic("t"), "y", qos=1)
    other.message()
    check_equal(client.receive_bytes(0.05), None, "datagram to a client that sleeps again")
    check_equal(data_of(client.wake()), [b"y"], "messages that waited")


@case
def messages_while_awake(env):
    """What comes between PINGREQ and PINGRESP is sent or waits; none is lost, none twice."""
    client = env.connected("a")
    topic = client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    for n in range(3):
        env.publish(env.topic("t"), f"{n}", qos=1)
    client.send("PINGREQ", client_id=client.client_id)
    first = client.receive()
    check_equal((first.kind, first.data), ("PUBLISH", b"0"), "first message")
    env.publish(env.topic("t"), "late", qos=1)
    message = client.read_publish(first)
    client.acknowledge(first)
    got = [message.data]
    while True:
        packet = client.receive()
        if packet.kind == "PINGRESP":
            break
        got.append(client.take(packet).data)
    got += data_of(client.wake())
    check_equal(got, [b"0", b"1", b"2", b"late"], f"messages of id {topic}")


@case
def lost_wake_ups(env):
    """A PINGREQ again while messages are on their way neither loses nor doubles."""
    client = env.connected("a")
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    for n in range(3):
        env.publish(env.topic("t"), f"{n}", qos=1)
    client.send("PINGREQ", client_id=client.client_id)
    first = client.receive()
    check_equal((first.kind, first.data), ("PUBLISH", b"0"), "first message")
    client.read_publish(first)
    client.send("PINGREQ", client_id=client.client_id)
    client.acknowledge(first)
    got, ends = [b"0"], 0
    while not ends or len(got) < 3:
        packet = client.receive()
        check(packet is not None, f"only {got} came")
        if packet.kind == "PINGRESP":
            ends += 1
        elif packet.kind == "PUBLISH" and packet.dup:
            check_equal((packet.msg, packet.data), (first.msg, b"0"), "repetition")
            client.acknowledge(packet)
        else:
            got.append(client.take(packet).data)
    check_equal(got, [b"0", b"1", b"2"], "messages")


@case
def connecting_ends_the_sleep(env):
    """CONNECT from asleep with CleanSession=0: everything is delivered while active."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=2)
    client.sleep(60)
    for n in range(4):
        env.publish(env.topic("t"), f"{n}", qos=1 + n % 2)
    client.connect(clean=False)
    check_equal(data_of(client.messages(4)), [b"0", b"1", b"2", b"3"], "messages that waited")
    env.publish(env.topic("t"), "awake", qos=1)
    check_equal(client.message().data, b"awake", "message while active")
    client.ping()


@case
def clean_connect_from_asleep_deletes(env):
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    env.publish(env.topic("t"), "x", qos=1)
    client.connect(clean=True)
    client.ping()
    env.publish(env.topic("t"), "y", qos=1)
    client.ping()


@case
def farewell_of_a_sleeper(env):
    """DISCONNECT without Duration ends the sleep: its ping is a stranger's."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    client.disconnect()
    client.send("PINGREQ", client_id=client.client_id)
    client.expect("DISCONNECT")
    env.publish(env.topic("t"), "x", qos=1)
    client.connect(clean=False)
    check_equal(client.message().data, b"x", "message of the time away")


@case
def a_new_duration(env):
    """DISCONNECT with another Duration starts the sleep again; the last one counts."""
    subscriber = env.subscriber(env.topic("w"))
    client = env.connected("a", will=(env.topic("w"), b"overslept", 1, False))
    client.sleep(1)
    client.sleep(60)
    # One that sleeps 2 s from now on is lost while the first one is not.
    other = env.connected("b", will=(env.topic("w"), b"other", 1, False))
    other.sleep(2)
    subscriber.expect(env.topic("w"), "other", qos=1)
    check_equal(client.wake(), [], "messages")
    begun = time.monotonic()
    client.sleep(1)
    subscriber.expect(env.topic("w"), "overslept", qos=1)
    slept_s = time.monotonic() - begun
    check(1 < slept_s < 4, f"lost after {slept_s:.1f} s")


@case
def waking_restarts_the_sleep(env):
    """Pings every second keep a sleeper of 1 s alive; without them it is lost."""
    subscriber = env.subscriber(env.topic("w"))
    client = env.connected("a", will=(env.topic("w"), b"overslept", 1, False))
    client.sleep(1)
    begun = time.monotonic()
    while time.monotonic() - begun < 2.5:
        check_equal(client.wake(), [], "messages")
        time.sleep(0.5)
    subscriber.expect_none_before(env, env.topic("w"))
    subscriber.expect(env.topic("w"), "overslept", qos=1)


@case
def keep_alive_does_not_end_a_sleep(env):
    """Keep alive 1 s, sleep 60 s: not lost after 2 s."""
    client = env.connected("a", duration=1)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    other = env.connected("b", duration=1, will=(env.topic("w"), b"other", 0, False))
    subscriber = env.subscriber(env.topic("w"))
    other.ping()
    subscriber.expect(env.topic("w"), "other")
    env.publish(env.topic("t"), "x", qos=1)
    check_equal(data_of(client.wake()), [b"x"], "messages")


@case
def old_messages_without_acknowledgement_go_first(env):
    """The queue (here of 5 messages) is full: it stays bounded, its order is kept."""
    client = env.connected("a")
    client.subscribe(env.topic("t"), qos=2)
    client.sleep(60)
    for n in range(5):
        env.publish(env.topic("t"), f"q0 {n}", qos=0)
    for n in range(3):
        env.publish(env.topic("t"), f"q1 {n}", qos=1)
    got = data_of(client.wake())
    check(len(got) <= 5, f"{len(got)} messages waited")
    check_equal(got[-3:], [b"q1 0", b"q1 1", b"q1 2"], "messages of QoS 1")
    check_equal(got[:-3], sorted(got[:-3]), "order of those of QoS 0")


@case
def publishing_while_asleep(env):
    """Counts as activity, or is told to connect: never unanswered."""
    client = env.connected("a", clean=False)
    topic = client.register(env.topic("t"))
    subscriber = env.subscriber(env.topic("t"))
    client.sleep(60)
    msg = client.next_msg()
    client.send("PUBLISH", qos=1, topic=topic, msg=msg, data=b"in its sleep")
    packet = client.receive()
    if packet.kind == "PUBACK":
        check_equal((packet.msg, packet.code), (msg, 0), "PUBACK")
        subscriber.expect(env.topic("t"), "in its sleep", qos=1)
    else:
        check_equal(packet.kind, "DISCONNECT", "answer")


@case
def back_from_another_port(env):
    """PINGREQ with the client id from another port of the same host: the client has moved."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("#"), qos=2)
    client.sleep(60)
    for round in range(3):
        for n in range(3):
            env.publish(env.topic(f"{n}"), f"{round} {n}", qos=n)
        old = client.move()
        check_equal(data_of(client.wake()), [b"%d %d" % (round, n) for n in range(3)], "messages")
        # The old address is a stranger's now.
        client.path, new = old, client.path
        client.send("PINGREQ")
        client.expect("DISCONNECT")
        client.path = new
    client.connect(clean=False)
    client.ping()


@case
def qos_2_over_fifty_ports(env):
    """The client moves in the middle of QoS 2, in both directions: every message once."""
    client, subscriber = env.connected("a", clean=False), env.subscriber(env.topic("out"))
    client.subscribe(env.topic("in"), qos=2)
    outgoing = client.register(env.topic("out"))
    client.sleep(60)
    sent, got, ports = [], [], {client.path.own}
    move, client.move = client.move, lambda: ports.add(client.path.own) or move()
    while len(ports) <= 50:
        n = len(sent)
        env.publish(env.topic("in"), f"{n}", qos=2)
        sent.append(b"%d" % n)
        if n % 6 == 3:
            got += wandering_wake(client)
        else:
            client.move()
            got += data_of(client.wake())
        client.move()
        check_equal(client.wake(), [], "messages before publishing")
        wandering_publish(client, subscriber, env, outgoing, n)
    check_equal(got, sent, "messages to the sleeper")
    subscriber.expect_none_before(env, env.topic("out"))


def wandering_wake(client):
    """Wakes up and moves before PUBREC and before PUBCOMP; the data of new messages."""
    client.move()
    client.send("PINGREQ", client_id=client.client_id)
    publish = client.receive()
    while publish.kind == "REGISTER":
        client.take_register(publish)
        publish = client.receive()
    check_equal((publish.kind, publish.qos, publish.dup), ("PUBLISH", 2, 0), "message")
    client.read_publish(publish)
    # It wakes up again elsewhere before it has answered.
    client.move()
    client.send("PINGREQ", client_id=client.client_id)
    again = client.receive()
    check_equal((again.kind, again.msg, again.data, again.dup), ("PUBLISH", publish.msg, publish.data, 1), "repetition")
    client.send("PUBREC", msg=publish.msg)
    client.expect("PUBREL", msg=publish.msg)
    client.move()
    client.send("PINGREQ", client_id=client.client_id)
    # The gateway knows that the message arrived: never PUBLISH again.
    client.expect("PUBREL", msg=publish.msg)
    client.send("PUBCOMP", msg=publish.msg)
    client.outstanding = None
    client.expect("PINGRESP")
    return [publish.data]


def wandering_publish(client, subscriber, env, topic, n):
    """Publishes with CONNECT between PUBLISH and PUBREL, from another port; sleeps again."""
    client.connect(clean=False)
    msg = client.next_msg()
    client.send("PUBLISH", qos=2, topic=topic, msg=msg, data=b"out %d" % n)
    client.expect("PUBREC", msg=msg)
    client.path.close()
    client.move()
    client.connect(clean=False)
    for dup in (1, 1):
        client.send("PUBLISH", dup=dup, qos=2, topic=topic, msg=msg, data=b"out %d" % n)
        client.expect("PUBREC", msg=msg)
    client.send("PUBREL", msg=msg)
    client.expect("PUBCOMP", msg=msg)
    subscriber.expect(env.topic("out"), f"out {n}", qos=2)
    client.sleep(60)


main()
