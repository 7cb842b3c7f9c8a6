"""Requests and answers about coaches, calendars, teams and absences.

A request to replace has a model, and a request to patch another with the same members, each of which may be
left out or null (RFC 7396). What is patched is validated as what is replaced.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_serializer,
    model_validator,
)

from admin.settings_types import Dates, Day, Email, Hours, NewId, Week, Weekday
from fairslot.http.types import Instant, Name, Zone, storable


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Patch(_Settings):
    """The members that were given, null among them."""

    @model_serializer
    def _given_members(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }


type PerDay = Annotated[int, Field(ge=0, le=104)]
type Score = Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False)]


class Limits(_Settings):
    """The most that a coach does: appointments a day, in the coach's time zone."""

    per_day: PerDay = 10


class LimitsPatch(_Patch):
    """Other limits."""

    per_day: PerDay | None = None


class Override(_Settings):
    """Other hours on a date, or none: they stand for those that would begin on it."""

    date: Day
    hours: Hours = Field(default_factory=list)


def _by_date(overrides: list[Override]) -> list[Override]:
    if len({one.date for one in overrides}) < len(overrides):
        raise ValueError("a date has two overrides")
    return sorted(overrides, key=lambda one: one.date)


type Overrides = Annotated[list[Override], Field(max_length=400), AfterValidator(_by_date)]


class CoachRequest(_Settings):
    """A coach. Without `score` a coach who is known keeps theirs, and a new one begins with 0.5."""

    name: Name
    email: Email | None = None
    time_zone: Zone
    active: bool = True
    working_hours: Week = Field(default_factory=dict)
    overrides: Overrides = Field(default_factory=list)
    limits: Limits = Limits()
    score: Score | None = None


class CoachPatch(_Patch):
    """What to change of a coach; null removes."""

    name: Name | None = None
    email: Email | None = None
    time_zone: Zone | None = None
    active: bool | None = None
    working_hours: dict[Weekday, Hours | None] | None = None
    overrides: Overrides | None = None
    limits: LimitsPatch | None = None
    score: Score | None = None


class OverrideModel(BaseModel):
    """The hours that begin on a date."""

    date: date
    hours: list[list[str]]


class LimitsModel(BaseModel):
    """The most appointments that a coach has a day."""

    per_day: int


class CoachModel(BaseModel):
    """A coach; outcomes move the `score`."""

    coach_id: str
    name: str
    email: str | None
    time_zone: str
    active: bool
    working_hours: dict[Weekday, list[list[str]]]
    overrides: list[OverrideModel]
    limits: LimitsModel
    score: float


class CoachPage(BaseModel):
    """A page of coaches by id."""

    data: list[CoachModel]
    next_cursor: str | None


type Buffer = Annotated[int, Field(ge=0, le=240, multiple_of=15)]
type Duration = Annotated[int, Field(ge=15, le=720, multiple_of=15)]
type Stride = Annotated[int, Field(ge=15, le=1440, multiple_of=15)]
type Notice = Annotated[int, Field(ge=0, le=525_600)]
type Horizon = Annotated[int, Field(ge=1, le=366)]
type DailyMaximum = Annotated[int, Field(ge=0, le=1_000_000)]
type Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
type Description = Annotated[str, StringConstraints(max_length=4000), AfterValidator(storable)]
type Policy = Literal["fair_share", "highest_score"]
type ConflictPolicy = Literal["keep", "reassign", "cancel"]
type Gamma = Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)]
type WeightLimit = Annotated[float, Field(ge=0.001, le=10, allow_inf_nan=False)]
type PriorStrength = Annotated[float, Field(ge=0.1, le=10_000, allow_inf_nan=False)]
type HalfLife = Annotated[float, Field(ge=0.1, le=10_000, allow_inf_nan=False)]
type Weight = Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)]


class Buffers(_Settings):
    """Minutes that are kept free around an appointment."""

    before: Buffer = 0
    after: Buffer = 0


class BuffersPatch(_Patch):
    """Other buffers."""

    before: Buffer | None = None
    after: Buffer | None = None


class Fairness(_Settings):
    """How scores become weights, (score / mean) ^ `gamma` from `low` to `high`, and follow outcomes."""

    gamma: Gamma = 4
    low: WeightLimit = 0.5
    high: WeightLimit = 2
    prior_strength: PriorStrength = 16
    half_life_days: HalfLife = 60

    @model_validator(mode="after")
    def _in_order(self) -> "Fairness":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class FairnessPatch(_Patch):
    """Another rule."""

    gamma: Gamma | None = None
    low: WeightLimit | None = None
    high: WeightLimit | None = None
    prior_strength: PriorStrength | None = None
    half_life_days: HalfLife | None = None


