"""Addresses and identities: who may move where, who may take a client over, forwarders."""

from cases import case, check, check_equal
from mqttsn_cases import main
from mqttsn_client import Client


@case
def no_adoption_from_another_host(env):
    """`rebind` same-ip or dtls-only: a PINGREQ from elsewhere is a stranger's, and the client
    keeps what waits for it."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    env.publish(env.topic("t"), "secret", qos=1)
    thief = env.client("thief", source="127.0.0.2")
    thief.send("PINGREQ", client_id=client.client_id)
    thief.expect("DISCONNECT")
    check_equal([m.data for m in client.wake()], [b"secret"], "messages that waited")


@case
def no_adoption_from_another_port(env):
    """`rebind` dtls-only: not even from the same host."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=1)
    client.sleep(60)
    env.publish(env.topic("t"), "secret", qos=1)
    thief = env.client("thief")
    thief.send("PINGREQ", client_id=client.client_id)
    thief.expect("DISCONNECT")
    check_equal([m.data for m in client.wake()], [b"secret"], "messages that waited")


@case
def adoption_from_anywhere(env):
    """`rebind` trust: whoever knows the client id."""
    client = env.connected("a", clean=False)
    client.subscribe(env.topic("t"), qos=2)
    client.sleep(60)
    for n in range(2, 6):
        env.publish(env.topic("t"), f"{n}", qos=2)
        client.move(f"127.0.0.{n}")
        check_equal([m.data for m in client.wake()], [b"%d" % n], "messages that waited")


@case
def no_take_over_from_another_host(env):
    """`rebind` same-ip: CONNECT with the id of a client that is connected from another address is
    refused, and the client does not notice."""
    client = env.connected("a", clean=False, will=(env.topic("w"), b"x", 1, False))
    client.subscribe(env.topic("t"), qos=1)
    thief = Client(env.gateway, client.client_id, source="127.0.0.2")
    for clean in (True, False):
        thief.start_connect(clean=clean)
        packet = thief.receive()
        check_equal((packet.kind, packet.code != 0), ("CONNACK", True), "answer to the thief")
    client.ping()
    env.publish(env.topic("t"), "x", qos=1)
    check_equal(client.message().data, b"x", "message to the honest client")
    thief.send("PINGREQ")
    thief.expect("DISCONNECT")
    # Nor while it sleeps.
    client.sleep(60)
    thief.start_connect(clean=True)
    packet = thief.receive()
    check_equal((packet.kind, packet.code != 0), ("CONNACK", True), "answer to the thief")
    check_equal(client.wake(), [], "messages of the sleeper")
    # Once it is gone the id is free.
    client.disconnect()
    thief.connect(clean=False)
    thief.disconnect()


@case
def take_over_from_another_host(env):
    """`rebind` trust: the last one has it."""
    client = env.connected("a", clean=False)
    other = Client(env.gateway, client.client_id, source="127.0.0.3").connect(clean=False)
    client.expect("DISCONNECT")
    other.ping()


@case
def another_client_on_the_same_address(env):
    """CONNECT with another id from the address of a client: the first one is lost, with its will."""
    subscriber = env.subscriber(env.topic("w"))
    first = env.connected("a", will=(env.topic("w"), b"displaced", 1, False))
    second = Client(env.gateway, first.client_id + "2", path=first.path)
    second.start_connect()
    packet = second.receive()
    # The first one may be told.
    if packet.kind == "DISCONNECT":
        packet = second.receive()
    check_equal((packet.kind, packet.code), ("CONNACK", 0), "answer")
    second.ping()
    subscriber.expect(env.topic("w"), "displaced", qos=1)


def node(env, path, name):
    return Client(env.gateway, f"{env.id}-{name.hex()}", path=path, node=name)


@case
def forwarder(env):
    """Many nodes behind one address: each is a client of its own, and answers carry its id."""
    path = env.path()
    names = [b"\x01", b"\x01\x02", b"\0", b"node", bytes(range(60)), b"\xfe"]
    nodes = [node(env, path, name).connect(clean=False) for name in names]
    for n, each in enumerate(nodes):
        each.subscribe(env.topic(f"{n}"), qos=2)
    for qos in (0, 1, 2):
        for n, each in enumerate(nodes):
            env.publish(env.topic(f"{n}"), f"{qos}", qos=qos)
            message = each.message()
            check_equal((message.name, message.data, message.qos), (env.topic(f"{n}"), b"%d" % qos, qos), "message")
    # Ids are the node's own.
    topics = {each.register(env.topic(f"of/{n}")) for n, each in enumerate(nodes)}
    check(len(topics) < len(nodes), f"ids {topics}")
    nodes[0].disconnect()
    nodes[0].send("PINGREQ")
    nodes[0].expect("DISCONNECT")
    for each in nodes[1:]:
        each.ping()
        each.disconnect()


