"""What calendars and requests require of coaches: requirements are texts name:value.

An attribute meets one if it is the value, as text, or is a list that has it. The database judges that
(schema/functions/00_attributes.sql); what a coach does not meet of several comes as a number, in which bit
i - 1 stands for the i-th.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

type Rule = Literal["calendar", "request"]

MISSING = "missing_attribute"


@dataclass(frozen=True, kw_only=True, order=True)
class Requirement:
    """A requirement, and whose it is: the calendar's, or that of the request that booked or asked."""

    rule: Rule
    attribute: str


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What let a coach in, and what kept the coach out."""

    met: Sequence[Requirement]
    missing: Sequence[Requirement]


def requirements(calendar: Sequence[str], request: Sequence[str] | None) -> list[Requirement]:
    """Return what a calendar and a request require."""
    return [one for one, _ in _judged(calendar, 0, request, 0)]


def trace(row: Mapping[str, Any]) -> Trace:
    """Return the trace of a coach: `requires` and `unmet` of the calendar, `also_requires` and so on."""
    judged = [*_judged(row["requires"], row["unmet"], row["also_requires"], row["also_unmet"])]
    return Trace(
        met=[one for one, is_met in judged if is_met], missing=[one for one, is_met in judged if not is_met]
    )


def _judged(
    calendar: Sequence[str], unmet: int, request: Sequence[str] | None, also_unmet: int
) -> Iterator[tuple[Requirement, bool]]:
    for bit, attribute in enumerate(calendar):
        yield Requirement(rule="calendar", attribute=attribute), not unmet >> bit & 1
    for bit, attribute in enumerate(request or ()):
        yield Requirement(rule="request", attribute=attribute), not also_unmet >> bit & 1
