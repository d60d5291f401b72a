"""A line of a mosquitto password file whose hash takes long: `SCRIPT USER PASSWORD`."""

import base64
import hashlib
import os
import sys

ROUNDS = 100_000

user, password = sys.argv[1:]
salt = os.urandom(12)
key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
salt, key = (base64.b64encode(part).decode() for part in (salt, key))
print(f"{user}:$7${ROUNDS}${salt}${key}")
