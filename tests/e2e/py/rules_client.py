"""Ways around rules on topics, none of which may work: `SCRIPT PORT CASE`.

Each client sees its topics below a mountpoint of its own, may use `free/#`, and may not subscribe to
`secret/#`; the client `writer` may publish anything below its own mountpoint.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cases import LIMIT, case, check, execute

NOT_AUTHORIZED = 0x87


class Client:
    def __init__(self, port, client_id, will=None, user=None):
        self.events = queue.Queue()
        self.messages = []
        version = mqtt.CallbackAPIVersion.VERSION2
        self.mqtt = mqtt.Client(version, client_id, protocol=5, reconnect_on_failure=False)
        if will:
            self.mqtt.will_set(*will)
        if user:
            self.mqtt.username_pw_set(user)
        put = self.events.put
        self.mqtt.on_connect = lambda c, u, flags, code, props: put(("connack", code.value))
        self.mqtt.on_disconnect = lambda c, u, flags, code, props: put(("disconnect", code.value))
        self.mqtt.on_subscribe = lambda c, u, mid, codes, props: put(("suback", codes[0].value))
        self.mqtt.on_publish = lambda c, u, mid, code, props: put(("puback", code.value))
        self.mqtt.on_message = lambda c, u, message: put(("message", message.topic))
        self.mqtt.connect("127.0.0.1", port, 60)
        self.mqtt.loop_start()
        self.code = self.wait("connack")

    def wait(self, kind):
        if kind == "message" and self.messages:
            return self.messages.pop(0)
        while True:
            event = self.events.get(timeout=LIMIT)
            if event[0] == kind:
                return event[1]
            # A message may come before the acknowledgement of the publish that caused it.
            check(event[0] == "message", f"got {event}, wanted {kind}")
            self.messages.append(event[1])

    def subscribe(self, topic):
        self.mqtt.subscribe(topic, 1)
        return self.wait("suback")

    def publish(self, topic, retain=False, alias=None):
        properties = Properties(PacketTypes.PUBLISH)
        if alias:
            properties.TopicAlias = alias
        self.mqtt.publish(topic, "x", 1, retain, properties)
        return self.wait("puback")


@case
def wills(port):
    client = Client(port, "c", will=("secret/w", "x", 1, False))
    check(client.code == NOT_AUTHORIZED, f"a will outside of the rules: {client.code:#x}")
    check(Client(port, "c", will=("free/w", "x", 1, False)).code == 0, "one within them")


@case
def aliases(port):
    client = Client(port, "c")
    check(client.publish("secret/a", alias=1) == NOT_AUTHORIZED, "with topic and alias")
    check(client.publish("", alias=1) == NOT_AUTHORIZED, "with the alias alone")
    check(client.publish("free/a", alias=1) in (0, 0x10), "the alias set anew")
    check(client.publish("", alias=1) in (0, 0x10), "and used")


@case
def retained(port):
    writer = Client(port, "writer")
    check(writer.publish("secret/r", retain=True) in (0, 0x10), "the writer may")
    check(writer.publish("free/r", retain=True) in (0, 0x10), "the writer may")
    for topic in ["secret/r", "secret/#", "#", "+/r"]:
        check(writer.subscribe(topic) == NOT_AUTHORIZED, f"{topic} is read by nobody")
    check(writer.subscribe("free/#") == 1, "what may be read")
    check(writer.wait("message") == "free/r", "comes, and nothing else")
    check(writer.publish("free/end") == 0, "nothing lies between")
    check(writer.wait("message") == "free/end", "nothing lies between")


@case
def wildcards(port):
    client = Client(port, "c")
    for topic in ["#", "+/#", "+", "free", "secret/+", "/#", "+/a"]:
        if topic == "free":
            # The parent of `free/#` is covered by it.
            check(client.subscribe(topic) == 1, topic)
            continue
        check(client.subscribe(topic) == NOT_AUTHORIZED, topic)
    for topic in ["free/#", "free/+/a", "free/+"]:
        check(client.subscribe(topic) == 1, topic)


@case
def groups(port):
    client = Client(port, "c")
    for topic in ["$share/g/#", "$share/g/secret/a", "$share/g/+/a"]:
        check(client.subscribe(topic) == NOT_AUTHORIZED, topic)
    check(client.subscribe("$share/g/free/#") == 1, "a group on what is allowed")


@case
def system_topics(port):
    client = Client(port, "c")
    for topic in ["$SYS/#", "$SYS/broker/version", "$share/g/$SYS/#"]:
        check(client.subscribe(topic) == NOT_AUTHORIZED, topic)
    check(client.publish("$SYS/broker/version") == NOT_AUTHORIZED, "nor published to")


@case
def identities(port):
    """Client ids and user names that would change the meaning of a rule."""
    for client_id in ["+", "#", "a/b", "a/#"]:
        client = Client(port, client_id)
        if client.code == 0:
            check(client.publish("free/a") == NOT_AUTHORIZED, f"{client_id} publishes")
            check(client.subscribe("free/#") == NOT_AUTHORIZED, f"{client_id} subscribes")


def main():
    port, name = sys.argv[1:]
    execute(name, int(port))


if __name__ == "__main__":
    main()
