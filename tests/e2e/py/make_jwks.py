"""A JSON Web Key Set of one key by PyJWT: `make_jwks.py PRIVATE_KEY_FILE KEY_ID`."""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm

with open(sys.argv[1], "rb") as file:
    key = load_pem_private_key(file.read(), None).public_key()
entry = json.loads(ECAlgorithm.to_jwk(key))
print(json.dumps({"keys": [{**entry, "kid": sys.argv[2], "use": "sig", "alg": "ES256"}]}))
