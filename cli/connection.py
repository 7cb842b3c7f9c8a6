"""Where the API is, and calls of it: answers, or an exit code with what went wrong.

Exit codes: 0 done · 1 refused by the API · 2 wrong use · 3 no usable answer.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import httpx

from cli import tables

REFUSED, NO_ANSWER = 1, 3
_LOCAL = "http://127.0.0.1:3000"
_SECONDS = 30
_NOTHING: Mapping[str, object] = MappingProxyType({})


class Refused(click.ClickException):
    """The API has refused a request; `problem` is its answer."""

    exit_code = REFUSED

    def __init__(self, problem: Mapping[str, Any], place: Callable[[str], str] | None = None) -> None:
        """Keep the problem, and say its message; `place` says where in a file a location is."""
        self.problem = problem
        lines = [f"{problem.get('message', 'refused')} ({problem.get('error')})"]
        for one in problem.get("details", ()):
            where = f"{place(one['loc'])}: " if place else "  "
            lines.append(f"{where}{one['loc']}: {one['type']}")
        super().__init__("\n".join(lines))


class NoAnswer(click.ClickException):
    """There is no answer, or none that can be read, or the API is unavailable."""

    exit_code = NO_ANSWER


@dataclass(frozen=True)
class Profile:
    """Where the API is, and the key for it."""

    url: str
    key: str

    @classmethod
    def find(cls, environment: Mapping[str, str], name: str | None) -> "Profile":
        """Read FAIRSLOT_URL and FAIRSLOT_KEY, and what they leave open from a profile.

        Profiles are tables with `url` and `key` in FAIRSLOT_PROFILES, by default
        ~/.config/fairslot/profiles.toml; the one named `default` is used where none is named.

        Raises:
            click.UsageError: there is no such profile, the file is invalid, or there is no key.

        """
        file = Path(environment.get("FAIRSLOT_PROFILES") or "~/.config/fairslot/profiles.toml").expanduser()
        profiles: dict[str, Any] = {}
        if file.is_file():
            try:
                profiles = tomllib.loads(file.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise click.UsageError(f"{file}: {error}") from error
        if name is not None and name not in profiles:
            raise click.UsageError(f"there is no profile {name} in {file}")
        found = profiles.get(name or "default", {})
        url = environment.get("FAIRSLOT_URL") or found.get("url") or _LOCAL
        key = environment.get("FAIRSLOT_KEY") or found.get("key")
        if not key:
            raise click.UsageError("there is no key; set FAIRSLOT_KEY, or `key` of a profile")
        return cls(url=str(url).rstrip("/"), key=str(key))


class Api:
    """Calls of the API."""

    def __init__(self, profile: Profile) -> None:
        self._client = httpx.Client(
            base_url=profile.url, headers={"X-API-Key": profile.key}, timeout=_SECONDS
        )

    @classmethod
    def from_environment(cls, profile: str | None) -> "Api":
        """Return the API that the environment or a profile names."""
        return cls(Profile.find(os.environ, profile))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] = _NOTHING,
        accept: tuple[int, ...] = (),
    ) -> Any:
        """Return the answer's body (None: it has none); `query` without what is None or False.

        `accept`: statuses that are answers too.

        Raises:
            Refused: a problem with a status of 400 to 499.
            NoAnswer: anything else that is no success.

        """
        with tables.progress("waiting for the API"):
            return self._ask(method, path, body, query=query, accept=accept)

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] = _NOTHING,
        accept: tuple[int, ...] = (),
    ) -> Any:
        asked = {name: _text(value) for name, value in query.items() if value not in {None, False}}
        try:
            answer = self._client.request(method, path, json=body, params=asked)
            content = answer.json() if answer.content else None
        except (httpx.HTTPError, ValueError) as error:
            raise NoAnswer(f"{self._client.base_url}: {str(error) or type(error).__name__}") from error
        if answer.is_success or answer.status_code in accept:
            return content
        if answer.is_client_error and isinstance(content, dict):
            raise Refused(content)
        message = content.get("message") if isinstance(content, dict) else None
        raise NoAnswer(f"{answer.status_code} {message or answer.reason_phrase}")

    def each_page(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Yield the pages of a list."""
        cursor, entries = None, 0
        with tables.progress("waiting for the API") as say:
            while True:
                page: dict[str, Any] = self._ask("GET", path, query=query | {"cursor": cursor})
                yield page
                cursor, entries = page["next_cursor"], entries + len(page["data"])
                if cursor is None:
                    return
                say(f"{entries:,} read")

    def pages(self, path: str, most: int | None = None, **query: object) -> list[dict[str, Any]]:
        """Return the entries of a list, from page to page, `most` of them at most."""
        entries: list[dict[str, Any]] = []
        for page in self.each_page(path, **query):
            entries += page["data"]
            if most is not None and len(entries) >= most:
                break
        return entries[:most]


@dataclass
class Context:
    """What was given before the command."""

    profile: str | None
    as_json: bool

    @cached_property
    def api(self) -> Api:
        """The API, once it is used."""
        return Api.from_environment(self.profile)


def _text(value: object) -> str:
    return "true" if value is True else str(value)
