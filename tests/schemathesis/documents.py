"""Validates /openapi.json and /metrics with the readers of others."""

import json
import sys
import urllib.request

from openapi_spec_validator import validate
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_metrics

url, token = sys.argv[1:]


def get(path, accept):
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    request = urllib.request.Request(url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


document = json.loads(get("/openapi.json", "application/json"))
validate(document)
print(f"/openapi.json: valid OpenAPI {document['openapi']}, {len(document['paths'])} paths")

families = list(open_metrics(get("/metrics", "application/openmetrics-text")))
plain = list(plain_metrics(get("/metrics", "text/plain")))
for family in families:
    assert family.name.startswith("llama_orch_"), family.name
    assert family.documentation, family.name
assert len(families) == len(plain) > 20, (len(families), len(plain))
print(f"/metrics: {len(families)} families in both formats")
