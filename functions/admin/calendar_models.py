"""Requests and answers about calendars and their teams."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from admin.settings_models import Buffers, BuffersModel, BuffersPatch, Patch
from admin.settings_types import Dates, KindName, Notice, TimeOfDay, Weekday
from fairslot.domain.slots import WEEKDAYS
from fairslot.http.models import Model, Request, example
from fairslot.http.types import Name, Requires, Zone, storable

type Duration = Annotated[int, Field(ge=15, le=720, multiple_of=15)]
type Stride = Annotated[int, Field(ge=15, le=1440, multiple_of=15)]
type Horizon = Annotated[int, Field(ge=1, le=366)]
type DailyMaximum = Annotated[int, Field(ge=0, le=1_000_000)]
type Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
type Description = Annotated[str, StringConstraints(max_length=4000), AfterValidator(storable)]
type Policy = Literal["fair_share", "highest_score"]
type ConflictPolicy = Literal["keep", "reassign", "cancel"]
type OnUnverified = Literal["allow", "block", "recheck"]
type Gamma = Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)]
type WeightLimit = Annotated[float, Field(ge=0.001, le=10, allow_inf_nan=False)]
type PriorStrength = Annotated[float, Field(ge=0.1, le=10_000, allow_inf_nan=False)]
type HalfLife = Annotated[float, Field(ge=0.1, le=10_000, allow_inf_nan=False)]
type Weight = Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)]
type HourKinds = Annotated[list[HourKind], Field(max_length=12)]


def _each_once(days: list[Weekday]) -> list[Weekday]:
    if len({*days}) < len(days):
        raise PydanticCustomError("day_repeated", "a day is there twice")
    return sorted(days, key=WEEKDAYS.index)


def _is_none(value: object) -> bool:
    return value is None


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
            raise PydanticCustomError("low_above_high", "low is above high")
        return self


class FairnessPatch(Patch):
    """Another rule."""

    gamma: Gamma | None = None
    low: WeightLimit | None = None
    high: WeightLimit | None = None
    prior_strength: PriorStrength | None = None
    half_life_days: HalfLife | None = None


class HourKind(Request):
    """A kind of hours, whose bookings are shared by themselves; at least one condition, and all must hold.

    Of a start: its day is one of `days`, its time is at or after `from`, and before `before`; a time from
    the evening `before` the morning crosses midnight. Days and times are in the calendar's zone.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=False, validate_by_alias=True)

    name: KindName
    days: Annotated[list[Weekday], Field(min_length=1, max_length=7), AfterValidator(_each_once)] | None = (
        Field(default=None, exclude_if=_is_none)
    )
    since: TimeOfDay | None = Field(default=None, alias="from", exclude_if=_is_none)
    before: TimeOfDay | None = Field(default=None, exclude_if=_is_none)

    @model_validator(mode="after")
    def _means_some_hours(self) -> "HourKind":
        if self.days is None and self.since is None and self.before is None:
            raise PydanticCustomError("condition_missing", "give days, from or before")
        if self.since == "24:00" or self.before == "00:00" or self.since == self.before is not None:
            raise PydanticCustomError("hours_empty", "no hour is from then and before then")
        return self


class CalendarRequest(Request):
    """A calendar. `notice`, `buffers` and durations are minutes, `horizon` days.

    `max_per_day`, `blocked_dates` and `hour_kinds` count in its `time_zone`. The first kind that matches a
    start is its own, else `normal`. `on_unverified`: a coach whose external calendars were not all read
    within 15 minutes is booked by what is known (`allow`), or not booked (`block`); with `recheck` those of
    the chosen coach are asked once more before each booking, 3 seconds at most, and if they are busy or
    cannot be asked it is the next coach's turn.
    """

    model_config = example(
        name="Intro call",
        slot_duration=30,
        buffers={"before": 0, "after": 15},
        time_zone="Europe/Berlin",
        hour_kinds=[{"name": "weekend", "days": ["sat", "sun"]}, {"name": "late", "from": "17:00"}],
        requires=["language:de"],
    )

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
    hour_kinds: HourKinds = Field(default_factory=list)
    policy: Policy = "fair_share"
    fairness: Fairness = Fairness()
    conflict_policy: ConflictPolicy = "keep"
    on_unverified: OnUnverified = "allow"
    requires: Requires = Field(default_factory=list)
    active: bool = True


class CalendarPatch(Patch):
    """What to change of a calendar; null removes."""

    model_config = example(notice=120, max_per_day=None)

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
    hour_kinds: HourKinds | None = None
    policy: Policy | None = None
    fairness: FairnessPatch | None = None
    conflict_policy: ConflictPolicy | None = None
    on_unverified: OnUnverified | None = None
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
    hour_kinds: list[HourKind]
    policy: Policy
    fairness: FairnessModel
    conflict_policy: ConflictPolicy
    on_unverified: OnUnverified
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

    model_config = example(weight=0.5, notice=1440)

    weight: Weight = 1
    buffers: Buffers = Buffers()
    notice: Notice = 0


class MemberPatch(Patch):
    """What to change of a coach's place in a team; null removes."""

    model_config = example(weight=2)

    weight: Weight | None = None
    buffers: BuffersPatch | None = None
    notice: Notice | None = None


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
