"""Who may connect and what it may do.

The server has users `meter` and `guest`; its file of credentials gives the client `known` the
user `meter`, `wrong` a password that is not meter's, and what is published without a connection
the user `guest`. The rules let meter publish and subscribe to `own/#`, and everybody to `open/#`;
by MQTT all is allowed. 5 is sn/pre/five, 8 is open/pre, and both may be published to without a
connection as far as the listener is concerned.
"""

from cases import case, check_equal
from mqttsn_cases import main
from mqttsn_client import Client
from mqttsn_codec import ACCEPTED, NOT_SUPPORTED, PREDEFINED, WITHOUT_CONNECTION


def client(env, name, **options):
    return Client(env.gateway, name, **options)


def check_refused(env, name):
    """CONNACK 0x03, whether or not a will is asked for first, and no connection."""
    stranger = client(env, name)
    stranger.start_connect()
    stranger.expect("CONNACK", code=NOT_SUPPORTED)
    stranger.send("PINGREQ")
    stranger.expect("DISCONNECT")


@case
def credentials_of_a_client(env):
    client(env, "known").connect().ping()
    check_refused(env, "wrong")


@case
def without_credentials(env):
    """No default: who is not in the file is refused."""
    check_refused(env, "unknown")


@case
def default_credentials(env):
    """With a default everybody else is that user."""
    client(env, "anybody").connect().ping()
    client(env, "known").connect().ping()
    check_refused(env, "wrong")


@case
def refused_with_a_will(env):
    """No will of a client that was refused is published."""
    subscriber = env.subscriber("open/#")
    stranger = client(env, "wrong")
    stranger.start_connect(will=())
    packet = stranger.receive()
    if packet.kind == "WILLTOPICREQ":
        stranger.send("WILLTOPIC", topic="open/w", qos=1)
        stranger.expect("WILLMSGREQ")
        stranger.send("WILLMSG", data=b"never")
        packet = stranger.receive()
    check_equal((packet.kind, packet.code), ("CONNACK", NOT_SUPPORTED), "answer")
    client(env, "known").connect().ping()
    subscriber.expect_none_before(env, "open/fence")


@case
def rules_on_topics(env):
    """SUBACK and PUBACK refuse what the rules forbid; nothing of it is delivered."""
    meter = client(env, "known").connect()
    meter.predefined = {5: "sn/pre/five"}
    meter.subscribe("own/in", qos=1)
    meter.subscribe("secret/#", code=NOT_SUPPORTED)
    meter.subscribe("secret/in", code=NOT_SUPPORTED)
    meter.subscribe(5, topic_type=PREDEFINED, code=NOT_SUPPORTED)
    meter.subscribe("own/in", qos=1)
    own = meter.register("own/in")
    meter.publish(own, b"x", qos=1)
    check_equal(meter.message().data, b"x", "own message")
    # A name that may not be published to: refused at REGISTER or at PUBLISH.
    msg = meter.next_msg()
    meter.send("REGISTER", msg=msg, name="secret/out")
    regack = meter.receive()
    check_equal((regack.kind, regack.msg), ("REGACK", msg), "answer")
    if regack.code == ACCEPTED:
        meter.publish(regack.topic, b"x", qos=1, code=NOT_SUPPORTED)
    else:
        check_equal(regack.code, NOT_SUPPORTED, "code")
    meter.publish(5, b"x", qos=1, topic_type=PREDEFINED, code=NOT_SUPPORTED)
    subscriber = env.subscriber("#")
    meter.send("PUBLISH", qos=0, topic_type=PREDEFINED, topic=5, data=b"x")
    meter.publish(own, b"fence", qos=1)
    check_equal(subscriber.next()[:2], ("own/in", "fence"), "message")


@case
def forbidden_will(env):
    """A will that may not be published is not."""
    subscriber = env.subscriber("#")
    meter = client(env, "known")
    meter.start_connect(duration=1, will=())
    meter.expect("WILLTOPICREQ")
    meter.send("WILLTOPIC", topic="secret/w", qos=1)
    packet = meter.receive()
    if packet.kind == "WILLMSGREQ":
        meter.send("WILLMSG", data=b"never")
        packet = meter.receive()
    check_equal(packet.kind, "CONNACK", "answer")
    if packet.code == ACCEPTED:
        # It is lost before this one, whose will comes.
        other = client(env, "anybody").connect(duration=2, will=("open/w", b"lost", 1, False))
        other.ping()
        subscriber.expect("open/w", "lost", qos=1)


@case
def rules_without_connection(env):
    """QoS -1 is on the list of the listener, but the rules have the last word."""
    stranger = env.client("stranger")
    subscriber = env.subscriber("#")
    for topic in (5, 8):
        stranger.send("PUBLISH", qos=WITHOUT_CONNECTION, topic_type=PREDEFINED, topic=topic, data=b"x")
    check_equal(subscriber.next()[:2], ("open/pre", "x"), "message that is allowed")
    stranger.expect_silence()


main()
