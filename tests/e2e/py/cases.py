"""What the clients' scripts share: named cases, run by `SCRIPT HOST PORT VERSION CASE`.

A case is a function that takes an Env and raises when something is wrong. No case sleeps for a
fixed time: it waits for something to happen, with a limit.
"""

import asyncio
import inspect
import os
import sys
import traceback

# Seconds that any one event may take.
LIMIT = 10

CASES = {}


class Env:
    """Where the server is, the protocol version (3, 4 or 5), and names of this case's own."""

    def __init__(self, host, port, version, name):
        self.host = host
        self.port = port
        self.version = version
        self.name = name

    @property
    def v5(self):
        return self.version == 5

    def topic(self, tail):
        return f"e2e/py{os.getpid()}/{self.name}/{tail}"

    def client_id(self, tail):
        return f"py{os.getpid()}-{self.name}-{tail}"


def case(function):
    """Registers a case under its function's name."""
    CASES[function.__name__] = function
    return function


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def execute(name, argument):
    """Runs a case, says what is wrong, and ends the process."""
    if name not in CASES:
        sys.exit(f"there is no case {name}; the cases are {' '.join(CASES)}")
    try:
        if inspect.iscoroutinefunction(CASES[name]):
            asyncio.run(asyncio.wait_for(CASES[name](argument), 1.5 * LIMIT))
        else:
            CASES[name](argument)
    except BaseException:
        traceback.print_exc()
        print(f"failed: {' '.join(sys.argv[1:])}", file=sys.stderr)
        sys.stderr.flush()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    # Threads of a client library must not keep a failed script alive.
    os._exit(code)


def main():
    host, port, version, name = sys.argv[1:]
    execute(name, Env(host, int(port), int(version), name))
