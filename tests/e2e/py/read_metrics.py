"""OpenMetrics by the strict parser of prometheus_client: `SCRIPT FILE`. Prints all samples as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
samples = {}
for family in text_string_to_metric_families(text):
    if not family.documentation:
        sys.exit(f"{family.name} has no help")
    for sample in family.samples:
        labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
        name = f"{sample.name}{{{labels}}}" if labels else sample.name
        if name in samples:
            sys.exit(f"{name} is there twice")
        samples[name] = float(sample.value)
print(json.dumps(samples))
