"""What the commands share: what was given before them, and how an answer is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from cli import tables
from cli.connection import Api


@dataclass
class Context:
    """What was given before the command."""

    profile: str | None
    as_json: bool

    @cached_property
    def api(self) -> Api:
        """The API, once it is used."""
        return Api.from_environment(self.profile)


def show(of: Context, answer: object, for_people: Callable[[], None]) -> None:
    """Show an answer: for scripts as it came."""
    if of.as_json:
        tables.show_json(answer)
    else:
        for_people()


def part_of_path(text: str) -> str:
    """Return an id as a part of a path."""
    return quote(text, safe="")
