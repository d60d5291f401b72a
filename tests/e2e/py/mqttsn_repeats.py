"""What the gateway repeats, how often, and what it makes of a client that never answers.

The server waits 1 s (`t_retry`) for an answer and repeats twice (`n_retry`).
"""

import time

from cases import case, check, check_equal
from mqttsn_cases import main

RETRY_S, RETRIES = 1, 2


def repetitions(client, first):
    """All that comes until the client is lost, with the times between."""
    packets, times = [first], [time.monotonic()]
    while True:
        packet = client.receive(2.5 * RETRY_S)
        if packet is None or packet.kind == "DISCONNECT":
            break
        packets.append(packet)
        times.append(time.monotonic())
    for earlier, later in zip(times, times[1:]):
        check(0.8 * RETRY_S < later - earlier < 2.5 * RETRY_S, f"repeated after {later - earlier:.2f} s")
    return packets


@case
def publish_is_repeated(env):
    """PUBLISH, the same with DUP twice, then the client is lost with its will."""
    subscriber = env.subscriber(env.topic("w"))
    for qos in (1, 2):
        client = env.connected(f"q{qos}", will=(env.topic("w"), b"lost", 1, False))
        client.subscribe(env.topic("t"), qos=qos)
        env.publish(env.topic("t"), f"{qos}", qos=2)
        packets = repetitions(client, client.expect("PUBLISH", dup=0, qos=qos))
        check_equal([p.dup for p in packets], [0] + [1] * RETRIES, "DUP flags")
        for packet in packets[1:]:
            wanted = packets[0].fields | {"dup": 1}
            check_equal((packet.kind, packet.fields), ("PUBLISH", wanted), "repetition")
        subscriber.expect(env.topic("w"), "lost", qos=1)
        client.send("PINGREQ")
        client.expect("DISCONNECT")


@case
def pubrel_is_repeated(env):
    subscriber = env.subscriber(env.topic("w"))
    client = env.connected("a", will=(env.topic("w"), b"lost", 1, False))
    client.subscribe(env.topic("t"), qos=2)
    env.publish(env.topic("t"), "x", qos=2)
    publish = client.expect("PUBLISH", qos=2)
    client.send("PUBREC", msg=publish.msg)
    packets = repetitions(client, client.expect("PUBREL", msg=publish.msg))
    check_equal([(p.kind, p.msg) for p in packets], [("PUBREL", publish.msg)] * (1 + RETRIES), "repetitions")
    subscriber.expect(env.topic("w"), "lost", qos=1)


@case
def register_is_repeated(env):
    subscriber = env.subscriber(env.topic("w"))
    client = env.connected("a", will=(env.topic("w"), b"lost", 1, False))
    client.subscribe(env.topic("t/#"), qos=1)
    env.publish(env.topic("t/1"), "x", qos=1)
    first = client.expect("REGISTER", name=env.topic("t/1"))
    packets = repetitions(client, first)
    check_equal(packets, [first] * (1 + RETRIES), "repetitions")
    subscriber.expect(env.topic("w"), "lost", qos=1)


@case
def a_late_answer_is_enough(env):
    """The last repetition is answered: the client goes on, nothing comes twice."""
    client = env.connected("a")
    client.subscribe(env.topic("t"), qos=1)
    env.publish(env.topic("t"), "slow", qos=1)
    for dup in (0, 1, 1):
        publish = client.expect("PUBLISH", dup=dup, qos=1, data=b"slow")
    client.acknowledge(publish)
    client.ping()
    # The count begins again with the next one.
    env.publish(env.topic("t"), "next", qos=1)
    for dup in (0, 1, 1):
        publish = client.expect("PUBLISH", dup=dup, qos=1, data=b"next")
    client.acknowledge(publish)
    client.ping()


@case
def others_wait_for_an_answer(env):
    """While one message is not acknowledged no other of QoS 1 is sent, only repetitions."""
    client = env.connected("a")
    client.subscribe(env.topic("t"), qos=1)
    for n in range(3):
        env.publish(env.topic("t"), f"{n}", qos=1)
    first = client.expect("PUBLISH", dup=0, data=b"0")
    again = client.expect("PUBLISH", dup=1, data=b"0", msg=first.msg)
    client.acknowledge(again)
    check_equal([m.data for m in client.messages(2)], [b"1", b"2"], "messages after it")
    client.ping()


@case
def a_kept_session_survives_the_loss(env):
    """What was not acknowledged comes again after a reconnect, with DUP; what waited, after it."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=1)
    for n in range(3):
        env.publish(env.topic("t"), f"{n}", qos=1)
    repetitions(client, client.expect("PUBLISH", data=b"0"))
    client.connect(clean=False)
    messages = client.messages(3)
    check_equal([m.data for m in messages], [b"0", b"1", b"2"], "messages")
    check_equal([m.dup for m in messages], [1, 0, 0], "DUP flags")


@case
def a_sleeper_that_stops_answering(env):
    """Lost too; its messages are kept."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    env.publish(env.topic("t"), "x", qos=1)
    client.send("PINGREQ", client_id=client.client_id)
    repetitions(client, client.expect("PUBLISH", data=b"x"))
    client.connect(clean=False)
    check_equal(client.message().data, b"x", "message after the loss")


@case
def a_will_that_never_comes(env):
    """Requests for it are repeated at most so often; no CONNACK 0x00, no connection."""
    for answer in (False, True):
        client = env.client(f"{answer}")
        client.start_connect(will=())
        request = client.expect("WILLTOPICREQ")
        if answer:
            client.send("WILLTOPIC", topic=env.topic("w"), qos=0)
            request = client.expect("WILLMSGREQ")
        count = 1
        while (packet := client.receive(2.5 * RETRY_S)) == request:
            count += 1
        check(count <= 1 + RETRIES, f"asked {count} times")
        refused = packet is None or packet.kind == "DISCONNECT" or (packet.kind == "CONNACK" and packet.code != 0)
        check(refused, f"in the end {packet}")
        client.send("PINGREQ")
        packet = client.receive()
        check(packet is None or packet.kind == "DISCONNECT", f"answer to a ping: {packet}")


main()
