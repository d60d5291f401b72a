"""websocat as a client: `run_websocat.py URL`; prints in hexadecimal what a CONNECT is answered by."""

import os
import subprocess
import sys

LIMIT = 15
HELLO = bytes.fromhex("100d00044d5154540402003c000177")

websocat = os.path.join(os.path.dirname(sys.executable), "websocat")
command = [websocat, "--binary", "--protocol", "mqtt", sys.argv[1]]
process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
process.stdin.write(HELLO)
process.stdin.flush()
answer = process.stdout.read(4)
print(answer.hex())
# DISCONNECT, after which the server closes the connection and websocat ends.
process.stdin.write(bytes.fromhex("e000"))
process.stdin.flush()
process.stdin.close()
process.stdout.read()
process.wait(LIMIT)
