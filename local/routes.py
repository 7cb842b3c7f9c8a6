"""Matches requests to routes as API Gateway does.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class _Kind(IntEnum):
    """The kinds of a route's segments, the most specific first."""

    WORD = 0
    PARAMETER = 1
    GREEDY = 2


@dataclass(frozen=True)
class Match:
    """A matched route, with the values of its path parameters."""

    function: str
    route_key: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class _Route:
    method: str
    path: str
    function: str
    pattern: re.Pattern[str]
    names: list[str]
    closeness: tuple[int, ...]

    @property
    def key(self) -> str:
        return self.path if self.path == "$default" else f"{self.method} {self.path}"


class Routes:
    """Routes of method, path and function. `ANY` is every method, `{x}` a segment, `{x+}` all the rest."""

    def __init__(self, routes: Iterable[tuple[str, str, str]]) -> None:
        made = [_route(method, path, function) for method, path, function in routes]
        self._routes = sorted(made, key=lambda one: (one.closeness, one.method == "ANY"))

    def find(self, method: str, path: str) -> Match | None:
        """Return the most specific route for a decoded path, or None."""
        for route in self._routes:
            if route.method in {method, "ANY"} and (found := route.pattern.fullmatch(path)):
                return Match(route.function, route.key, dict(zip(route.names, found.groups(), strict=True)))
        return None


def _route(method: str, path: str, function: str) -> _Route:
    if path == "$default":
        return _Route("ANY", path, function, re.compile(".*", re.DOTALL), [], (len(_Kind),))
    pattern, names, closeness = "", [], []
    for segment in path.strip("/").split("/"):
        name = re.fullmatch(r"\{([^{}+]+)(\+?)\}", segment)
        kind = _Kind.WORD if name is None else _Kind.GREEDY if name[2] else _Kind.PARAMETER
        closeness.append(kind)
        if name is not None:
            names.append(name[1])
        pattern += (
            "/" + {_Kind.WORD: re.escape(segment), _Kind.PARAMETER: "([^/]+)", _Kind.GREEDY: "(.+)"}[kind]
        )
    return _Route(method.upper(), path, function, re.compile(pattern, re.DOTALL), names, tuple(closeness))
