"""Answers for people: tables and sentences; with `--json` the answer itself."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

console = Console(highlight=False, soft_wrap=False)
errors = Console(highlight=False, stderr=True)
_ANY_WIDTH = 10_000


@contextmanager
def progress(doing: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is being done, once it takes a moment; yields what says how far it has come."""
    with errors.status(doing) as status:
        yield status.update


def show_json(value: object) -> None:
    """Print a value as JSON, for scripts."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a table; a column such as `limits.per_day` is a member of a member.

    Where it is wider than the terminal, its headings are broken, and where that is not enough, each row is a
    paragraph with a line for each column.
    """
    cells = [[_cell(row, name) for name in columns] for row in rows]
    headings = [name.rpartition(".")[2] for name in columns]
    for written in (headings, [one.replace("_", "\n") for one in headings]):
        table = Table(*written, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for row in cells:
            table.add_row(*row)
        if Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum <= console.width:
            console.print(table)
            return
    for row in cells:
        paragraph = Table(box=None, show_header=False, pad_edge=False)
        paragraph.add_column(overflow="fold")
        paragraph.add_column(overflow="fold")
        for heading, cell in zip(headings, row, strict=True):
            paragraph.add_row(heading, cell)
        console.print(paragraph, "")


def show_members(resource: Mapping[str, Any]) -> None:
    """Print a resource, a line for each member."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in resource:
        table.add_row(name, _cell(resource, name))
    console.print(table)


def show_plan(plan: Mapping[str, Any], *, made: bool) -> None:
    """Print what a change does, or would do."""
    if not plan["changes"]:
        console.print("nothing to change")
        return
    console.print("changed" if made else "plan: nothing is changed yet")
    changes = [one if one["action"] == "update" else {**one, "members": []} for one in plan["changes"]]
    show_rows(changes, ("resource", "id", "action", "members"))
    if plan["appointments"]:
        console.print("appointments that no longer fit")
        columns = ("start_time", "calendar_id", "coach_id", "reason", "outcome", "new_coach_id")
        show_rows(plan["appointments"], columns)
    if plan["holds_released"]:
        console.print(f"{plan['holds_released']} holds are released")
    if plan["shares"]:
        console.print("shares of the bookings, and credits")
        changed = ("share_before", "share_after", "credit_before", "credit_after")
        show_rows(plan["shares"], ("calendar_id", "kind", "coach_id", *changed))


def _cell(row: Mapping[str, Any], name: str) -> str:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
