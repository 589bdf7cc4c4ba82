"""What is asked differently than the document allows, so that asking ends in time."""

import itertools
import re

import schemathesis

SHORT = 50
LARGEST = 2**64 - 1
LEVELS = ("debug", "info", "warning", "error")

STATUSES = ("READY", "RUNNING", "BLOCKED", "NEEDS_ATTENTION", "DONE", None)

# A text that both an instance and a work unit may be called.
NAME = re.compile("[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")

UNITS = ("login", "two", "three")

# What is deleted is none of those that others are asked about.
OLD = itertools.cycle(f"old-{number}" for number in range(20))


def shorten(asked):
    """Takes valid waiting times down; what is invalid stays so."""
    wait = asked.get("wait_ms")
    text = str(wait)
    if not isinstance(wait, bool) and text.isascii() and text.isdigit():
        if SHORT < int(text) <= LARGEST:
            asked["wait_ms"] = type(wait)(SHORT)


def choose(asked):
    """Takes one of what excludes each other, and what goes together: no schema says it of a query,
    and none that the generators know of a body."""
    if "pattern" in asked and asked.get("level") in LEVELS:
        del asked["level"]
    needs = any(asked.get(key) is not None for key in ("reason", "stop"))
    if needs and asked.get("status", "READY") in STATUSES:
        asked["status"] = "NEEDS_ATTENTION"


def meet(asked, chunk):
    """Names what is there instead of what could be; what can be no name stays so."""
    if NAME.fullmatch(str(asked.get("instance"))):
        asked["instance"] = "chat"
    waits = asked.get("blocked_by")
    if isinstance(waits, list) and all(NAME.fullmatch(str(name)) for name in waits):
        asked["blocked_by"] = [] if chunk == "three" else ["three"]


@schemathesis.hook
def map_query(context, query):
    # An answer that is waited for longer says nothing more.
    if isinstance(query, dict):
        query.setdefault("wait_ms", SHORT)
    return query


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # A name that exists, mostly: behind an unknown one there is only a 404. What can be no name
    # stays so.
    known = {"name": ("chat", "beta", "gamma"), "chunk": UNITS}
    if isinstance(path_parameters, dict):
        for key, names in known.items():
            text = str(path_parameters.get(key, ""))
            if len(text) % 4 and NAME.fullmatch(text):
                path_parameters[key] = names[len(text) % len(names)]
    return path_parameters


@schemathesis.hook
def before_call(context, case, kwargs):
    chunk = (case.path_parameters or {}).get("chunk")
    if case.method.lower() == "delete" and chunk in UNITS:
        case.path_parameters["chunk"] = next(OLD)
    for asked in (case.query, case.body):
        if isinstance(asked, dict):
            shorten(asked)
            choose(asked)
            meet(asked, chunk)
