"""What the MQTT-SN scripts share: cases run by `SCRIPT SN_PORT MQTT_PORT CASE...`, and the MQTT
side of the server through mosquitto's programs.

With `MQTTSN_CAPTURE` in the environment all datagrams are written to that file at the end.
"""

import os
import queue
import subprocess
import sys
import threading
import time
import zlib

from cases import CASES, LIMIT, check, check_equal, execute
from mqttsn_client import Client, Path, write_capture

# Whatever a case started and has to end.
RUNNING = []


class Env:
    """Where the server's listeners are, and names of this case's own."""

    def __init__(self, gateway_port, mqtt_port, name):
        self.gateway = ("127.0.0.1", gateway_port)
        self.mqtt_port = mqtt_port
        self.name = name
        # Short enough for client ids, which have 23 characters.
        self.id = f"{zlib.crc32(name.encode()):08x}"

    def topic(self, tail):
        return f"sn/{self.name}/{tail}"

    def client(self, tail, **options):
        """A client that is not connected yet."""
        return Client(self.gateway, f"{self.id}-{tail}", **options)

    def connected(self, tail, duration=60, clean=True, will=None, **options):
        return self.client(tail, **options).connect(duration, clean, will)

    def path(self, source="127.0.0.1"):
        return Path(self.gateway, source)

    def mosquitto(self, program, *arguments):
        return [program, "-h", "127.0.0.1", "-p", str(self.mqtt_port), *map(str, arguments)]

    def publish(self, topic, data, qos=0, retain=False):
        """Publishes by MQTT; returns when the server has it."""
        # QoS 0 is not acknowledged, but who reads in order has it before the DISCONNECT.
        flags = ["-r"] if retain else []
        data = ["-n"] if data == "" else ["-m", data]
        subprocess.run(self.mosquitto("mosquitto_pub", "-t", topic, "-q", qos, *flags, *data), check=True, timeout=LIMIT)

    def subscriber(self, *filters, qos=2):
        return Subscriber(self, filters, qos)


class Subscriber:
    """mosquitto_sub, which has subscribed."""

    def __init__(self, env, filters, qos):
        options = [part for name in filters for part in ("-t", name)]
        # Without stdbuf its output would come at its end only.
        command = ["stdbuf", "-oL", *env.mosquitto("mosquitto_sub", "-d", "-q", qos, "-F", "MSG %t %q %r %p", *options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        RUNNING.append(self.process)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        while "Subscribed (mid: 1)" not in self.line():
            pass

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self, limit_s=LIMIT):
        return self.lines.get(timeout=limit_s)

    def next(self, limit_s=LIMIT):
        """The next message as (topic, data, qos, retain)."""
        end = time.monotonic() + limit_s
        while True:
            try:
                line = self.line(max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError("mosquitto_sub: no message came") from None
            if line.startswith("MSG "):
                topic, qos, retain, *data = line[4:].split(" ", 3)
                return topic, "".join(data), int(qos), retain == "1"

    def expect(self, topic, data, qos=0, retain=False):
        check_equal(self.next(), (topic, data, qos, retain), "message at mosquitto_sub")

    def expect_none_before(self, env, topic):
        """Nothing came before a message that is published now by MQTT."""
        env.publish(topic, "fence", qos=1)
        check_equal(self.next()[:2], (topic, "fence"), "message at mosquitto_sub")


def run_cases(_):
    gateway_port, mqtt_port, *names = sys.argv[1:]
    try:
        for name in names:
            print(f"case {name}", file=sys.stderr, flush=True)
            CASES[name](Env(int(gateway_port), int(mqtt_port), name))
    finally:
        for process in RUNNING:
            process.kill()
        if "MQTTSN_CAPTURE" in os.environ:
            write_capture(os.environ["MQTTSN_CAPTURE"])


def main():
    missing = [name for name in sys.argv[3:] if name not in CASES]
    check(not missing and sys.argv[3:], f"no such cases: {missing}; there are {' '.join(CASES)}")
    CASES["run"] = run_cases
    execute("run", None)
