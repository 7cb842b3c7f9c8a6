"""Recompute the recorded decisions: `make replay`, `make what-if` or `python -m tools.replay`.

Every decision in `distribution_log` is made again, in order, by the pure rule (fairslot.domain.replay). Each
choice, share and credit, and at the end each coach's credit, must equal the recorded one exactly; the first
difference is printed and the exit code is 1. `--what-if` then runs the same history (the same eligible
coaches, the same cancellations) under another rule and prints both side by side.

Reads the database of DATABASE_URL, or of the local stack on FAIRSLOT_DATA (.data), and writes nothing.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from fairslot.domain.fair_share import bound
from fairslot.domain.replay import ReplayError, Step, compare
from fairslot.domain.replay import replay as replay_steps
from fairslot.domain.what_if import Rule, run, stride, table
from fairslot.platform import db
from tools.replay_options import database_url, parse
from tools.replay_plot import draw

_WRONG_USE = 2  # argparse's exit code

_CALENDARS = """
    SELECT calendar_id, weight_exponent, weight_low, weight_high FROM calendars
     WHERE %(calendar)s::text IS NULL OR calendar_id = %(calendar)s ORDER BY calendar_id"""
_LOG = """
    SELECT seq, step, kind, policy, chosen, reverses_seq, candidates
      FROM distribution_log WHERE calendar_id = %(calendar)s ORDER BY seq"""
_TEAM = """
    SELECT kind, coach_id, credit, last_assigned_seq, manual_weight
      FROM coach_credits JOIN coach_calendars USING (calendar_id, coach_id)
     WHERE calendar_id = %(calendar)s ORDER BY kind <> 'normal', kind, coach_id"""


def replay(connection: db.Connection, calendar_id: str) -> int:
    """Recompute a calendar's decisions and return the number of records.

    Raises:
        ReplayError: the first difference from the record.

    """
    books, count = replay_steps(_steps(connection, calendar_id))
    compare(books, connection.execute(_TEAM, {"calendar": calendar_id}))
    return count


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 1 for a difference or no database, 2 for wrong use."""
    options = parse(arguments)
    url = database_url()
    if url is None:
        return _fail("no database: start the local stack with `make run`, or set DATABASE_URL")
    try:
        with db.connect(url) as connection:
            # One snapshot: bookings may go on meanwhile.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                return _replay_all(connection, options)
    except psycopg.OperationalError as error:
        reason = str(error).partition("\n")[0]
        return _fail(f"cannot read the database: {reason}; is the local stack running, DATABASE_URL right?")
    except psycopg.errors.UndefinedTable:
        return _fail("the database has no Fairslot schema: create it with `make migrate`")


def _fail(message: str, code: int = 1) -> int:
    print(message, file=sys.stderr)
    return code


def _replay_all(connection: db.Connection, options: argparse.Namespace) -> int:
    calendars = connection.execute(_CALENDARS, {"calendar": options.calendar}).fetchall()
    if not calendars:
        return _fail(
            f"there is no calendar {options.calendar}" if options.calendar else "there are no calendars"
        )
    for calendar in calendars:
        calendar_id = calendar["calendar_id"]
        parameters = {**calendar, **_overrides(options)}
        if parameters["weight_low"] > parameters["weight_high"]:
            low, high = parameters["weight_low"], parameters["weight_high"]
            return _fail(f"{calendar_id}: --low ({low:g}) is above --high ({high:g})", _WRONG_USE)
        try:
            count = replay(connection, calendar_id)
        except ReplayError as error:
            print(f"{calendar_id}: {error}")
            return 1
        print(f"{calendar_id}: {count} records replayed; every choice, share and credit equals the record")
        if options.what_if:
            rule = _rule(connection, calendar_id, parameters, options)
            plot = _plot_file(options.plot, calendar_id, alone=len(calendars) == 1)
            print(_what_if(list(_steps(connection, calendar_id)), calendar_id, rule, plot))
    return 0


def _what_if(steps: list[Step], calendar_id: str, rule: Rule, plot: Path | None) -> str:
    record, other = (run(steps, one, every=stride(steps)) for one in (Rule(), rule))
    if plot is not None:
        limit = len(record.books.ledgers) * bound([0] * len(record.standings)).bookings
        draw(calendar_id, {"as recorded": record, "what if": other}, limit, plot)
    return table(calendar_id, record, other)


def _steps(connection: db.Connection, calendar_id: str) -> Iterator[Step]:
    with connection.cursor(name="log", row_factory=dict_row) as rows:
        rows.itersize = 1_000
        rows.execute(_LOG, {"calendar": calendar_id})
        for row in rows:
            yield Step(**row)


def _rule(
    connection: db.Connection, calendar_id: str, parameters: dict[str, float], options: argparse.Namespace
) -> Rule:
    if not _overrides(options):
        return Rule(policy=options.policy)
    rows = connection.execute(_TEAM, {"calendar": calendar_id})
    return Rule(
        policy=options.policy,
        gamma=parameters["weight_exponent"],
        low=parameters["weight_low"],
        high=parameters["weight_high"],
        manual={row["coach_id"]: row["manual_weight"] for row in rows},
    )


def _overrides(options: argparse.Namespace) -> dict[str, float]:
    """Return the calendar parameters that the command line overrides."""
    names = {"weight_exponent": "gamma", "weight_low": "low", "weight_high": "high"}
    return {
        column: getattr(options, name) for column, name in names.items() if getattr(options, name) is not None
    }


def _plot_file(plot: Path | None, calendar_id: str, *, alone: bool) -> Path | None:
    """Return the file of a calendar's plot; with several calendars each has its own."""
    return plot if plot is None or alone else plot.with_stem(f"{plot.stem}-{calendar_id}")


if __name__ == "__main__":
    sys.exit(main())
