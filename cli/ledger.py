"""Commands about what coaches are owed: adjusting it, and replaying the record of how it came about."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any
from urllib.parse import quote

import click

from cli import tables
from cli.connection import REFUSED, Context
from fairslot.domain.fair_share import HIGHEST_SCORE
from fairslot.domain.replay import ReplayError, Step, compare
from fairslot.domain.replay import replay as replay_steps
from fairslot.domain.what_if import Course, Rule, run, stride, table

_PAGE = 500  # steps a request
_STEP = ("seq", "step", "kind", "policy", "chosen", "reverses_seq", "candidates")
_of = click.pass_obj


@dataclass(frozen=True)
class Record:
    """The record of a calendar, and what is owed after it."""

    steps: Sequence[Step]
    credits: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, of: Context, calendar_id: str) -> "Record":
        """Read it page by page."""
        steps: list[Step] = []
        credits_now: Sequence[Mapping[str, Any]] = ()
        for page in of.api.each_page(f"{_path(calendar_id)}/record", limit=_PAGE):
            steps += [Step(**{name: one[name] for name in _STEP}) for one in page["data"]]
            credits_now = page["credits"] or ()
        return cls(steps, credits_now)

    def difference(self) -> str | None:
        """Return the first difference between the record and its replay, None if there is none."""
        try:
            books, _ = replay_steps(self.steps)
            compare(books, self.credits)
        except ReplayError as error:
            return str(error)
        return None


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not isfinite(value):
        raise click.BadParameter(f"{value} is not a number")
    return value


_weight = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option("--calendar", "calendar_id", metavar="ID", help="Only this calendar.")
@click.option("--what-if", is_flag=True, help="Then run the same history under another rule.")
@click.option("--policy", type=click.Choice(["fair_share", HIGHEST_SCORE]), help="The other rule's policy.")
@click.option(
    "--gamma", type=click.FloatRange(0, 100), callback=_finite, help="Its weight exponent, 0 to 100."
)
@click.option("--low", type=_weight, callback=_finite, help="Its lowest weight, above 0.")
@click.option("--high", type=_weight, callback=_finite, help="Its highest weight, above 0.")
@_of
@click.pass_context
def replay(
    context: click.Context, of: Context, /, calendar_id: str | None, what_if: bool, **other: Any
) -> None:
    """Make every recorded decision again; exit code 1 if one differs from the record."""
    if what_if != any(value is not None for value in other.values()):
        raise click.UsageError("--what-if goes with at least one of --policy, --gamma, --low, --high")
    ids = (
        [calendar_id]
        if calendar_id
        else [one["calendar_id"] for one in of.api.pages("/api/calendars", limit=200)]
    )
    found = [_replayed(of, one, other if what_if else None) for one in ids]
    if of.as_json:
        tables.show_json(found)
    if any(one["difference"] for one in found):
        context.exit(REFUSED)


def _replayed(of: Context, calendar_id: str, other: Mapping[str, Any] | None) -> dict[str, Any]:
    """Replay one calendar, say what came of it, and return it for scripts."""
    record = Record.read(of, calendar_id)
    with tables.progress(f"replaying {len(record.steps):,} records of {calendar_id}"):
        said = record.difference()
    result: dict[str, Any] = {"calendar_id": calendar_id, "steps": len(record.steps), "difference": said}
    count = f"{len(record.steps)} records replayed; every choice, share and credit equals the record"
    if not of.as_json:
        click.echo(f"{calendar_id}: {said or count}")
    if other is not None and said is None:
        rule, every = _rule(of, calendar_id, other), stride(record.steps)
        with tables.progress(f"running them under the other rule: {calendar_id}"):
            courses = {
                name: run(record.steps, one, every=every)
                for name, one in (("recorded", Rule()), ("what_if", rule))
            }
        result |= {name: _outcome(course) for name, course in courses.items()}
        if not of.as_json:
            click.echo(table(calendar_id, courses["recorded"], courses["what_if"]))
    return result


def _rule(of: Context, calendar_id: str, other: Mapping[str, Any]) -> Rule:
    """Return the other rule: what is not given is the calendar's own."""
    given = {name: value for name, value in other.items() if name != "policy" and value is not None}
    if not given:
        return Rule(policy=other["policy"])
    own = of.api.call("GET", _path(calendar_id))["fairness"]
    weights = {name: own[name] for name in ("gamma", "low", "high")} | given
    if weights["low"] > weights["high"]:
        raise click.UsageError(
            f"{calendar_id}: --low ({weights['low']:g}) is above --high ({weights['high']:g})"
        )
    team = of.api.pages(f"{_path(calendar_id)}/coaches", limit=200)
    return Rule(policy=other["policy"], manual={one["coach_id"]: one["weight"] for one in team}, **weights)


def _outcome(course: Course) -> dict[str, Any]:
    return {
        "largest_deviation": course.largest,
        "largest_deviation_by_kind": course.by_kind,
        "jain_index": course.jain,
        "coaches": {coach_id: asdict(one) for coach_id, one in sorted(course.standings.items())},
    }


@click.command()
@click.argument("calendar_id")
@click.argument("coach_id")
@click.argument("bookings", type=float)
@click.argument("reason")
@click.option("--kind", default="normal", show_default=True, help="The kind of hours.")
@click.option("--dry-run", is_flag=True, help="Show credits before and after, and change nothing.")
@_of
def adjust(
    of: Context, /, calendar_id: str, coach_id: str, bookings: float, reason: str, **more: Any
) -> None:
    """Owe a coach BOOKINGS more (or, negative after --, fewer) for a REASON; the rest of the team pays."""
    body = {"coach_id": coach_id, "bookings": bookings, "reason": reason, "kind": more["kind"]}
    query = {"dry_run": more["dry_run"]}
    answer = of.api.call("POST", f"{_path(calendar_id)}/adjustments", body, query=query)
    if of.as_json:
        tables.show_json(answer)
    elif more["dry_run"]:
        tables.show_plan(answer, made=False)
    else:
        tables.show_members(answer)


def _path(calendar_id: str) -> str:
    return f"/api/calendars/{quote(calendar_id, safe='')}"
