"""Clients that other people wrote: the packages mqtt-sn-12 and mqttsn."""

import contextlib
import io
import os
import subprocess
import sys
import threading

import mqttsn.client
from mqttsn12.client.MqttSnClient import MqttSnClient, MqttSnListener
from mqttsn12.client.MqttSnClientException import MqttSnClientException

from cases import LIMIT, case, check, check_equal
from mqttsn_cases import RUNNING, main


def program(env, name, *arguments):
    """A command of mqtt-sn-12."""
    path = os.path.join(os.path.dirname(sys.executable), name)
    return [path, "-h", "127.0.0.1", "-p", str(env.gateway[1]), "-i", f"{name}-{env.name}"[:23], *map(str, arguments)]


def publish(env, *arguments):
    subprocess.run(program(env, "mqtt_sn_pub", *arguments), check=True, timeout=LIMIT)


@case
def mqtt_sn_pub(env):
    """Its program for publishing: registered, short and predefined topics."""
    subscriber = env.subscriber(env.topic("#"), "sn/pre/#", "ok")
    will = ("--will-topic", env.topic("w"), "--will-payload", "gone", "--will-qos", 1)
    publish(env, "-t", env.topic("t"), "-m", "registered", "-q", 1, *will)
    subscriber.expect(env.topic("t"), "registered", qos=1)
    publish(env, "-T", 5, "-m", "predefined", "-q", 2)
    subscriber.expect("sn/pre/five", "predefined", qos=2)
    publish(env, "-t", "ok", "-m", "short", "-q", -1)
    subscriber.expect("ok", "short")
    subscriber.expect_none_before(env, env.topic("fence"))


class Listener(MqttSnListener):
    def __init__(self):
        self.messages = []

    def message_arrived(self, msg):
        self.messages.append(msg)


def poll(client, listener):
    """Its own loop, until a message has come."""
    done = len(listener.messages)
    timer = threading.Timer(LIMIT, os._exit, (1,))
    timer.start()
    while len(listener.messages) == done:
        client.polling()
    timer.cancel()
    return listener.messages[-1]


def mqtt_sn_12(env, tail):
    """A client of its library that is connected."""
    client = MqttSnClient()
    client.set_client_id(f"mqtt-sn-12-{tail}")
    client.set_will(env.topic("w"), "gone", 1, False)
    client.open(*env.gateway)
    client.send_connect()
    return client


@case
def mqtt_sn_12_publishes(env):
    """Each QoS by registered, predefined and short topics; retained and large messages."""
    subscriber, client = env.subscriber(env.topic("#"), "sn/pre/#", "ok"), mqtt_sn_12(env, "p")
    for qos in (0, 1, 2):
        client.send_publish(env.topic("t"), b"registered", qos)
        subscriber.expect(env.topic("t"), "registered", qos=qos)
        client.send_publish_predefined(5, b"predefined", qos)
        subscriber.expect("sn/pre/five", "predefined", qos=qos)
        client.send_publish("ok", b"short", qos)
        subscriber.expect("ok", "short", qos=qos)
    client.send_publish(env.topic("kept"), b"kept", 1, True)
    subscriber.expect(env.topic("kept"), "kept", qos=1)
    env.subscriber(env.topic("kept")).expect(env.topic("kept"), "kept", qos=1, retain=True)
    client.send_publish(env.topic("t"), b"x" * 300, 1)
    subscriber.expect(env.topic("t"), "x" * 300, qos=1)
    try:
        client.send_publish_predefined(999, b"x", 1)
        check(False, "an unknown id was accepted")
    except MqttSnClientException as error:
        check("topic ID" in str(error), f"refused by: {error}")
    client.send_will_topic_update(env.topic("w2"))
    client.send_will_message_update("updated")
    client.send_disconnect(0)
    client.close()
    subscriber.expect_none_before(env, env.topic("fence"))


@case
def mqtt_sn_12_subscribes(env):
    """To a name, a wildcard, a predefined id. It never acknowledges QoS 1, so all is of QoS 0."""
    client, listener = mqtt_sn_12(env, "s"), Listener()
    client.send_subscribe(env.topic("name"), 0, listener)
    env.publish(env.topic("name"), "by name", qos=1)
    message = poll(client, listener)
    check_equal((message.topic_name, message.payload), (env.topic("name"), b"by name"), "message")
    client.send_subscribe(env.topic("wild/+"), 0, listener)
    for n in range(3):
        env.publish(env.topic(f"wild/{n}"), f"{n}", qos=1)
        message = poll(client, listener)
        check_equal((message.topic_name, message.payload), (env.topic(f"wild/{n}"), b"%d" % n), "message")
    client.send_subscribe_predefined(300, 0, listener)
    env.publish("sn/pre/large", "predefined", qos=1)
    message = poll(client, listener)
    check_equal((message.topic_id, message.payload), (300, b"predefined"), "message")
    client.send_ping_req()
    client.send_unsubscribe(env.topic("name"))
    client.send_disconnect(60)
    client.close()


@case
def mqtt_sn_sub(env):
    """Its program for subscribing."""
    command = program(env, "mqtt_sn_sub", "-t", env.topic("+/x"), "-d")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    RUNNING.append(process)
    said = []
    for line in process.stdout:
        said.append(line)
        if "Store MqttSnCallback" in line:
            env.publish(env.topic("a/x"), "to the program", qos=1)
        if "to the program" in line:
            return
    check(False, f"it said {''.join(said)}")


class Callback(mqttsn.client.Callback):
    """What the package tells, in lists that a test can wait for."""

    def __init__(self):
        super().__init__()
        self.arrived = threading.Condition()
        self.messages = []
        self.done = []

    def message_arrived(self, topic_name, payload, qos, retained, msgid):
        self.note(self.messages, (topic_name, payload, qos, retained))
        return True

    def published(self, msgid):
        self.note(self.done, msgid)

    def note(self, where, what):
        with self.arrived:
            where.append(what)
            self.arrived.notify_all()

    def wait_for(self, where, count):
        with self.arrived:
            check(self.arrived.wait_for(lambda: len(where) >= count, LIMIT), f"only {where} came")


@case
def mqttsn_library(env):
    """What of the other package works: connecting, registering, publishing, subscribing."""
    subscriber = env.subscriber(env.topic("#"))
    client, callback = mqttsn.client.Client(b"mqttsn", *env.gateway), Callback()
    client.register_callback(callback)
    # It prints what it publishes.
    with contextlib.redirect_stdout(io.StringIO()):
        client.connect()
        topic = client.register(env.topic("t").encode())
        for qos in (0, 1, 2):
            client.publish(topic, b"%d" % qos, qos=qos)
            subscriber.expect(env.topic("t"), f"{qos}", qos=qos)
            callback.wait_for(callback.done, qos)
        code, _ = client.subscribe(env.topic("in"), qos=2)
        check_equal(code, 0, "code of SUBACK")
        # Its reader ends at a message of QoS 0 with a topic id.
        for qos in (1, 2):
            env.publish(env.topic("in"), f"{qos}", qos=qos)
            subscriber.expect(env.topic("in"), f"{qos}", qos=qos)
            callback.wait_for(callback.messages, qos)
        check_equal([m[1] for m in callback.messages], [b"1", b"2"], "messages")
        # Its DISCONNECT, a packet of two octets, is beyond it.
        client.sock.close()


main()
