"""How fairly bookings are shared: what each coach was entitled to, and what the coach got."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import fsum, sqrt
from typing import Any

from fairslot.domain.errors import NotFoundError
from fairslot.domain.fair_share import MILLION, Bound, bound, jain_index
from fairslot.domain.ledger import NORMAL
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("distribution")


@dataclass(frozen=True, kw_only=True)
class Share:
    """One coach's part; assigned, entitled, deviation and credit in bookings, utilization from 0 to 1.

    appointments_count leaves cancelled appointments out; assigned includes those that the coach cancelled.
    A coach who has left the team has weight and credit 0.
    """

    coach_id: str
    name: str
    score: float
    weight: float
    appointments_count: int
    utilization: float
    assigned: int
    entitled: float
    actual_share: float
    entitled_share: float
    deviation: float
    credit: float


@dataclass(frozen=True, kw_only=True)
class KindShare:
    """One coach's bookings in a kind of hour; assigned, entitled, deviation and credit as in Share."""

    coach_id: str
    assigned: int
    entitled: float
    deviation: float
    credit: float


@dataclass(frozen=True, kw_only=True)
class KindShares:
    """The shares within a kind of hour; max_deviation and the bounds are as in Distribution."""

    kind: str
    distribution: Sequence[KindShare]
    max_deviation: float
    bound: float | None
    bound_owed: float | None
    bound_ahead: float | None


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The shares of a team and how even they are, in all and within each kind of hour.

    fairness_score is 1 minus the population standard deviation of utilization; jain_index is Jain's index of
    the assigned over the entitled bookings.

    Deviations are those of the period and sum to 0. A later period makes up for an earlier one, so only the
    deviation over all time is bounded: it is minus the credit. max_deviation is the largest of those. From
    today's credits on, choosing will leave nobody owed more than `bound_owed` bookings, or ahead by more than
    `bound_ahead`; `bound` is the larger one. The bound in all is the sum of those of the kinds.
    highest_score has no bound: then the bounds are None, and max_deviation is that of the period.
    """

    calendar_id: str | None
    start: datetime
    end: datetime
    distribution: Sequence[Share]
    fairness_score: float
    jain_index: float
    max_deviation: float
    bound: float | None
    bound_owed: float | None
    bound_ahead: float | None
    kinds: Sequence[KindShares]


def distribution(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str | None,
    start: datetime,
    end: datetime,
    seen: Sequence[str] | None = None,
) -> Distribution:
    """Return the distribution of the appointments that start in [start, end), over one calendar or all.

    All are those that the caller may see, `seen`; None: the tenant's.

    Live holds count as assigned: they have moved the credits.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    values = {"tenant": tenant_id, "calendar": calendar_id, "start": start, "end": end, "seen": seen}
    rows = connection.execute(_SQL["shares"], values).fetchall()
    if calendar_id is not None and not rows:
        known = connection.execute(_SQL["known"], values).fetchone()
        if known is None:
            raise NotFoundError("There is no such calendar.")
    limits = _limits(connection.execute(_SQL["ledgers"], values))
    limit = None if None in limits.values() else sum(filter(None, limits.values()), Bound())
    assigned = sum(row["assigned"] for row in rows)
    entitled = sum(row["entitled"] for row in rows) / MILLION
    days = max((end - start).total_seconds() / 86_400, 1 / 24)
    kinds = {NORMAL, *limits, *(kind for row in rows for kind in row["kinds"])}
    shares = [_share(row, assigned=assigned, entitled=entitled, days=days) for row in rows]
    return Distribution(
        calendar_id=calendar_id,
        start=start,
        end=end,
        distribution=shares,
        fairness_score=round(1 - _deviation([share.utilization for share in shares]), 6),
        jain_index=round(jain_index((share.assigned, share.entitled) for share in shares), 6),
        max_deviation=_largest(shares, limit),
        bound=None if limit is None else limit.bookings,
        bound_owed=None if limit is None else limit.owed / MILLION,
        bound_ahead=None if limit is None else limit.ahead / MILLION,
        kinds=[
            _in_kind(kind, rows, limits.get(kind, Bound()))
            for kind in sorted(kinds, key=lambda one: (one != NORMAL, one))
        ],
    )


def _in_kind(kind: str, rows: Sequence[Mapping[str, Any]], limit: Bound | None) -> KindShares:
    """Return the shares within a kind of those who have any."""
    shares = [
        KindShare(
            coach_id=row["coach_id"],
            assigned=own["assigned"],
            entitled=round(own["entitled"] / MILLION, 6),
            deviation=round(own["assigned"] - own["entitled"] / MILLION, 6),
            credit=round(own["credit"] / MILLION, 6),
        )
        for row in rows
        if (own := row["kinds"].get(kind)) is not None
    ]
    return KindShares(
        kind=kind,
        distribution=shares,
        max_deviation=_largest(shares, limit),
        bound=None if limit is None else limit.bookings,
        bound_owed=None if limit is None else limit.owed / MILLION,
        bound_ahead=None if limit is None else limit.ahead / MILLION,
    )


def _largest(shares: Iterable[Share | KindShare], limit: Bound | None) -> float:
    """Return the largest credit; where none is bounded, the largest deviation of the period."""
    return max((abs(one.deviation if limit is None else one.credit) for one in shares), default=0.0)


def _limits(ledgers: Iterable[Mapping[str, Any]]) -> dict[str, Bound | None]:
    """Return the bound within each kind, its ledgers added up; None where a policy has none."""
    limits: dict[str, Bound | None] = {}
    for row in ledgers:
        known = limits.get(row["kind"], Bound())
        own = bound(row["credits"]) if row["policy"] == "fair_share" else None
        limits[row["kind"]] = None if known is None or own is None else known + own
    return limits


def _share(row: Mapping[str, Any], *, assigned: int, entitled: float, days: float) -> Share:
    owed = row["entitled"] / MILLION
    possible = row["max_per_day"] * days
    return Share(
        coach_id=row["coach_id"],
        name=row["name"],
        score=row["score"],
        weight=round(row["weight"] / MILLION, 6),
        appointments_count=row["appointments"],
        utilization=round(row["appointments"] / possible, 6) if possible else 0.0,
        assigned=row["assigned"],
        entitled=round(owed, 6),
        actual_share=round(row["assigned"] / assigned, 6) if assigned else 0.0,
        entitled_share=round(owed / entitled, 6) if entitled else 0.0,
        deviation=round(row["assigned"] - owed, 6),
        credit=round(row["credit"] / MILLION, 6),
    )


def _deviation(values: Sequence[float]) -> float:
    """Return the population standard deviation."""
    if not values:
        return 0.0
    mean = fsum(values) / len(values)
    return sqrt(fsum((value - mean) ** 2 for value in values) / len(values))
