"""Requests and answers about calendars and their teams."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from admin.settings_models import Buffers, BuffersModel, BuffersPatch, Patch
from admin.settings_types import Dates, Notice
from fairslot.http.models import Model, Request
from fairslot.http.types import Name, Requires, Zone, storable

type Duration = Annotated[int, Field(ge=15, le=720, multiple_of=15)]
type Stride = Annotated[int, Field(ge=15, le=1440, multiple_of=15)]
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


class Fairness(Request):
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


class FairnessPatch(Patch):
    """Another rule."""

    gamma: Gamma | None = None
    low: WeightLimit | None = None
    high: WeightLimit | None = None
    prior_strength: PriorStrength | None = None
    half_life_days: HalfLife | None = None


class CalendarRequest(Request):
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
    requires: Requires = Field(default_factory=list)
    active: bool = True


class CalendarPatch(Patch):
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
    requires: Requires | None = None
    active: bool | None = None


class FairnessModel(Model):
    """How scores become weights and follow outcomes."""

    gamma: float
    low: float
    high: float
    prior_strength: float
    half_life_days: float


class CalendarSettings(Model):
    """What is set of a calendar; `notice`, `buffers` and durations are minutes, `horizon` days."""

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
    requires: list[str]
    active: bool


class CalendarModel(CalendarSettings):
    """A calendar."""

    calendar_id: str


class CalendarPage(Model):
    """A page of calendars by id."""

    data: list[CalendarModel]
    next_cursor: str | None


class MemberRequest(Request):
    """A coach's place in a team; the weight multiplies the one that follows from the score.

    Of its buffers and notice, the coach's and the calendar's, the largest hold.
    """

    weight: Weight = 1
    buffers: Buffers = Buffers()
    notice: Notice = 0


class MemberModel(Model):
    """A coach's place in a team."""

    calendar_id: str
    coach_id: str
    weight: float
    buffers: BuffersModel
    notice: int


class MemberPage(Model):
    """A page of a team by coach."""

    data: list[MemberModel]
    next_cursor: str | None
