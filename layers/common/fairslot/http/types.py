"""Types of requests that several functions use; each refuses what Postgres cannot store."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from fairslot.domain.json_written import as_json, write

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")

_YEAR = timedelta(days=366)


def _in_utc(instant: datetime) -> datetime:
    """Return the instant in UTC; code that computes with it has a year to spare on both sides."""
    try:
        return instant.astimezone(UTC) + _YEAR - _YEAR - _YEAR + _YEAR
    except OverflowError as error:
        raise ValueError("the instant is out of range") from error


def _text(value: object) -> object:
    """Refuse numbers, which pydantic would take as seconds since 1970."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise ValueError("use a date and a time with an offset (RFC 3339)")
    return value


def storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("remove the NUL character")
    text.encode()  # a lone surrogate's error is a ValueError too
    return text


# Controls, line separators and format characters, the bidirectional controls among them: they break lines,
# reorder text or hide it, so that a name looks like another one. The joiners stay: names in Persian and in
# Indian scripts are written with them.
_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")


def _written(value: object) -> object:
    return write(value) if isinstance(value, dict) else value


def _in_one_line(name: str) -> str:
    if any(unicodedata.category(one) in _CONTROLS and one not in _JOINERS for one in name):
        raise ValueError("remove the control characters")
    if not any(unicodedata.category(one)[0] in "LNPS" for one in name):
        raise ValueError("a name has visible characters")
    return name


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError("unknown time zone; use a name of the IANA database") from error
    return name


Instant = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_utc)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(storable)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_in_one_line),
]
# The value of a coach's attribute is without commas, which divide a repeated parameter of a query.
ATTRIBUTE_NAME = "[A-Za-z][A-Za-z0-9_]{0,49}"
_ATTRIBUTE_TEXT = "[^,]{1,100}"
AttributeText = Annotated[
    str,
    StringConstraints(pattern=f"^{_ATTRIBUTE_TEXT}$"),
    AfterValidator(storable),
    AfterValidator(_in_one_line),
]
Requirement = Annotated[
    str,
    StringConstraints(pattern=f"^{ATTRIBUTE_NAME}:{_ATTRIBUTE_TEXT}$"),
    AfterValidator(storable),
    AfterValidator(_in_one_line),
]
Requires = Annotated[
    list[Requirement],
    Field(
        max_length=10,
        description="Attributes that a coach must have, `name:value`: the value, as text, or a list with it.",
    ),
    AfterValidator(lambda some: sorted({*some})),
]
# The text of a JSON object; an answer contains the object, not a string.
JsonText = Annotated[
    str,
    BeforeValidator(_written),
    PlainSerializer(as_json, return_type=str),
    WithJsonSchema({"type": "object", "additionalProperties": True}),
]
