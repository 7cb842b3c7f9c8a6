"""Reading the time of calendars' teams: from the read model or from what is kept, and what changed since.

A kept team is as of a database snapshot. One statement asks what transactions that it did not see have
changed; taking that over makes it exact, whatever the order in which transactions committed.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import byteorder
from typing import Any

from fairslot.booking import holds
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.read_model import fold_changes
from fairslot.coach_time.team_part import TeamPart
from fairslot.coach_time.team_rules import OwnRules, Rules, Window
from fairslot.coach_time.team_time import TeamTime
from fairslot.domain.errors import NotFoundError
from fairslot.domain.slots import SLOT_SECONDS, slot_from, slot_of
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("bookable_starts")
_MINUTES = SLOT_SECONDS // 60
# A kept team with more changes than this is read again, which takes about as long.
_MOST_CHANGES = 2_000
# With more changes than this since it was brought up to date, whoever reads the read model does that.
_FOLD_AT = 500
_FARTHEST = timedelta(days=366)

type Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which calendars are asked about, which starts, and when.

    Holds expire by `clock`; None: by the database's. Coaches have to meet `requires`, too.
    """

    tenant_id: str
    calendar_id: str | None
    start: datetime
    end: datetime
    now: datetime
    clock: datetime | None
    requires: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[int, int]:
        """The slots [first, end) in which any start can be: from now to the farthest horizon."""
        last = slot_from(self.now + _FARTHEST)
        first = min(slot_of(max(self.start, self.now)), last)
        return first, max(first, min(slot_from(self.end), last))

    @property
    def values(self) -> dict[str, Any]:
        """The parameters that the statements share."""
        return {
            "tenant": self.tenant_id,
            "calendar": self.calendar_id,
            "start": self.start,
            "end": self.end,
            "now": self.now,
            "clock": self.clock,
        }


@dataclass(frozen=True, kw_only=True)
class CalendarTime:
    """A calendar now: its team's time, and when it may be booked; `closed` are slots [first, end).

    `who` may be booked of the team: all, or those who meet what was asked for, and whose calendars were read
    lately where the calendar wants that. `requires` is the calendar's.
    """

    team: TeamTime
    who: TeamTime | TeamPart
    requires: Sequence[str]
    opens_at: datetime
    closes_at: datetime
    interval: int
    duration: int
    closed: Sequence[tuple[int, int]]


def current(connection: Connection, question: Question, kept: KeptTeams | None) -> list[CalendarTime]:
    """Return the calendars that are asked about as they are now, by their ids.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    if kept is not None and question.calendar_id is not None:
        return [_kept(connection, question, question.calendar_id, kept)]
    found = active(connection, question)
    if question.calendar_id is not None and not found:
        raise NotFoundError("There is no such calendar.")
    return found


def active(connection: Connection, question: Question) -> list[CalendarTime]:
    """Return those calendars that are asked about and can be booked, by their ids."""
    return _read(connection, question, Window.of(*question.slots))


def _kept(connection: Connection, question: Question, calendar_id: str, kept: KeptTeams) -> CalendarTime:
    """Return one calendar from what is kept; what must be read again is kept afterwards."""
    first, end = question.slots
    team = kept.find(connection, question.tenant_id, calendar_id, now=question.now)
    if team is not None and team.window.admits(first, end):
        row = _changes(connection, question, [team]).get(calendar_id)
        if row is not None and kept.is_current(row["key"]) and _can_follow(team, row):
            return _follow(team, row, question.requires)
    # From now on, whatever was asked for, and as far as anybody asked, so that one copy serves all.
    first, ahead = slot_of(question.now), end + kept.SLOTS_AHEAD
    window = Window.of(first, max(ahead, team.window.end - Window.AFTER) if team else ahead)
    found = _read(connection, question, window)
    if not found:
        kept.drop(question.tenant_id, calendar_id)
        raise NotFoundError("There is no such calendar.")
    kept.keep(connection, question.tenant_id, found[0].team, now=question.now)
    return found[0]


def _can_follow(team: TeamTime, row: Row) -> bool:
    return not row["has_other_team"] and row["changes"] < _MOST_CHANGES and Rules.of(row) == team.rules


def _read(connection: Connection, question: Question, window: Window) -> list[CalendarTime]:
    """Read the calendars' teams from the read model, and what changed since; again if their rules did."""
    while True:
        teams = _load(connection, question, window)
        rows = _changes(connection, question, teams, most=None) if teams else {}
        if any(row["changes"] > _FOLD_AT for row in rows.values()):
            fold_changes(connection)
        found = [(team, rows[team.calendar_id]) for team in teams if team.calendar_id in rows]
        if all(Rules.of(row).has_buffers <= bool(team.open) for team, row in found if team.coaches):
            return [_follow(team, row, question.requires) for team, row in found]


