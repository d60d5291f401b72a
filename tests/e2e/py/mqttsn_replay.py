"""Conversations that other clients had with another gateway.

`mqttsn_sessions.json` is a recording of mqtt-sn-tools and of the samples of Paho's embedded client
with Paho's gateway. `client1` subscribes to sn/#, the others publish: QoS 0, 1, a short topic,
QoS -1 without connection; then comes a message from MQTT, and the samples.

The clients' datagrams are sent as they are, but for ids that the gateway chose; what the gateway
answers has to be the same, with its own ids in place of the recorded ones.
"""

import json
import os

from cases import case, check, check_equal
from mqttsn_cases import main
from mqttsn_codec import decode, encode


class Replayed:
    """One client: its path, and our ids for the recorded ones."""

    def __init__(self, env):
        self.path = env.path()
        self.topics, self.msgs = {}, {}
        # Answers that came before their time: acknowledgements and messages have no order.
        self.early = []

    def send(self, datagram):
        packet = decode(datagram, "c")
        fields = packet.fields
        if packet.kind in ("PUBLISH", "PUBACK", "REGACK") and fields.get("topic_type", 0) == 0:
            fields["topic"] = self.topics.get(fields["topic"], fields["topic"])
        if packet.kind in ("PUBACK", "REGACK", "PUBREC", "PUBCOMP"):
            fields["msg"] = self.msgs.get(fields["msg"], fields["msg"])
        self.path.send(encode(packet))

    def expect(self, datagram):
        """The recorded answer comes, or has come before its time."""
        wanted = decode(datagram, "g")
        match = next((packet for packet in self.early if self.is_same(wanted, packet)), None)
        if match is not None:
            self.early.remove(match)
            return
        while True:
            answer = self.path.receive()
            check(answer is not None, f"wanted {wanted}, got {self.early}")
            packet = decode(answer, "g")
            if self.is_same(wanted, packet):
                return
            self.early.append(packet)

    def is_same(self, recorded, packet):
        """Whether it is the recorded packet but for chosen ids, which are noted if it is."""
        ours = dict(packet.fields)
        if recorded.kind != packet.kind:
            return False
        chosen = {}
        if packet.kind in ("REGISTER", "PUBLISH"):
            chosen["msg"] = self.msgs
        if packet.kind in ("REGISTER", "PUBLISH", "REGACK", "SUBACK", "PUBACK") and ours.get("topic_type", 0) == 0:
            chosen["topic"] = self.topics
        for name, table in chosen.items():
            theirs = recorded.fields[name]
            # 0 has a meaning of its own, and a known id stays what it is.
            is_new = name == "msg" or packet.kind in ("REGISTER", "SUBACK", "REGACK")
            is_known = is_new or table.get(theirs, theirs) == ours[name]
            if (theirs == 0) != (ours[name] == 0) or not is_known:
                return False
            ours[name] = theirs
        if ours != recorded.fields:
            return False
        for name, table in chosen.items():
            table[recorded.fields[name]] = packet.fields[name]
        return True


@case
def replay(env):
    with open(os.path.join(os.path.dirname(__file__), "mqttsn_sessions.json")) as file:
        exchange = json.load(file)
    clients = {}
    # A message that came from MQTT in the recording.
    from_mqtt = {"sn/down": "fromMQTT"}
    for step in exchange:
        client = clients.setdefault(step["client"], Replayed(env))
        octets = bytes.fromhex(step["hex"])
        if step["from"] == "client":
            client.send(octets)
            continue
        packet = decode(octets, "g")
        if packet.kind == "REGISTER" and packet.name in from_mqtt:
            env.publish(packet.name, from_mqtt[packet.name])
        client.expect(octets)
    check_equal([client.early for client in clients.values()], [[]] * 8, "answers that were not recorded")


main()