class CalendarRequest(_Settings):
    """A calendar. `notice`, `buffers` and durations are minutes, `horizon` days.

    `max_per_day` and `blocked_dates` count in its `time_zone`.
    """

    name: Name
    slug: Slug | None = None
    description: Description = ""
    slot_duration: Duration
    slot_interval: Stride = 15
    buffers: Buffers = Buffers()
    notice: Notice = 0
    horizon: Horizon = 60
    time_zone: Zone = "UTC"
    max_per_day: DailyMaximum | None = None
    blocked_dates: Dates = Field(default_factory=list)
    policy: Policy = "fair_share"
    fairness: Fairness = Fairness()
    conflict_policy: ConflictPolicy = "keep"
    active: bool = True


class CalendarPatch(_Patch):
    """What to change of a calendar; null removes."""

    name: Name | None = None
    slug: Slug | None = None
    description: Description | None = None
    slot_duration: Duration | None = None
    slot_interval: Stride | None = None
    buffers: BuffersPatch | None = None
    notice: Notice | None = None
    horizon: Horizon | None = None
    time_zone: Zone | None = None
    max_per_day: DailyMaximum | None = None
    blocked_dates: Dates | None = None
    policy: Policy | None = None
    fairness: FairnessPatch | None = None
    conflict_policy: ConflictPolicy | None = None
    active: bool | None = None


class BuffersModel(BaseModel):
    """Minutes that are kept free around an appointment."""

    before: int
    after: int


class FairnessModel(BaseModel):
    """How scores become weights and follow outcomes."""

    gamma: float
    low: float
    high: float
    prior_strength: float
    half_life_days: float


class CalendarModel(BaseModel):
    """A calendar; `notice`, `buffers` and durations are minutes, `horizon` days."""

    calendar_id: str
    name: str
    slug: str | None
    description: str
    slot_duration: int
    slot_interval: int
    buffers: BuffersModel
    notice: int
    horizon: int
    time_zone: str
    max_per_day: int | None
    blocked_dates: list[date]
    policy: Policy
    fairness: FairnessModel
    conflict_policy: ConflictPolicy
    active: bool


class CalendarPage(BaseModel):
    """A page of calendars by id."""

    data: list[CalendarModel]
    next_cursor: str | None


class MemberRequest(_Settings):
    """A coach's place in a team; the weight multiplies the one that follows from the score."""

    weight: Weight = 1


class MemberModel(BaseModel):
    """A coach's place in a team."""

    calendar_id: str
    coach_id: str
    weight: float


class MemberPage(BaseModel):
    """A page of a team by coach."""

    data: list[MemberModel]
    next_cursor: str | None


class AbsenceRequest(_Settings):
    """When a coach is away, and why."""

    start: Instant
    end: Instant
    reason: Annotated[str, StringConstraints(max_length=1000), AfterValidator(storable)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "AbsenceRequest":
        if self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class AbsenceModel(BaseModel):
    """An absence: it holds whatever the coach's calendar says."""

    absence_id: UUID
    coach_id: str
    start: datetime
    end: datetime
    reason: str | None


class AbsencePage(BaseModel):
    """A page of absences by start."""

    data: list[AbsenceModel]
    next_cursor: str | None


class ChangeOfResource(BaseModel):
    """What is created, updated or deleted, and which members change."""

    resource: Literal["coach", "calendar", "member", "absence"]
    id: str
    action: Literal["create", "update", "delete"]
    members: list[str]


class TouchedAppointment(BaseModel):
    """An appointment that no longer fits: why, and what becomes of it.

    `nobody_free`: no other coach of the team could take it.
    """

    appointment_id: UUID
    calendar_id: str
    coach_id: str
    start_time: datetime
    end_time: datetime
    reason: Literal[
        "inactive", "left_team", "absent", "outside_working_hours", "calendar_closed", "calendar_deleted"
    ]
    outcome: Literal["reassigned", "cancelled", "kept", "nobody_free"]
    new_coach_id: str | None


class ShareChange(BaseModel):
    """A coach's share of a calendar's bookings (0 to 1) and credit (bookings); null: not in the team."""

    calendar_id: str
    coach_id: str
    share_before: float | None
    share_after: float | None
    credit_before: float | None
    credit_after: float | None


class Plan(BaseModel):
    """What a change does, or would do. Shares are those of calendars in which one changes."""

    changes: list[ChangeOfResource]
    appointments: list[TouchedAppointment]
    holds_released: int
    shares: list[ShareChange]


class CalendarEntry(CalendarRequest):
    """A calendar of a document, with its whole team; without `team` the team stays as it is."""

    team: Annotated[dict[NewId, MemberRequest], Field(max_length=1000)] | None = None


class Document(_Settings):
    """A team: coaches and calendars by id. What is not in it stays as it is, or goes with `prune`."""

    coaches: Annotated[dict[NewId, CoachRequest], Field(max_length=1000)] = Field(default_factory=dict)
    calendars: Annotated[dict[NewId, CalendarEntry], Field(max_length=200)] = Field(default_factory=dict)


def merged(known: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource with a merge patch applied (RFC 7396): null removes, objects are merged."""
    result = dict(known)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            result[name] = value
    return result
