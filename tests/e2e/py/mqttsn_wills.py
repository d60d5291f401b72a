"""Wills: asked for, kept, overwritten, deleted, published."""

from cases import case, check_equal
from mqttsn_cases import main

# Keep alive of a client that is to be lost, in seconds: it is lost half as much later.
SHORT = 2


def lose(subscriber, client, will, **expected):
    """Says nothing more; its will comes to who waits for it already."""
    topic, data = will
    subscriber.expect(topic, data, **expected)
    client.expect_stranger()


@case
def will_of_each_qos(env):
    subscriber = env.subscriber(env.topic("#"))
    for qos in (0, 1, 2):
        topic = env.topic(f"q{qos}")
        client = env.connected(f"q{qos}", duration=SHORT, will=(topic, b"gone", qos, False))
        lose(subscriber, client, (topic, "gone"), qos=qos)


@case
def retained_will(env):
    subscriber = env.subscriber(env.topic("#"))
    topic = env.topic("r")
    client = env.connected("r", duration=SHORT, will=(topic, b"gone", 1, True))
    lose(subscriber, client, (topic, "gone"), qos=1)
    env.subscriber(topic).expect(topic, "gone", qos=1, retain=True)
    env.publish(topic, "", retain=True)


@case
def farewell_publishes_no_will(env):
    subscriber = env.subscriber(env.topic("#"))
    for clean in (True, False):
        client = env.connected("a", clean=clean, will=(env.topic("w"), b"gone", 1, False))
        client.disconnect()
    subscriber.expect_none_before(env, env.topic("fence"))


@case
def will_of_a_kept_session_stays(env):
    """CleanSession=0 without Will flag: the stored will stays armed."""
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", clean=False, will=(env.topic("w"), b"first", 1, False))
    client.disconnect()
    client.connect(duration=SHORT, clean=False)
    lose(subscriber, client, (env.topic("w"), "first"), qos=1)
    # Published it is still stored.
    client.connect(duration=SHORT, clean=False)
    lose(subscriber, client, (env.topic("w"), "first"), qos=1)


@case
def will_of_a_kept_session_is_overwritten(env):
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", clean=False, will=(env.topic("w"), b"first", 1, False))
    client.disconnect()
    client.connect(duration=SHORT, clean=False, will=(env.topic("w2"), b"second", 0, False))
    lose(subscriber, client, (env.topic("w2"), "second"), qos=0)


@case
def empty_will_topic_deletes_the_will(env):
    """CONNACK follows an empty WILLTOPIC at once."""
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", clean=False, will=(env.topic("w"), b"first", 1, False))
    client.disconnect()
    client.connect(duration=SHORT, clean=False, will=())
    lose_without_will(env, subscriber, client)


@case
def clean_session_deletes_the_will(env):
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", clean=False, will=(env.topic("w"), b"first", 1, False))
    client.disconnect()
    client.connect(duration=SHORT, clean=True)
    lose_without_will(env, subscriber, client)


def lose_without_will(env, subscriber, client):
    """The client is lost before another one, whose will comes."""
    other = env.connected("other", duration=SHORT + 1, will=(env.topic("other"), b"later", 0, False))
    subscriber.expect(env.topic("other"), "later")
    client.expect_stranger()


@case
def updates_overwrite_separately(env):
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", duration=SHORT, will=(env.topic("w"), b"first", 0, False))
    client.send("WILLTOPICUPD", topic=env.topic("w2"), qos=1, retain=0)
    client.expect("WILLTOPICRESP", code=0)
    lose(subscriber, client, (env.topic("w2"), "first"), qos=1)

    client.connect(duration=SHORT, will=(env.topic("w"), b"first", 1, False))
    client.send("WILLMSGUPD", data=b"second")
    client.expect("WILLMSGRESP", code=0)
    lose(subscriber, client, (env.topic("w"), "second"), qos=1)

    client.connect(duration=SHORT, will=(env.topic("w"), b"first", 1, False))
    client.send("WILLMSGUPD", data=b"third")
    client.expect("WILLMSGRESP", code=0)
    client.send("WILLTOPICUPD", topic=env.topic("w3"), qos=2, retain=1)
    client.expect("WILLTOPICRESP", code=0)
    lose(subscriber, client, (env.topic("w3"), "third"), qos=2)
    env.subscriber(env.topic("w3")).expect(env.topic("w3"), "third", qos=2, retain=True)
    env.publish(env.topic("w3"), "", retain=True)


@case
def an_update_outlives_the_connection(env):
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", clean=False, will=(env.topic("w"), b"first", 1, False))
    client.send("WILLMSGUPD", data=b"second")
    client.expect("WILLMSGRESP", code=0)
    client.disconnect()
    client.connect(duration=SHORT, clean=False)
    lose(subscriber, client, (env.topic("w"), "second"), qos=1)


@case
def an_empty_update_deletes_both(env):
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", duration=SHORT, will=(env.topic("w"), b"first", 1, False))
    client.send("WILLTOPICUPD")
    client.expect("WILLTOPICRESP", code=0)
    lose_without_will(env, subscriber, client)


@case
def prompts_are_repeated(env):
    """CONNECT again while the gateway waits for the will: the pending request again."""
    subscriber = env.subscriber(env.topic("#"))
    client = env.client("a")
    will = (env.topic("w"), b"gone", 1, False)
    for _ in range(2):
        client.start_connect(duration=SHORT, will=will)
        client.expect("WILLTOPICREQ")
    client.send("WILLTOPIC", topic=will[0], qos=1)
    client.expect("WILLMSGREQ")
    client.start_connect(duration=SHORT, will=will)
    request = client.receive()
    if request.kind == "WILLTOPICREQ":
        # It may as well start again.
        client.send("WILLTOPIC", topic=will[0], qos=1)
        request = client.receive()
    check_equal(request.kind, "WILLMSGREQ", "pending request")
    client.send("WILLMSG", data=will[1])
    client.expect("CONNACK", code=0)
    lose(subscriber, client, (will[0], "gone"), qos=1)


@case
def sleeping_keeps_the_will_quiet(env):
    """A sleeper is no lost client; one that oversleeps is."""
    subscriber = env.subscriber(env.topic("#"))
    client = env.connected("a", duration=60, will=(env.topic("w"), b"overslept", 1, False))
    client.sleep(SHORT)
    subscriber.expect_none_before(env, env.topic("fence"))
    subscriber.expect(env.topic("w"), "overslept", qos=1)


@case
def bad_wills_are_refused(env):
    """A topic with wildcards is none; no CONNACK 0x00, and no connection."""
    client = env.client("a")
    for topic in ("w/#", "+/w"):
        client.start_connect(will=())
        client.expect("WILLTOPICREQ")
        client.send("WILLTOPIC", topic=topic, qos=1)
        packet = client.receive()
        if packet is not None and packet.kind == "WILLMSGREQ":
            client.send("WILLMSG", data=b"x")
            packet = client.receive()
        check_equal((packet.kind, packet.code != 0), ("CONNACK", True), "answer to a will with wildcards")
        client.send("PINGREQ")
        client.expect("DISCONNECT")


main()
