"""Requests made of the API's own description, right ones and wrong ones, and whether answers fit it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from tests.support.http import KEY, NOTHING, Answer, request
from tools import openapi

type Json = dict[str, Any]
type Values = Mapping[str, Sequence[Any]]

_NASTY = [
    "",
    " ",
    "\x00",
    "null",
    "\ud800",
    "\uffff",
    "'; DROP TABLE coaches; --",
    "../../etc/passwd",
    "%00",
    "%s%n",
    "0",
    "-1",
    "1e999",
    "9" * 400,
    "x" * 5000,
    "2026-03-03",
    "2026-03-03T14:00:00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "2026-03-08T02:30:00-05:00",
    "🦊",
    "<script>",
]
_TEXTS = st.sampled_from(_NASTY) | st.text(max_size=50)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS
_ANYTHING = st.recursive(
    _LEAVES,
    lambda some: st.lists(some, max_size=4) | st.dictionaries(_TEXTS, some, max_size=4),
    max_leaves=20,
)


@dataclass(frozen=True)
class Operation:
    """One operation of the description."""

    name: str
    method: str
    path: str
    described: Json

    def names(self, place: str) -> list[str]:
        """Return the names of the parameters in the path, the query or the header."""
        parameters = map(_resolved, self.described.get("parameters", []))
        return [one["name"] for one in parameters if one["in"] == place]

    def requests(self, values: Values) -> st.SearchStrategy[Json]:
        """Make events: mostly right, each part now and then wrong; `values` are worth asking for, by name."""
        named = {one["name"]: one for one in map(_resolved, self.described.get("parameters", []))}
        places = {
            place: {name: one for name, one in named.items() if one["in"] == place}
            for place in ("path", "query", "header")
        }
        return st.builds(
            self._event,
            path=_members(places["path"], values, _TEXTS),
            query=_members(places["query"], values, _TEXTS) | st.text(max_size=80),
            headers=_members(places["header"], values, _TEXTS) | _one_key(places["header"], values),
            body=self._bodies(values),
        )

    def check(self, answer: Answer) -> None:
        """Assert that an answer is one of those that the description allows, and fits it."""
        assert answer.status < 500, answer
        assert str(answer.status) in self.described["responses"], answer
        described = _resolved(self.described["responses"][str(answer.status)])
        for name in set(described["headers"]) - {"Content-Encoding", "Idempotent-Replayed", "Retry-After"}:
            assert name.lower() in answer.headers, name
        content = described.get("content", {})
        if not content:
            assert answer.body == b""
            return
        assert answer.headers["content-type"] in content
        schema = content[answer.headers["content-type"]]["schema"]
        _validator(json.dumps(schema)).validate(answer.json)

    def _bodies(self, values: Values) -> st.SearchStrategy[object]:
        content = self.described.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return st.just(NOTHING) | st.binary(max_size=20)
        right = _of_schema(content["schema"], "body", values)
        spoilt = st.builds(_spoil, right, _TEXTS, _ANYTHING, st.integers(0, 100))
        raw = st.binary(max_size=50) | st.builds(lambda body: _text(body)[:-1], right)
        return st.one_of(right, right, right, spoilt, spoilt, _ANYTHING.map(_text), raw)

    def _event(self, path: Json, query: Json | str, headers: Json, body: object) -> Json:
        full = self.path
        for name, value in path.items():
            full = full.replace(f"{{{name}}}", quote(str(value).encode("utf-8", "replace"), safe=""))
        if isinstance(query, dict):
            query = "&".join(
                f"{name}={quote(str(value).encode('utf-8', 'replace'))}"
                for name, given in query.items()
                for value in (given if isinstance(given, list) else [given])
            )
        given = {"X-API-Key": KEY, "Content-Type": "application/json", **headers}
        sent = body if body is NOTHING or isinstance(body, bytes) else _text(body)
        return request(
            self.method,
            full,
            sent,
            query=query.encode("utf-8", "replace").decode(),
            headers={name: str(value) for name, value in given.items()},
        )


@cache
def document() -> Json:
    """Return the description as it is filed."""
    found: Json = json.loads(openapi.PATH.read_text("utf-8"))
    return found


def operations() -> Iterator[Operation]:
    """Return every operation of the description."""
    for path, methods in document()["paths"].items():
        for method, described in methods.items():
            yield Operation(described["operationId"], method.upper(), path, described)


def _members(
    parameters: Mapping[str, Json], values: Values, wrong: st.SearchStrategy[Any]
) -> st.SearchStrategy[Json]:
    """Make a value for each parameter, rarely a wrong one; what is not required is often left out."""
    strategies = {}
    for name, one in parameters.items():
        right = _of_schema(one["schema"], name, values)
        strategies[name] = st.integers(0, 9).flatmap(lambda dice, right=right: wrong if dice == 9 else right)  # type: ignore[misc]
    required = {name for name, one in parameters.items() if one.get("required")}
    return st.fixed_dictionaries(
        {name: one for name, one in strategies.items() if name in required},
        optional={name: one for name, one in strategies.items() if name not in required},
    )


def _one_key(parameters: Mapping[str, Json], values: Values) -> st.SearchStrategy[Json]:
    """Give an idempotency key by one of its names, where there are two: two keys that differ are refused."""
    keys = [name for name in parameters if name.endswith("Idempotency-Key")]
    return st.one_of(
        [st.fixed_dictionaries({name: _of_schema(parameters[name]["schema"], name, values)}) for name in keys]
        or [_members(parameters, values, _TEXTS)]
    )


def _of_schema(schema: Json, name: str, values: Values) -> st.SearchStrategy[Any]:
    """Make what a schema allows; for a name whose values are known, one of those."""
    schema = _resolved(schema)
    if name in values:
        return st.sampled_from(values[name])
    if "anyOf" in schema:
        return st.one_of([_of_schema(one, name, values) for one in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "object":
        return _of_object(schema, values)
    if schema.get("type") == "array":
        return st.lists(_of_schema(schema["items"], name, values), max_size=3)
    least, most = schema.get("minLength", 0), min(schema.get("maxLength", 50), 50)
    return {
        "integer": st.integers(schema.get("minimum", -5), schema.get("maximum", 2**40)),
        "number": st.floats(schema.get("minimum", -5), schema.get("maximum", 1e6)),
        "boolean": st.booleans(),
        "null": st.none(),
    }.get(schema.get("type", ""), st.text(min_size=least, max_size=most))


def _of_object(schema: Json, values: Values) -> st.SearchStrategy[Json]:
    properties = {name: _of_schema(one, name, values) for name, one in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: one for name, one in properties.items() if name in required},
        optional={name: one for name, one in properties.items() if name not in required},
    )


def _spoil(body: object, name: str, value: object, position: int) -> object:
    """Put something wrong into one member of a body, or beside them."""
    if not isinstance(body, dict):
        return value
    names = [*body, name]
    return body | {names[position % len(names)]: value}


def _text(body: object) -> bytes:
    """Write a body as JSON, with all that JSON does not have."""
    return json.dumps(body).encode()


def _resolved(part: Json) -> Json:
    while "$ref" in part:
        found: Any = document()
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


@cache
def _validator(schema: str) -> OAS31Validator:
    whole = json.loads(schema) | {"components": document()["components"]}
    return OAS31Validator(whole, format_checker=oas31_format_checker)
