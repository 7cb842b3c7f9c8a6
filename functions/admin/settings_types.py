"""Types of what an operator sets: ids, times of day, hours, dates."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from fairslot.domain.slots import WEEKDAYS
from fairslot.http.types import ATTRIBUTE_NAME, AttributeText, storable

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MINUTES_A_DAY = 1440
_WEEK = 7 * _MINUTES_A_DAY
# `/api/coaches/distribution` is another route.
_RESERVED = frozenset({"distribution"})

type Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _interval(interval: list[str]) -> list[str]:
    if interval[0] == "24:00":
        raise PydanticCustomError("hours_start", "24:00 is an end; write 00:00 on the day that begins then")
    return interval


def _stretch(interval: Sequence[str]) -> tuple[int, int]:
    """Return the minutes of an interval; one that ends at or before its start runs into the next day."""
    start, end = map(_minute, interval)
    return start, end if end > start else end + _MINUTES_A_DAY


def _apart(stretches: Sequence[tuple[int, int]]) -> bool:
    in_order = sorted(stretches)
    return all(one[1] <= other[0] for one, other in pairwise(in_order))


def _hours(hours: list[list[str]]) -> list[list[str]]:
    if not _apart([_stretch(one) for one in hours]):
        raise PydanticCustomError("hours_overlap", "intervals of a day overlap")
    return sorted(hours)


def _week(hours: Mapping[Weekday, list[list[str]]]) -> dict[Weekday, list[list[str]]]:
    """Refuse a week in which intervals overlap, also over midnight and from Sunday to Monday."""
    stretches = [
        (number * _MINUTES_A_DAY + start, number * _MINUTES_A_DAY + end)
        for number, day in enumerate(WEEKDAYS)
        for start, end in map(_stretch, hours.get(day, ()))  # type: ignore[call-overload]
    ]
    again = [(start - _WEEK, end - _WEEK) for start, end in stretches if end > _WEEK]
    if not _apart([*again, *stretches]):
        raise PydanticCustomError("hours_overlap", "intervals of neighbouring days overlap")
    return {day: hours[day] for day in WEEKDAYS if hours.get(day)}  # type: ignore[index, call-overload, misc]


def _date(value: object) -> object:
    """Refuse numbers and instants, which pydantic would take as dates."""
    if not isinstance(value, date) and not (isinstance(value, str) and _DATE.fullmatch(value)):
        raise PydanticCustomError("date", "use a date (YYYY-MM-DD)")
    return value


def _once(dates: list[date]) -> list[date]:
    if len({*dates}) < len(dates):
        raise PydanticCustomError("date_repeated", "a date is there twice")
    return sorted(dates)


def _not_reserved(name: str) -> str:
    if name in _RESERVED:
        raise PydanticCustomError("reserved", "the id is reserved")
    return name


def _attribute(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """Say in one error what an attribute may be, instead of one for each type."""
    try:
        return read(value)
    except ValidationError as error:
        raise PydanticCustomError(
            "attribute", "use a text without commas, a whole number, true or false, or a list of such texts"
        ) from error


# What an operator may call a coach or a calendar: it stands in paths as it is.
NewId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100),
    AfterValidator(_not_reserved),
]
Email = Annotated[
    str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254), AfterValidator(storable)
]
Day = Annotated[date, BeforeValidator(_date)]
KindName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=40)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):(00|15|30|45)|24:00)$")]
Interval = Annotated[list[TimeOfDay], Field(min_length=2, max_length=2), AfterValidator(_interval)]
Hours = Annotated[
    list[Interval],
    Field(max_length=12, description="Intervals; one that ends at or before its start crosses midnight."),
    AfterValidator(_hours),
]
Week = Annotated[
    dict[Weekday, Hours],
    Field(description="The hours that begin on each weekday; a weekday that is left out is free of work."),
    AfterValidator(_week),
]
Buffer = Annotated[int, Field(ge=0, le=240, multiple_of=15)]
Notice = Annotated[int, Field(ge=0, le=525_600)]
Dates = Annotated[list[Day], Field(max_length=400), AfterValidator(_once)]
AttributeName = Annotated[str, StringConstraints(pattern=f"^{ATTRIBUTE_NAME}$")]
Attribute = Annotated[
    Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True, ge=-1_000_000_000, le=1_000_000_000)]
    | AttributeText
    | Annotated[list[AttributeText], Field(max_length=50)],
    WrapValidator(_attribute),
]
Attributes = Annotated[
    dict[AttributeName, Attribute],
    Field(
        max_length=50,
        description="What calendars and requests may require of a coach. Texts have no commas.",
    ),
]