@case
def forwarder_that_is_a_client_too(env):
    """Encapsulated and not: different clients, though of one address."""
    path = env.path()
    plain = Client(env.gateway, env.id, path=path).connect()
    behind = node(env, path, b"\x07").connect()
    for each, name in ((plain, "plain"), (behind, "behind")):
        each.subscribe(env.topic(name), qos=1)
    env.publish(env.topic("plain"), "x", qos=1)
    check_equal(plain.message().name, env.topic("plain"), "message")
    env.publish(env.topic("behind"), "x", qos=1)
    check_equal(behind.message().name, env.topic("behind"), "message")
    plain.disconnect()
    behind.ping()
    plain.send("PINGREQ")
    plain.expect("DISCONNECT")
    plain.connect()
    behind.disconnect()
    plain.ping()


@case
def many_nodes(env):
    """200 nodes connect, subscribe, and each gets its own message and no other's."""
    path = env.path()
    nodes = [node(env, path, n.to_bytes(2, "big")).connect() for n in range(200)]
    for n, each in enumerate(nodes):
        each.subscribe(env.topic(f"{n}"), qos=0)
    sender = env.connected("sender")
    for n, each in enumerate(nodes):
        sender.publish(sender.register(env.topic(f"{n}")), b"%d" % n)
        message = each.message()
        check_equal((message.name, message.data), (env.topic(f"{n}"), b"%d" % n), "message")
    for each in nodes:
        each.disconnect()


@case
def sleeping_nodes(env):
    path = env.path()
    nodes = [node(env, path, bytes([n])).connect(clean=False) for n in range(1, 5)]
    for each in nodes:
        each.subscribe(env.topic("t"), qos=1)
    nodes[0].sleep(60)
    nodes[1].sleep(60)
    env.publish(env.topic("t"), "x", qos=1)
    for each in nodes[2:]:
        check_equal(each.message().data, b"x", "message to a node that is awake")
    for each in nodes[:2]:
        check_equal([m.data for m in each.wake()], [b"x"], "messages that waited")


@case
def wills_of_nodes(env):
    subscriber = env.subscriber(env.topic("#"))
    path = env.path()
    lost = node(env, path, b"\x01").connect(duration=1, will=(env.topic("1"), b"lost", 1, False))
    other = node(env, path, b"\x02").connect(duration=60, will=(env.topic("2"), b"lost", 1, False))
    subscriber.expect(env.topic("1"), "lost", qos=1)
    # A last DISCONNECT may be on its way to the lost node.
    lost.receive(0.1)
    other.ping()
    lost.send("PINGREQ")
    lost.expect("DISCONNECT")
    subscriber.expect_none_before(env, env.topic("fence"))


@case
def a_node_moves_to_another_forwarder(env):
    """CONNECT with the same client id behind another forwarder: the old place is told."""
    first = node(env, env.path(), b"\x01").connect(clean=False)
    first.subscribe(env.topic("t"), qos=1)
    second = Client(env.gateway, first.client_id, path=env.path(), node=b"\x09").connect(clean=False)
    first.expect("DISCONNECT")
    env.publish(env.topic("t"), "x", qos=1)
    check_equal(second.message().data, b"x", "message")


@case
def strangers_behind_a_forwarder(env):
    """Answers to nodes that are no clients go back with their node id."""
    stranger = node(env, env.path(), b"\x05")
    stranger.send("PINGREQ")
    stranger.expect("DISCONNECT")
    stranger.send("SEARCHGW", radius=1)
    stranger.expect("GWINFO")


@case
def too_many_nodes(env):
    """`max_nodes` (here 8): the next one is refused, the others go on."""
    path = env.path()
    nodes = [node(env, path, bytes([n])).connect() for n in range(8)]
    for n in range(8, 12):
        more = node(env, path, bytes([n]))
        more.start_connect()
        packet = more.receive()
        check_equal((packet.kind, packet.code != 0), ("CONNACK", True), "answer to one too many")
    for each in nodes:
        each.ping()
    nodes[3].disconnect()
    node(env, path, bytes([99])).connect().ping()


main()
