"""The client's half of SCRAM-SHA-256 by scramp: `scram_client.py USER PASSWORD`.

Messages in base64, one on each line: the first goes to standard output, then for each one that
standard input brings the next, and at the end `verified`.
"""

import base64
import sys

import scramp

client = scramp.ScramClient(["SCRAM-SHA-256"], sys.argv[1], sys.argv[2])


def say(message):
    print(base64.b64encode(message.encode()).decode(), flush=True)


def hear():
    return base64.b64decode(sys.stdin.readline()).decode()


say(client.get_client_first())
client.set_server_first(hear())
say(client.get_client_final())
client.set_server_final(hear())
print("verified", flush=True)
