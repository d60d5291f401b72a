"""A JSON Web Token by PyJWT: `make_token.py ALGORITHM KEY_FILE CLAIMS [KEY_ID]`.

CLAIMS is JSON; `exp` and `nbf` in it are seconds from now.
"""

import json
import sys
import time

import jwt

algorithm, key_file, claims, *key_id = sys.argv[1:]
with open(key_file, "rb") as file:
    key = file.read()
claims = json.loads(claims)
for name in ("exp", "nbf"):
    if name in claims:
        claims[name] += int(time.time())
headers = {"kid": key_id[0]} if key_id else None
print(jwt.encode(claims, key, algorithm, headers))
