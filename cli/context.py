"""What the commands share: how an answer is shown, and how an id becomes a part of a path."""

from collections.abc import Callable
from urllib.parse import quote

from cli import tables
from cli.connection import Context


def show(of: Context, answer: object, for_people: Callable[[], None]) -> None:
    """Show an answer: for scripts as it came."""
    if of.as_json:
        tables.show_json(answer)
    else:
        for_people()


def part_of_path(text: str) -> str:
    """Return an id as a part of a path."""
    return quote(text, safe="")
