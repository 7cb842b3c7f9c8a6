"""Why a coach was chosen, and why a coach cannot be booked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.booking import holds
from fairslot.domain.errors import NotFoundError, ValidationError
from fairslot.domain.fair_share import MILLION
from fairslot.domain.ledger import NORMAL
from fairslot.domain.requirements import MISSING, Requirement, requirements, trace
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("decisions")


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """One coach in a decision: weight is relative, share and credit in bookings; None if not eligible.

    `met` and `missing` are what the coach met and did not meet of what was required then.
    """

    coach_id: str
    eligible: bool
    excluded_reason: str | None
    weight: float | None
    share: float | None
    credit_before: float | None
    last_assigned_seq: int | None
    met: Sequence[Requirement]
    missing: Sequence[Requirement]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The last decision about an appointment; `seq` numbers the calendar's decisions, whatever their kind.

    `kind` is the kind of hour whose credits it moved.

    `requires` is what the calendar and the customer required of coaches.

    A `reversed` decision has no effect any more: its credits were given back, as on a cancellation.
    """

    appointment_id: UUID
    calendar_id: str
    seq: int
    kind: str
    policy: str
    policy_version: int
    chosen: str
    reason: str
    reversed: bool
    requires: Sequence[Requirement]
    candidates: Sequence[Weighed]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Whether a coach is free for an appointment, and if not, why.

    `unreadable_events` of the coach's calendars count as busy for as long as they may take. `synced_at` is
    when the oldest last good reading of them began, and `stale` that it is long ago, or the last one failed.
    """

    coach_id: str
    free: bool
    reason: str | None
    unreadable_events: int
    synced_at: datetime | None
    stale: bool
    met: Sequence[Requirement]
    missing: Sequence[Requirement]


def decision(connection: Connection, *, tenant_id: str, appointment_id: UUID) -> Decision:
    """Return the last decision about an appointment.

    Raises:
        NotFoundError: the tenant has no such appointment, or no decision about it is stored.

    """
    row = connection.execute(
        _SQL["decision"], {"tenant": tenant_id, "appointment": appointment_id}
    ).fetchone()
    if row is None:
        raise NotFoundError("There is no such appointment.")
    weighed = [_weighed(one, row, place) for place, one in enumerate(row["candidates"])]
    return Decision(
        appointment_id=appointment_id,
        calendar_id=row["calendar_id"],
        seq=row["seq"],
        kind=row["kind"],
        policy=row["policy"],
        policy_version=row["policy_version"],
        chosen=row["chosen"],
        reason=_reason(row, row["names"])
        + _left_out(weighed)
        + (" It was undone since." if row["reversed"] else ""),
        reversed=row["reversed"],
        requires=requirements(row["requires"], row["also_requires"]),
        candidates=weighed,
    )


def explain(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    start_time: datetime,
    now: datetime | None = None,
    requires: Sequence[str] = (),
) -> list[Explained]:
    """Return for each coach of a calendar whether an appointment could start at an instant.

    A coach has to meet what the calendar requires, and `requires` (name:value) of a request. Expired holds
    are released first, as for a listing.

    Raises:
        NotFoundError: the tenant has no such calendar.
        ValidationError: the instant is off the calendar's grid.

    """
    values = {
        "tenant": tenant_id,
        "calendar": calendar_id,
        "start": start_time,
        "now": now,
        "requires": [*requires] or None,
        "stale_after": timedelta(seconds=settings().stale_after_seconds),
    }
    grid = connection.execute(_SQL["grid"], values).fetchone()
    if grid is None:
        raise NotFoundError("There is no such calendar.")
    if not grid["fits"]:
        raise ValidationError(
            "start_time is not on the calendar's interval grid.", [("query.start_time", "off_grid")]
        )
    if grid["has_expired_holds"]:
        holds.expire(connection, now=now)
    rows = connection.execute(_SQL["explain"], values).fetchall()
    return [_explained(row, requires) for row in rows]


def kind_of(connection: Connection, *, tenant_id: str, calendar_id: str, start_time: datetime) -> str:
    """Return the kind of hour of a start: whose ledger a booking then would move.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    values = {"tenant": tenant_id, "calendar": calendar_id, "start": start_time}
    row = connection.execute(_SQL["kind"], values).fetchone()
    if row is None:
        raise NotFoundError("There is no such calendar.")
    return str(row["kind"])


def _explained(row: Mapping[str, Any], requires: Sequence[str]) -> Explained:
    judged = trace({**row, "also_requires": requires})
    return Explained(
        coach_id=row["coach_id"],
        free=row["reason"] is None,
        reason=row["reason"],
        unreadable_events=row["unreadable_events"],
        synced_at=row["synced_at"],
        stale=row["stale"],
        met=judged.met,
        missing=judged.missing,
    )


def _weighed(one: Mapping[str, Any], row: Mapping[str, Any], place: int) -> Weighed:
    unmet = {name: row[name][place] if row[name] else 0 for name in ("unmet", "also_unmet")}
    judged = trace({**row, **unmet})
    if "share" not in one:
        return Weighed(
            coach_id=one["coach_id"],
            eligible=False,
            excluded_reason=one["excluded"],
            weight=None,
            share=None,
            credit_before=None,
            last_assigned_seq=None,
            met=judged.met,
            missing=judged.missing,
        )
    return Weighed(
        coach_id=one["coach_id"],
        eligible=True,
        excluded_reason=None,
        weight=one["weight"] / MILLION,
        share=one["share"] / MILLION,
        credit_before=one["credit"] / MILLION,
        last_assigned_seq=one["last"],
        met=judged.met,
        missing=judged.missing,
    )


def _left_out(weighed: Sequence[Weighed]) -> str:
    """Write for a person how many coaches were kept out by what was required, and by what."""
    out = [one for one in weighed if one.excluded_reason == MISSING]
    if not out:
        return ""
    attributes = sorted({missing.attribute for one in out for missing in one.missing})
    coaches = f"{len(out)} coaches did" if len(out) > 1 else "1 coach did"
    return f" {coaches} not meet {', '.join(attributes)}."


def _reason(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Write a decision for a person to read."""
    eligible = [one for one in row["candidates"] if "share" in one]
    best = next(one for one in eligible if one["coach_id"] == row["chosen"])
    name = names.get(best["coach_id"], best["coach_id"])
    if row["policy"] == "manual":
        return f"{name} was named by hand."
    free = f"{len(eligible)} coaches were free." if len(eligible) > 1 else "Only one coach was free."
    if row["policy"] == "highest_score":
        return f"{free} {name} has the highest score ({best['score']:.2f})."
    total = best["credit"] + best["share"]
    owed = f"{name} was owed {best['credit'] / MILLION:.2f} bookings"
    if row["kind"] != NORMAL:
        owed = f"Of the {row['kind']} bookings {name} was owed {best['credit'] / MILLION:.2f}"
    said = f"{free} {owed} and this one added {best['share'] / MILLION:.2f}"
    others = [one for one in eligible if one is not best]
    if not others:
        return f"{said}."
    second = max(others, key=lambda one: one["credit"] + one["share"])
    rest = second["credit"] + second["share"]
    highest = "the highest total" if total - rest > MILLION / 200 else "the first of the highest totals"
    other = names.get(second["coach_id"], second["coach_id"])
    return f"{said}, {highest} ({total / MILLION:.2f}); {other} had {rest / MILLION:.2f}."
