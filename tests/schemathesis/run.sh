#!/usr/bin/env bash
# Asks a daemon everything that /openapi.json allows, and much that it does not, over TCP.
#
# It needs python3 and PyPI; without them it says so and exits 77. LLAMA_ORCH names the program
# (default: the debug build), SCHEMATHESIS_TIME the seconds that asking may take.
set -euo pipefail
cd "$(dirname "$0")/../.."

skipped=77
program=$(realpath "${LLAMA_ORCH:-target/debug/llama-orch}")
limit=${SCHEMATHESIS_TIME:-40}
tools=target/schemathesis

if ! "$tools/bin/schemathesis" --version >/dev/null 2>&1; then
    if ! { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --requirement \
        tests/schemathesis/requirements.txt; } >"$tools.log" 2>&1; then
        tail -n 3 "$tools.log" >&2 || true
        echo "schemathesis could not be installed" >&2
        exit "$skipped"
    fi
fi

home=$(mktemp -d /tmp/lo-schema-XXXXXX)
ask() { "$program" --home "$home" "$@"; }
end() {
    ask daemon stop --instances >/dev/null 2>&1 || true
    rm -rf "$home"
}
trap end EXIT

for name in chat beta gamma; do
    mkdir -p "$home/instances/$name"
    cat >"$home/instances/$name/config.toml" <<CONFIG
binary.path = "builtin:sim"
server.port = "auto"
args = ["--sim-load-time", "0"]
CONFIG
done
# Commands of work units are taken, and none is run.
printf '[api]\nlisten = "127.0.0.1:0"\n[work]\nremote_commands = true\nmax_parallel = 0\n' \
    >"$home/orchestrator.toml"
ask daemon start
ask up chat
for unit in login two three; do
    ask work-unit create "$unit" --command GOAL=true 2>/dev/null
done
for number in {0..19}; do
    ask work-unit create "old-$number" 2>/dev/null
done
url=$(ask daemon status --json | "$tools/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["tcp"]["url"])')
token=$(cat "$home/state/api-token")

echo "== the document is OpenAPI, and the numbers are OpenMetrics"
"$tools/bin/python" tests/schemathesis/documents.py "$url" "$token"

echo "== schemathesis"
export PYTHONPATH=tests/schemathesis SCHEMATHESIS_HOOKS=hooks
# Two that end the owner are left out, and one check: what is refused for its meaning (a name that
# nobody has) is as valid for a schema as what is not.
timeout --kill-after=10 $((limit + 60)) "$tools/bin/schemathesis" --config-file tests/schemathesis/schemathesis.toml run \
    "$url/openapi.json" --url "$url" --header "Authorization: Bearer $token" \
    --exclude-path /owner/stop --exclude-path /owner/yield \
    --checks all --phases examples,coverage,fuzzing \
    --max-examples 20 --max-time "$limit" --request-timeout 10 --no-color

echo "== the owner is as well as before"
ask daemon status
