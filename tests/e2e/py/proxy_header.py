"""A PROXY header written by hand: `proxy_header.py PORT SOURCE`; prints the answer to a CONNECT."""

import socket
import sys

with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10, (sys.argv[2], 0)) as link:
    link.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n")
    link.sendall(bytes.fromhex("100d00044d5154540402003c000168"))
    answer = link.recv(4)
    print("CONNACK", answer[3] if len(answer) == 4 else answer)
