"""haproxy on a free port: `run_haproxy.py CONFIG`.

The configuration binds `fd@${FD}`, a listening socket that is opened here, since haproxy cannot
tell which port it got. The port is the only line on standard output.
"""

import os
import socket
import sys

listener = socket.create_server(("127.0.0.1", 0))
listener.set_inheritable(True)
print(listener.getsockname()[1], flush=True)
os.environ["FD"] = str(listener.fileno())
os.execvp("haproxy", ["haproxy", "-db", "-f", sys.argv[1]])
