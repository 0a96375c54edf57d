"""What schemathesis must be told that an OpenAPI document cannot say."""

import json

import jsonschema_rs
import schemathesis

NDJSON = "application/x-ndjson"
LONGEST_WAIT = 60


@schemathesis.serializer(NDJSON)
def as_a_line(ctx, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@schemathesis.check
def every_line_is_documented(ctx, response, case):
    """The schema of NDJSON is that of a line; schemathesis would hold the whole body to it."""
    kind = (response.headers.get("content-type") or [""])[0]
    if kind != NDJSON:
        return
    document = case.operation.schema.raw_schema
    answers = document["paths"][case.operation.path][case.operation.method.lower()]["responses"]
    schema = answers[str(response.status_code)]["content"][NDJSON]["schema"]
    validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
    lines = [json.loads(line) for line in response.text.splitlines()]
    for line in lines:
        validator.validate(line)
    if case.operation.definition.raw["operationId"] == "change_many":
        kinds = [next(iter(line)) for line in lines]
        assert kinds[0] == "found" and kinds[-1] == "done" and set(kinds[1:-1]) <= {"saga"}, kinds


@schemathesis.hook
def filter_query(context, query):
    """`version` goes with a `definition`: a dependency between parameters, for which OpenAPI has no words."""
    if context.operation.definition.raw["operationId"] != "list_sagas" or not query:
        return True
    return "version" not in query or "definition" in query


@schemathesis.hook
def before_call(context, case, kwargs):
    """Nobody waits here for as long as may be waited."""
    if case.operation.definition.raw["operationId"] == "wait_for_saga" and case.query is not None:
        timeout = str(case.query.get("timeout", LONGEST_WAIT))
        if timeout.isascii() and timeout.isdigit() and int(timeout) <= LONGEST_WAIT:
            case.query["timeout"] = 0 if int(timeout) % 2 else 1
