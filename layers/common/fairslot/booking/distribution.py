"""How fairly bookings are shared: what each coach was entitled to, and what the coach got."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import fsum, sqrt
from typing import Any

from fairslot.domain.errors import NotFoundError
from fairslot.domain.fair_share import MILLION
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
class Distribution:
    """The shares of a team and how even they are.

    fairness_score is 1 minus the population standard deviation of utilization; jain_index is Jain's index of
    the assigned over the entitled bookings.

    Deviations are those of the period and sum to 0. A later period makes up for an earlier one, so only the
    deviation over all time is bounded: it is minus the credit. max_deviation is the largest of those and at
    most `bound` bookings: (n - 1) / 2, one for each of the `refunds` (reversals: none moves a coach by more
    than a booking, and choosing does not widen the gap), and (n - 2) / 2 for each coach who left a team of n.
    highest_score has no bound: then `bound` is None, and max_deviation is that of the period.
    """

    calendar_id: str | None
    start: datetime
    end: datetime
    distribution: Sequence[Share]
    fairness_score: float
    jain_index: float
    max_deviation: float
    refunds: int
    bound: float | None


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
    bound = connection.execute(_SQL["bound"], values).fetchone()
    assigned = sum(row["assigned"] for row in rows)
    entitled = sum(row["entitled"] for row in rows) / MILLION
    days = max((end - start).total_seconds() / 86_400, 1 / 24)
    shares = [_share(row, assigned=assigned, entitled=entitled, days=days) for row in rows]
    limit = bound["bound"] if bound else 0.0
    off = [share.deviation if limit is None else share.credit for share in shares]
    return Distribution(
        calendar_id=calendar_id,
        start=start,
        end=end,
        distribution=shares,
        fairness_score=round(1 - _deviation([share.utilization for share in shares]), 6),
        jain_index=round(jain_index((share.assigned, share.entitled) for share in shares), 6),
        max_deviation=max((abs(one) for one in off), default=0.0),
        refunds=bound["refunds"] if bound else 0,
        bound=limit,
    )


def jain_index(parts: Iterable[tuple[float, float]]) -> float:
    """Return Jain's index of assigned over entitled, given as pairs: 1 is even, 1/n is all to one.

    From Jain, Chiu and Hawe, "A quantitative measure of fairness", 1984.

    Coaches who were entitled to nothing are left out; without anybody it is 1.
    """
    ratios = [assigned / entitled for assigned, entitled in parts if entitled > 0]
    squares = fsum(ratio * ratio for ratio in ratios)
    return fsum(ratios) ** 2 / (len(ratios) * squares) if squares else 1.0


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
