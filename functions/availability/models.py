"""Answers of availability's routes."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from fairslot.http.models import Model, RequirementModel


class Slot(Model):
    """A bookable start; optional members are there if they were asked for."""

    start_time: datetime
    end_time: datetime
    available_coaches: int
    calendar_id: str | None = None
    local_start_time: datetime | None = None
    coach_ids: list[str] | None = None


class Availability(Model):
    """Bookable starts, and how fresh what we know of the coaches' calendars is."""

    calendar_id: str | None
    slots: list[Slot]
    total_available: int
    synced_at: datetime | None
    stale: bool
    next_cursor: str | None


class SoonSlot(Model):
    """A bookable start of a calendar, and the requirements that each of its coaches meets.

    local_start_time and coach_ids are there if they were asked for.
    """

    start_time: datetime
    end_time: datetime
    available_coaches: int
    calendar_id: str
    local_start_time: datetime | None = None
    coach_ids: list[str] | None = None
    met: list[RequirementModel]


class SoonestModel(Model):
    """The earliest starts in order, and how fresh what we know of the coaches' calendars is."""

    slots: list[SoonSlot]
    synced_at: datetime | None
    stale: bool


class ExplainedModel(Model):
    """Whether one coach could take the time, and if not, why: `met` and `missing` of what is required.

    unreadable_events is how many events of the coach's calendars could not be read completely: they count as
    busy for as long as they may last. synced_at is when the oldest last good reading of them began, null
    without any; stale: that is long ago, or the last reading failed.
    """

    model_config = ConfigDict(from_attributes=True)

    coach_id: str
    free: bool
    reason: (
        Literal[
            "busy_external",
            "booked",
            "held",
            "outside_working_hours",
            "daily_maximum",
            "weekly_maximum",
            "monthly_maximum",
            "weekly_minutes",
            "minimum_notice",
            "beyond_horizon",
            "buffer",
            "not_synced",
            "unverified",
            "inactive",
            "missing_attribute",
        ]
        | None
    )
    unreadable_events: int
    synced_at: datetime | None
    stale: bool
    met: list[RequirementModel]
    missing: list[RequirementModel]


class Explanation(Model):
    """Each coach of a calendar at one instant; `kind` is the kind of hour whose credits decide."""

    calendar_id: str
    start_time: datetime
    kind: str
    coaches: list[ExplainedModel]


class ShareModel(Model):
    """One coach's share, in bookings and of all; `assigned` includes what the coach cancelled."""

    model_config = ConfigDict(from_attributes=True)

    coach_id: str
    name: str
    score: float
    weight: float
    appointments_count: int
    utilization: float
    assigned: int
    entitled: float
    entitled_share: float
    actual_share: float
    deviation: float
    credit: float


class KindShareModel(Model):
    """One coach's share of a kind of hour, in bookings."""

    model_config = ConfigDict(from_attributes=True)

    coach_id: str
    assigned: int
    entitled: float
    deviation: float
    credit: float


class KindSharesModel(Model):
    """How the bookings of one kind of hour are shared; bounds as of all."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    distribution: list[KindShareModel]
    max_deviation: float
    bound: float | None
    bound_owed: float | None
    bound_ahead: float | None


class DistributionModel(Model):
    """How the work of a period is shared, in all and within each kind of hour.

    max_deviation is the largest credit, whatever the period. As long as nothing is refunded, adjusted or
    changed in the team, nobody will be owed more than bound_owed bookings or be ahead by more than
    bound_ahead; bound is the larger one. The policy highest_score has no bound: it is null then, and
    max_deviation is the largest deviation of the period.
    """

    model_config = ConfigDict(from_attributes=True)

    calendar_id: str | None
    start: datetime
    end: datetime
    distribution: list[ShareModel]
    fairness_score: float
    jain_index: float
    max_deviation: float
    bound: float | None
    bound_owed: float | None
    bound_ahead: float | None
    kinds: list[KindSharesModel]


class Dependency(Model):
    """A dependency."""

    status: Literal["ok", "down", "unused"]


class Outbox(Dependency):
    """The committed events that are not yet on the queue."""

    waiting: int


class Health(Model):
    """Whether bookings can be taken, and the state of each dependency."""

    status: Literal["ok", "degraded", "down"]
    database: Dependency
    cache: Dependency
    outbox: Outbox
