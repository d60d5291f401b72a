"""Connecting, codes, clean sessions, take-over, lost clients, discovery."""

import time

from cases import LIMIT, case, check, check_equal
from mqttsn_cases import main
from mqttsn_codec import NOT_SUPPORTED, Packet, encode


@case
def connect_and_disconnect(env):
    """CONNACK at once, PINGRESP, DISCONNECT, and nobody is there after it."""
    client = env.connected("a")
    client.ping()
    client.disconnect()
    # Who is not connected is told to connect.
    client.send("PINGREQ")
    client.expect("DISCONNECT")
    # A farewell of nobody is not refused; a new connection is served.
    client.connect()
    client.ping()
    client.disconnect()


@case
def both_forms_of_length(env):
    client = env.client("a")
    client.send("CONNECT", long_form=True, client_id=client.client_id, duration=60, clean=1)
    client.expect("CONNACK", code=0)
    client.send("PINGREQ", long_form=True)
    client.expect("PINGRESP")
    # The longest short form and the shortest one that has to be long, there and back.
    topic = client.subscribe(env.topic("len"), qos=1)
    for size in (248, 249, 1000):
        data = bytes(size)
        client.send("PUBLISH", qos=0, topic=topic, data=data)
        check_equal(client.message().data, data, f"{size} octets")


@case
def another_protocol_version(env):
    """CONNACK 0x03 for what is not 0x01, and no session."""
    client = env.client("a")
    for version in (0, 2, 4, 255):
        client.send("CONNECT", client_id=client.client_id, protocol=version, duration=60, clean=1)
        client.expect("CONNACK", code=NOT_SUPPORTED)
    client.send("PINGREQ")
    client.expect("DISCONNECT")


@case
def client_ids(env):
    """1 to 23 characters, longer ones too; not none."""
    for name in ("x", "y" * 23, "z" * 40, "grüße"):
        client = env.client("a")
        client.client_id = name
        client.connect()
        client.ping()
        client.disconnect()
    client = env.client("a")
    client.send("CONNECT", client_id="", duration=60, clean=1)
    packet = client.receive(LIMIT / 20)
    check(packet is None or packet == Packet("CONNACK", code=NOT_SUPPORTED), f"no client id: {packet}")


@case
def connect_twice(env):
    """A CONNECT whose answer was lost is answered again."""
    client = env.client("a")
    client.connect(clean=False)
    client.subscribe(env.topic("kept"), qos=1)
    client.connect(clean=False)
    env.publish(env.topic("kept"), "one", qos=1)
    check_equal(client.message().data, b"one", "message after a second CONNECT")
    client.connect(clean=True)
    env.publish(env.topic("kept"), "two", qos=1)
    client.ping()
    client.disconnect()


@case
def clean_session(env):
    """CleanSession=0 keeps subscriptions and messages, CleanSession=1 deletes them."""
    kept, client = env.topic("kept"), env.connected("a", clean=False)
    client.subscribe(kept, qos=1)
    client.disconnect()
    env.publish(kept, "while away", qos=1)
    client.connect(clean=False)
    check_equal(client.message().data, b"while away", "message of the time away")
    client.disconnect()
    env.publish(kept, "deleted", qos=1)
    client.connect(clean=True)
    client.ping()
    env.publish(kept, "nobody wants this", qos=1)
    client.ping()
    client.disconnect()
    client.connect(clean=False)
    client.ping()
    # A clean session ends with its connection.
    client.connect(clean=True)
    client.subscribe(kept, qos=1)
    client.disconnect()
    env.publish(kept, "deleted too", qos=1)
    client.connect(clean=False)
    client.ping()
    client.disconnect()


@case
def ids_of_a_kept_session(env):
    """The same id for the same name, and REGISTER again before the first PUBLISH."""
    kept, client = env.topic("kept"), env.connected("a", clean=False)
    others = [client.register(env.topic(f"other/{n}")) for n in range(3)]
    topic = client.subscribe(kept, qos=1)
    client.disconnect()
    client.connect(clean=False)
    env.publish(kept, "again", qos=1)
    register = client.expect("REGISTER", topic=topic, name=kept)
    client.take_register(register)
    message = client.message()
    check_equal((message.name, message.data), (kept, b"again"), "message after a reconnect")
    # What the client registered is still known: it may publish to the old id.
    subscriber = env.subscriber(env.topic("other/#"))
    client.publish(others[1], b"by the old id", qos=1)
    subscriber.expect(env.topic("other/1"), "by the old id", qos=1)
    check_equal(client.register(env.topic("other/2")), others[2], "id of a name that had one")
    client.disconnect()


