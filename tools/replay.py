"""Replay the record of decisions: `python -m tools.replay [--calendar ID] [--what-if …]`.

Every decision of `distribution_log` is made again, in order, by the pure rule. Each choice, share and credit,
and at the end each coach's credit, must be the recorded one bit for bit; the first difference is named and
the exit code is 1. `--what-if` then runs the same history, with the same coaches eligible and the same
cancellations, under another rule and prints both beside each other.

The database is DATABASE_URL's, or that of the local stack that runs on FAIRSLOT_DATA (.data).
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from math import isfinite, nan
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from fairslot.domain.fair_share import HIGHEST_SCORE, bound
from fairslot.platform import db
from local.function_env import ROOT
from tools.replay_ledger import Entry, Ledger, ReplayError, check
from tools.replay_plot import draw
from tools.what_if import Rule, run, stride, table

_PICTURES = (".png", ".svg", ".pdf")
_STEEPEST = 100  # beyond which a power of scores may be no number
_WRONG_USE = 2  # as argparse says it

_CALENDARS = """
    SELECT calendar_id, weight_exponent, weight_low, weight_high FROM calendars
     WHERE %(calendar)s::text IS NULL OR calendar_id = %(calendar)s ORDER BY calendar_id"""
_LOG = """
    SELECT seq, kind, policy, chosen, reverses_seq, candidates
      FROM distribution_log WHERE calendar_id = %(calendar)s ORDER BY seq"""
_TEAM = """
    SELECT coach_id, credit, last_assigned_seq, manual_weight
      FROM coach_calendars WHERE calendar_id = %(calendar)s ORDER BY coach_id"""


def replay(connection: db.Connection, calendar_id: str) -> int:
    """Replay a calendar's record and return how many rows it has.

    Raises:
        ReplayError: the first difference.

    """
    ledger = Ledger()
    count = 0
    for entry in _entries(connection, calendar_id):
        count += 1
        if entry.seq != count:
            raise ReplayError(f"seq {count}: is missing")
        check(entry, ledger)
    for row in connection.execute(_TEAM, {"calendar": calendar_id}):
        standing = ledger.of(row["coach_id"])
        for name, found in (("credit", standing.credit), ("last_assigned_seq", standing.last_seq)):
            if row[name] != found:
                raise ReplayError(
                    f"at the end: {name} of {row['coach_id']} is {row[name]}, {found} by replay"
                )
    return count


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks; return the exit code."""
    options = _options(arguments)
    with db.connect(_database_url()) as connection:
        # One snapshot: bookings may go on meanwhile.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            return _replay_all(connection, options)


def _replay_all(connection: db.Connection, options: argparse.Namespace) -> int:
    calendars = connection.execute(_CALENDARS, {"calendar": options.calendar}).fetchall()
    if not calendars:
        print("there is no such calendar" if options.calendar else "there are no calendars", file=sys.stderr)
        return 1
    for calendar in calendars:
        calendar_id = calendar["calendar_id"]
        asked = {**calendar, **_given(options)}
        if asked["weight_low"] > asked["weight_high"]:
            low, high = asked["weight_low"], asked["weight_high"]
            print(
                f"{calendar_id}: the lowest weight, {low:g}, is above the highest, {high:g}", file=sys.stderr
            )
            return _WRONG_USE
        try:
            count = replay(connection, calendar_id)
        except ReplayError as error:
            print(f"{calendar_id}: {error}")
            return 1
        print(f"{calendar_id}: {count} records, every choice, share and credit as recorded")
        if options.what_if:
            rule = _rule(connection, calendar_id, asked, options)
            plot = _numbered(options.plot, calendar_id, alone=len(calendars) == 1)
            print(_what_if(list(_entries(connection, calendar_id)), calendar_id, rule, plot))
    return 0


def _what_if(entries: list[Entry], calendar_id: str, rule: Rule, plot: Path | None) -> str:
    record, other = (run(entries, one, every=stride(entries)) for one in (Rule(), rule))
    if plot is not None:
        draw(calendar_id, {"as recorded": record, "what if": other}, bound(len(record.standings)), plot)
    return table(calendar_id, record, other)


def _entries(connection: db.Connection, calendar_id: str) -> Iterator[Entry]:
    with connection.cursor(name="log", row_factory=dict_row) as rows:
        rows.itersize = 1_000
        rows.execute(_LOG, {"calendar": calendar_id})
        for row in rows:
            yield Entry(**row)


def _rule(
    connection: db.Connection, calendar_id: str, chosen: dict[str, float], options: argparse.Namespace
) -> Rule:
    if not _given(options):
        return Rule(policy=options.policy)
    rows = connection.execute(_TEAM, {"calendar": calendar_id})
    return Rule(
        policy=options.policy,
        gamma=chosen["weight_exponent"],
        low=chosen["weight_low"],
        high=chosen["weight_high"],
        manual={row["coach_id"]: row["manual_weight"] for row in rows},
    )


def _given(options: argparse.Namespace) -> dict[str, float]:
    """Return the calendar's parameters that the command line gives."""
    names = {"weight_exponent": "gamma", "weight_low": "low", "weight_high": "high"}
    return {
        column: getattr(options, name) for column, name in names.items() if getattr(options, name) is not None
    }


def _numbered(plot: Path | None, calendar_id: str, *, alone: bool) -> Path | None:
    """Return the plot's file; with several calendars each has its own."""
    return plot if plot is None or alone else plot.with_stem(f"{plot.stem}-{calendar_id}")


def _database_url() -> str:
    if url := os.environ.get("DATABASE_URL"):
        return url
    state = Path(os.environ.get("FAIRSLOT_DATA") or ROOT / ".data") / "stack.json"
    if not state.exists():
        sys.exit("give DATABASE_URL, or start the local stack")
    return str(json.loads(state.read_text("utf-8"))["database_url"])


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.replay", description="Replay the record of decisions."
    )
    parser.add_argument("--calendar", metavar="ID", help="only this one")
    parser.add_argument("--what-if", action="store_true", help="run the same history under another rule too")
    parser.add_argument("--policy", choices=["fair_share", HIGHEST_SCORE], help="the what-if's policy")
    parser.add_argument("--gamma", type=_exponent, help="the what-if's weight exponent, 0 to 100")
    parser.add_argument("--low", type=_weight, help="the what-if's lowest weight, above 0")
    parser.add_argument("--high", type=_weight, help="the what-if's highest weight, above 0")
    parser.add_argument(
        "--plot", type=_picture, metavar="FILE", help="draw the deviations over time (png, svg, pdf)"
    )
    options = parser.parse_args(arguments)
    given = [options.policy, options.gamma, options.low, options.high]
    if options.what_if and given == [None] * 4:
        parser.error("--what-if wants at least one of --policy, --gamma, --low, --high")
    if not options.what_if and (given != [None] * 4 or options.plot):
        parser.error("--policy, --gamma, --low, --high and --plot go with --what-if")
    return options


def _exponent(text: str) -> float:
    """Read a weight exponent as the calendars' table takes it."""
    value = _number(text)
    if not 0 <= value <= _STEEPEST:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {_STEEPEST}")
    return value


def _weight(text: str) -> float:
    """Read a bound of weights as the calendars' table takes it."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no number")
    return value


def _picture(text: str) -> Path:
    """Read the name of a picture that can be drawn and a folder that it can be put into."""
    file = Path(text)
    if file.suffix.lower() not in _PICTURES:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(_PICTURES)}")
    if not file.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}")
    return file


if __name__ == "__main__":
    sys.exit(main())
