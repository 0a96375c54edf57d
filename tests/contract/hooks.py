"""Rules for schemathesis that an OpenAPI document cannot express."""

import json

import jsonschema_rs
import schemathesis

NDJSON = "application/x-ndjson"
LONGEST_WAIT = 60


def operation(case):
    return case.operation.definition.raw["operationId"]


@schemathesis.serializer(NDJSON)
def as_a_line(ctx, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@schemathesis.check
def every_line_is_documented(ctx, response, case):
    """Validates each line of NDJSON: the schema is that of a line, but schemathesis would apply it to the whole body."""
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
    if operation(case) == "change_many":
        kinds = [next(iter(line)) for line in lines]
        assert kinds[0] == "summary" and kinds[-1] == "complete" and set(kinds[1:-1]) <= {"item"}, kinds


@schemathesis.hook
def filter_case(context, case):
    """Skips `version` without `definition`: OpenAPI cannot express dependencies between parameters."""
    if operation(case) != "list_sagas" or not case.query:
        return True
    return "version" not in case.query or "definition" in case.query


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Accepts a bulk start with invalid lines: the response reports the problem of each."""
    if operation(case) != "start_many" or type(failure).__name__ != "AcceptedNegativeData":
        return True
    lines = [json.loads(line) for line in response.text.splitlines()]
    return not lines or any("problem" not in line for line in lines)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Shortens long waits."""
    if operation(case) == "wait_for_saga" and case.query is not None:
        timeout = str(case.query.get("timeout", LONGEST_WAIT))
        if timeout.isascii() and timeout.isdigit() and int(timeout) <= LONGEST_WAIT:
            case.query["timeout"] = 0 if int(timeout) % 2 else 1
