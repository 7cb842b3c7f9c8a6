"""Types of the HTTP edge that several functions use; each refuses what Postgres could not mean."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant outside the calendar") from error


def _text(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("an instant is written as text")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError("no such time zone") from error
    return name


Instant = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_utc)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
