"""Lines of which each has to be a JSON object: `SCRIPT FILE`. Prints them as one list."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    objects = [json.loads(line) for line in file]
for number, value in enumerate(objects, 1):
    if not isinstance(value, dict):
        sys.exit(f"line {number} is no object: {value!r}")
print(json.dumps(objects))