@case
def session_expires(env):
    """A kept session ends `session_expiry` (here 3 s) after the connection."""
    kept, client = env.topic("kept"), env.connected("a", clean=False)
    client.subscribe(kept, qos=1)
    watcher = env.connected("watcher")
    watcher.subscribe(kept, qos=1)
    client.disconnect()
    # A session that is there gets it, and keeps it until the client comes back.
    env.publish(kept, "x", qos=1)
    watcher.message()
    client.connect(clean=False)
    check_equal(client.message().data, b"x", "message in time")
    client.disconnect()
    env.publish(kept, "y", qos=1)
    watcher.message()
    wait_s(5)
    client.connect(clean=False)
    client.ping()
    env.publish(kept, "z", qos=1)
    watcher.message()
    client.ping()


def wait_s(seconds):
    """Lets time pass where its passing is what is tested."""
    time.sleep(seconds)


@case
def another_address_takes_over(env):
    """The same client id elsewhere: the old one is told DISCONNECT."""
    old = env.connected("a", clean=False)
    old.subscribe(env.topic("t"), qos=1)
    new = env.client("a").connect(clean=False)
    old.expect("DISCONNECT")
    env.publish(env.topic("t"), "to the new one", qos=1)
    check_equal(new.message().data, b"to the new one", "message after the take-over")
    old.send("PINGREQ")
    old.expect("DISCONNECT")
    new.ping()
    new.disconnect()


@case
def silent_client_is_lost(env):
    """Duration 1 s with 50 % more: alive while it speaks, lost with its will when it is silent."""
    subscriber = env.subscriber(env.topic("will"))
    client = env.connected("a", duration=1, will=(env.topic("will"), b"lost", 1, False))
    begun = time.monotonic()
    while time.monotonic() - begun < 2.5:
        client.ping()
        last = time.monotonic()
        wait_s(0.5)
    subscriber.expect(env.topic("will"), "lost", qos=1)
    silent_s = time.monotonic() - last
    check(1.4 < silent_s < 4, f"lost after {silent_s:.1f} s")
    client.expect_stranger()


@case
def keep_alive_0_never_ends(env):
    client = env.connected("a", duration=0)
    other = env.connected("b", duration=1)
    subscriber = env.subscriber("sn/unused")
    wait_s(2)
    other.receive(0.1)
    client.ping()
    subscriber.expect_none_before(env, "sn/unused")
    client.disconnect()


@case
def strangers_are_told(env):
    """What only a client may send gets DISCONNECT; what anyone may send does not."""
    client = env.client("stranger")
    for kind, fields in [
        ("PINGREQ", {}),
        ("REGISTER", {"msg": 1, "name": "a/b"}),
        ("SUBSCRIBE", {"msg": 1, "topic": "a/b"}),
        ("UNSUBSCRIBE", {"msg": 1, "topic": "a/b"}),
        ("PUBLISH", {"qos": 1, "msg": 1, "topic": 1, "data": b"x"}),
        ("PUBLISH", {"qos": 0, "topic": "ab", "topic_type": 2, "data": b"x"}),
        ("PUBREL", {"msg": 1}),
        ("WILLTOPICUPD", {"topic": "a/b"}),
        ("WILLMSGUPD", {"data": b"x"}),
        ("PINGREQ", {"client_id": "nobody has this id"}),
    ]:
        client.send(kind, **fields)
        client.expect("DISCONNECT")
    # DISCONNECT is not answered by one, or two gateways would talk for ever.
    client.expect_silence()


@case
def search_for_gateways(env):
    """GWINFO to anyone, also to a client that is connected."""
    stranger = env.client("stranger")
    for radius in (0, 1, 3):
        stranger.send("SEARCHGW", radius=radius)
        stranger.expect_bytes("03 02 07")
    client = env.connected("a")
    client.send("SEARCHGW", radius=1)
    client.expect_bytes("03 02 07")
    client.ping()
    # An answer of another gateway, and its advertisement, are no requests.
    for text in ("03 02 09", "05 00 09 03 84"):
        stranger.send_bytes(bytes.fromhex(text))
    stranger.send_bytes(encode(Packet("SEARCHGW", radius=1)))
    stranger.expect("GWINFO", gateway=7)


main()
