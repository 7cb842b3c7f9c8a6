"""Types of the HTTP edge that several functions use; each refuses what Postgres could not mean."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from fairslot.domain.json_written import as_json, write

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")

_YEAR = timedelta(days=366)


def _in_utc(instant: datetime) -> datetime:
    """Return the instant in UTC, with a year to spare on both sides for those who reckon with it."""
    try:
        return instant.astimezone(UTC) + _YEAR - _YEAR - _YEAR + _YEAR
    except OverflowError as error:
        raise ValueError("an instant outside the calendar") from error


def _text(value: object) -> object:
    """Refuse what pydantic would take for seconds since 1970."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise ValueError("an instant is a date and a time with an offset, as RFC 3339 writes it")
    return value


def storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character")
    text.encode()  # a lone surrogate's error is a ValueError too
    return text


# Those that reorder or hide text, so that a name shows as another one (Unicode's bidirectional controls). The
# joiners U+200C and U+200D stay: names in Persian and in Indian scripts are written with them.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _written(value: object) -> object:
    return write(value) if isinstance(value, dict) else value


def _in_one_line(name: str) -> str:
    if any(one in _BIDI_CONTROLS or unicodedata.category(one) == "Cc" for one in name):
        raise ValueError("a control character")
    return name


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError("no such time zone") from error
    return name


Instant = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_utc)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(storable)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_in_one_line),
]
# The text of a JSON object; in an answer it is that object, not a string.
JsonText = Annotated[
    str,
    BeforeValidator(_written),
    PlainSerializer(as_json, return_type=str),
    WithJsonSchema({"type": "object", "additionalProperties": True}),
]
