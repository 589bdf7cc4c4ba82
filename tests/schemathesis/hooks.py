"""What is asked differently than the document allows, so that asking ends in time."""

import schemathesis

SHORT = 50
LARGEST = 2**64 - 1


def shorten(asked):
    """Takes valid waiting times down; what is invalid stays so."""
    wait = asked.get("wait_ms")
    if isinstance(wait, int) and not isinstance(wait, bool) and SHORT < wait <= LARGEST:
        asked["wait_ms"] = SHORT


@schemathesis.hook
def map_query(context, query):
    # An answer that is waited for longer says nothing more.
    if isinstance(query, dict):
        query.setdefault("wait_ms", SHORT)
        shorten(query)
    return query


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        shorten(body)
    return body


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # A name that exists, half of the time: behind an unknown one there is only a 404.
    if isinstance(path_parameters, dict) and "name" in path_parameters:
        name = path_parameters["name"]
        if len(str(name)) % 2:
            path_parameters["name"] = ("alpha", "beta", "gamma")[len(str(name)) // 2 % 3]
    return path_parameters
