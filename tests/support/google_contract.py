"""Google's own description of its Calendar API, and a transport that holds requests and answers to it.

It is `calendar.v3.json` of the google-api-python-client. It knows names and types; what values an enumeration
has is prose in it, and how the API behaves it does not say at all.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
from jsonschema import Draft202012Validator, FormatChecker

from local.partners import field_mask

BASE = "/calendar/v3/"
type Json = Mapping[str, Any]

_formats = FormatChecker([])


@_formats.checks("date-time", ValueError)
def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_formats.checks("date", ValueError)
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


@_formats.checks("int64", ValueError)
def _is_int64(value: object) -> bool:
    return not isinstance(value, str) or abs(int(value)) < 2**63


class ContractError(AssertionError):
    """A request or an answer is not what Google's document describes."""


@cache
def document() -> Json:
    """Return the discovery document."""
    place = files("googleapiclient") / "discovery_cache" / "documents" / "calendar.v3.json"
    found: Json = json.loads(place.read_text())
    return found


def methods() -> Iterator[Json]:
    """Yield all methods of all resources."""
    for resource in document()["resources"].values():
        yield from resource["methods"].values()


def method(verb: str, path: str) -> Json:
    """Return the method of a call, whose path is below the service's. Raises ContractError."""
    for one in methods():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(one["path"]))
        if one["httpMethod"] == verb and re.fullmatch(pattern, path):
            return one
    raise ContractError(f"there is no {verb} {path}")


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what checks an object by the name of its schema."""
    defined = {known: _converted(schema) for known, schema in document()["schemas"].items()}
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": defined}, format_checker=_formats)


def _converted(schema: Any) -> Any:
    """Return a schema of the document as JSON Schema, in which nothing unknown is allowed."""
    if isinstance(schema, list):
        return [_converted(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    made = {name: value for name, value in schema.items() if name in {"type", "format", "enum", "pattern"}}
    if made.get("type") == "any":
        del made["type"]
    for name in ("items", "additionalProperties"):
        if name in schema:
            made[name] = _converted(schema[name])
    if "properties" in schema:
        made["properties"] = {name: _converted(one) for name, one in schema["properties"].items()}
        made.setdefault("additionalProperties", False)
    return made


def check(name: str, value: object, where: str) -> None:
    """Check an object by the name of its schema. Raises ContractError."""
    errors = [f"{where}: {one.json_path}: {one.message}" for one in validator(name).iter_errors(value)]
    if errors:
        raise ContractError("; ".join(errors))


def check_mask(name: str, mask: str, where: str) -> None:
    """Check that a schema has all members that `fields` names. Raises ContractError."""
    _check_mask({"$ref": name}, field_mask.parse(mask), where)


def _check_mask(schema: Json, mask: field_mask.Mask, where: str) -> None:
    while "$ref" in schema or "items" in schema:
        schema = document()["schemas"][schema["$ref"]] if "$ref" in schema else schema["items"]
    for name, inner in mask.items():
        if name not in schema.get("properties", {}):
            raise ContractError(f"{where}: there is no member {name}")
        _check_mask(schema["properties"][name], inner, where)


def check_request(request: httpx.Request) -> None:
    """Check a call's path, parameters and body. Raises ContractError."""
    path = unquote(request.url.raw_path.decode().partition("?")[0].removeprefix(BASE).replace("%2F", "%252F"))
    known = method(request.method, path)
    where = f"{request.method} {path}"
    parameters = {**document()["parameters"], **known.get("parameters", {})}
    for name, value in parse_qsl(request.url.query.decode(), keep_blank_values=True):
        if name not in parameters or parameters[name]["location"] != "query":
            raise ContractError(f"{where}: there is no parameter {name}")
        _check_parameter(parameters[name], value, f"{where}: {name}")
        if name == "fields":
            check_mask(known["response"]["$ref"], value, where)
    if "request" in known:
        body = json.loads(request.content)
        # In a patch null takes a member away, whatever its type.
        check(known["request"]["$ref"], _without_nulls(body) if request.method == "PATCH" else body, where)
    elif request.content:
        raise ContractError(f"{where}: it has no body")


def _check_parameter(parameter: Json, value: str, where: str) -> None:
    valid = {
        "boolean": lambda: value in {"true", "false"},
        "integer": lambda: int(value) >= int(parameter.get("minimum", "0")),
        "string": lambda: (
            (parameter.get("format") != "date-time" or datetime.fromisoformat(value).tzinfo is not None)
            and value in parameter.get("enum", [value])
        ),
    }
    if not valid[parameter["type"]]():
        raise ContractError(f"{where}: {value} is no {parameter['type']} as it is described")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return value


def check_answer(request: httpx.Request, content: bytes) -> None:
    """Check the body of a successful answer. Raises ContractError."""
    path = unquote(request.url.raw_path.decode().partition("?")[0].removeprefix(BASE).replace("%2F", "%252F"))
    known = method(request.method, path)
    where = f"answer to {request.method} {path}"
    if "response" in known:
        check(known["response"]["$ref"], json.loads(content), where)
    elif content:
        raise ContractError(f"{where}: it has no body")


class Contract(httpx.AsyncHTTPTransport):
    """Sends requests, and holds them and what answers them to the document."""

    def __init__(self) -> None:
        # The stand-in speaks plain http, and what would verify certificates is long in the making.
        super().__init__(verify=False, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise ContractError, which is no error of a calendar, so that it fails the test."""
        check_request(request)
        response = await super().handle_async_request(request)
        if not response.is_success:
            return response
        content = await response.aread()
        await response.aclose()
        check_answer(request, content)
        headers = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
        return httpx.Response(
            response.status_code,
            headers=headers,
            stream=httpx.ByteStream(content),
            extensions=response.extensions,
        )