def _follow(team: TeamTime, row: Row, requires: tuple[str, ...]) -> CalendarTime:
    if team.rules is not None:  # else its coaches are those of the snapshot that it was read in
        team.team_snapshot = row["snapshot"]
    team.follow(Rules.of(row), row["moved"] or ())
    team.snapshot = row["snapshot"]
    if row["eligible"] is not None:
        team.select(requires, row["eligible"])
    who = TeamPart(team=team, part=team.parts[requires]) if requires else team
    closed = row["closed"]
    return CalendarTime(
        team=team,
        who=_verified(team, who, row["verified_since"]),
        requires=row["requires"],
        opens_at=row["opens_at"],
        closes_at=row["closes_at"],
        interval=row["slot_interval"] // _MINUTES,
        duration=row["slot_duration"] // _MINUTES,
        closed=[(slot_from(starts), slot_from(ends)) for starts, ends in closed],
    )


def _verified(team: TeamTime, who: TeamTime | TeamPart, since: float | None) -> TeamTime | TeamPart:
    """Return those whose calendars were all read since then; None: whenever."""
    if since is None or team.oldest_reading is None or team.oldest_reading >= since:
        return who
    part = who if isinstance(who, TeamPart) else TeamPart(team=team, part=team.everybody)
    verified = part.verified(since)
    return verified if verified.unverified else who


def _changes(
    connection: Connection,
    question: Question,
    teams: Sequence[TeamTime],
    *,
    most: int | None = _MOST_CHANGES,
) -> dict[str, Row]:
    """Return by calendar its rules and what changed since the snapshot, after clearing expired holds."""
    one = teams[0]
    # Who meets them is asked once: when attributes change, the team is another one.
    is_known = all(question.requires in team.parts for team in teams)
    values = {
        **question.values,
        "calendars": [team.calendar_id for team in teams],
        "since": one.snapshot,
        "team_since": one.team_snapshot,
        "first": one.window.first,
        "end_slot": one.window.end,
        "most": most,
        "requires": [*question.requires] if question.requires and not is_known else None,
    }
    rows = connection.execute(_SQL["changes"], values).fetchall()
    if rows and rows[0]["has_expired_holds"]:
        holds.expire(connection, now=question.clock)
        rows = connection.execute(_SQL["changes"], values).fetchall()
    return {row["calendar_id"]: row for row in rows}


def _load(connection: Connection, question: Question, window: Window) -> list[TeamTime]:
    """Read the teams from the read model, as they were when it was brought up to date last."""
    values = {**question.values, "first": window.first, "bytes": window.size}
    rows = connection.execute(_SQL["load"], values, binary=True).fetchall()
    while rows and rows[0]["folded"] is None:  # in a new or restored database, until all of it is made
        fold_changes(connection)
        rows = connection.execute(_SQL["load"], values, binary=True).fetchall()
    return [_team(row, window) for row in rows]


def _team(row: Row, window: Window) -> TeamTime:
    read_at = array("d", row["read_at"])
    if byteorder == "little":
        read_at.byteswap()
    team = TeamTime(
        calendar_id=row["calendar_id"],
        window=window,
        coaches=row["coaches"],
        free=bytearray(row["free"]),
        open=bytearray(row["open"]),
        full={},
        closed={},
        own=OwnRules(**{name: _integers(row[f"own_{name}"]) for name in ("before", "after", "notice")}),
        read_at=read_at,
        failing=set(row["failing"] or ()),
        # Every transaction before it was seen, none from it on.
        snapshot=f"{row['folded']}:{row['folded']}:",
        team_snapshot=row["snapshot"],
    )
    team.set_full(row["full_coaches"] or (), row["full_days"] or b"")
    if row["closed_coaches"]:
        periods = zip(row["closed_coaches"], row["closed_firsts"], row["closed_ends"], strict=True)
        team.set_closed(periods)
    return team


def _integers(values: bytes | None) -> "array[int]":
    """Read 4-byte integers as the database sends them."""
    found = array("i", values or b"")
    if byteorder == "little":
        found.byteswap()
    return found
