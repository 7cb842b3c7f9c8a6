"""Requests and answers about coaches and their absences."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from admin.settings_models import Buffers, BuffersModel, BuffersPatch, Patch
from admin.settings_types import (
    Attribute,
    AttributeName,
    Attributes,
    Day,
    Email,
    Hours,
    Notice,
    Week,
    Weekday,
)
from fairslot.http.models import Model, Request, example
from fairslot.http.types import Instant, Name, Zone, storable

type PerDay = Annotated[int, Field(ge=0, le=104)]
type PerWeek = Annotated[int, Field(ge=0, le=7 * 104)]
type PerMonth = Annotated[int, Field(ge=0, le=31 * 104)]
type MinutesPerWeek = Annotated[int, Field(ge=0, le=170 * 60)]
type Score = Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False)]


class Limits(Request):
    """The most that a coach does, over all calendars, in the coach's time zone; weeks begin on Monday.

    Appointments count where they start, and holds do as well; null is no limit.
    """

    per_day: PerDay = 10
    per_week: PerWeek | None = None
    per_month: PerMonth | None = None
    minutes_per_week: MinutesPerWeek | None = None


class LimitsPatch(Patch):
    """Other limits."""

    per_day: PerDay | None = None
    per_week: PerWeek | None = None
    per_month: PerMonth | None = None
    minutes_per_week: MinutesPerWeek | None = None


class Override(Request):
    """Other hours on a date, or none: they stand for those that would begin on it."""

    date: Day
    hours: Hours = Field(default_factory=list)


def _by_date(overrides: list[Override]) -> list[Override]:
    if len({one.date for one in overrides}) < len(overrides):
        raise PydanticCustomError("date_repeated", "a date has two overrides")
    return sorted(overrides, key=lambda one: one.date)


type Overrides = Annotated[list[Override], Field(max_length=400), AfterValidator(_by_date)]


class CoachRequest(Request):
    """A coach. Without `score` a coach who is known keeps theirs, and a new one begins with 0.5.

    `buffers` and `notice` are minutes; of the calendar's, the coach's and those of the coach's place in the
    team the largest hold.
    """

    model_config = example(
        name="Ann",
        time_zone="Europe/Berlin",
        working_hours={"mon": [["09:00", "12:00"], ["13:00", "17:00"]], "tue": [["09:00", "17:00"]]},
        overrides=[{"date": "2026-12-24", "hours": []}],
        limits={"per_day": 6, "per_week": 20},
        attributes={"language": ["de", "en"], "tier": 2},
    )

    name: Name
    email: Email | None = None
    time_zone: Zone
    active: bool = True
    working_hours: Week = Field(default_factory=dict)
    overrides: Overrides = Field(default_factory=list)
    limits: Limits = Limits()
    buffers: Buffers = Buffers()
    notice: Notice = 0
    attributes: Attributes = Field(default_factory=dict)
    score: Score | None = None


class CoachPatch(Patch):
    """What to change of a coach; null removes."""

    model_config = example(active=False, limits={"per_week": None}, attributes={"tier": 3})

    name: Name | None = None
    email: Email | None = None
    time_zone: Zone | None = None
    active: bool | None = None
    working_hours: dict[Weekday, Hours | None] | None = None
    overrides: Overrides | None = None
    limits: LimitsPatch | None = None
    buffers: BuffersPatch | None = None
    notice: Notice | None = None
    attributes: dict[AttributeName, Attribute | None] | None = None
    score: Score | None = None


class OverrideModel(Model):
    """The hours that begin on a date."""

    date: date
    hours: list[list[str]]


class LimitsModel(Model):
    """The most that a coach does."""

    per_day: int
    per_week: int | None
    per_month: int | None
    minutes_per_week: int | None


class CoachSettings(Model):
    """What is set of a coach; outcomes move the `score`."""

    name: str
    email: str | None
    time_zone: str
    active: bool
    working_hours: dict[Weekday, list[list[str]]]
    overrides: list[OverrideModel]
    limits: LimitsModel
    buffers: BuffersModel
    notice: int
    attributes: dict[str, bool | int | str | list[str]]
    score: float


class CoachModel(CoachSettings):
    """A coach."""

    coach_id: str


class CoachPage(Model):
    """A page of coaches by id."""

    data: list[CoachModel]
    next_cursor: str | None


type Reason = Annotated[str, StringConstraints(max_length=1000), AfterValidator(storable)]
type LedgerPolicy = Literal["keep", "settle"]


class AbsenceRequest(Request):
    """When a coach is away, and why, and what that does to what the coach is owed.

    `keep`: nothing, the coach goes on with the same credit. `settle`: the credit of each kind of hour goes to
    the rest of the team, by weight, and the coach begins at 0.
    """

    model_config = example(start="2026-12-24T00:00:00+01:00", end="2027-01-02T00:00:00+01:00", reason="Leave")

    start: Instant
    end: Instant
    reason: Reason | None = None
    ledger: LedgerPolicy = "keep"

    @model_validator(mode="after")
    def _in_order(self) -> "AbsenceRequest":
        if self.end <= self.start:
            raise PydanticCustomError("end_not_after_start", "end must be after start")
        return self


class AbsencePatch(Patch):
    """What to change of an absence; null removes. What has settled stays settled."""

    model_config = example(end="2027-01-04T00:00:00+01:00")

    start: Instant | None = None
    end: Instant | None = None
    reason: Reason | None = None
    ledger: LedgerPolicy | None = None


class AbsenceModel(Model):
    """An absence: it holds whatever the coach's calendar says."""

    absence_id: UUID
    coach_id: str
    start: datetime
    end: datetime
    reason: str | None
    ledger: LedgerPolicy


class AbsencePage(Model):
    """A page of absences by start."""

    data: list[AbsenceModel]
    next_cursor: str | None
