"""Which kind of hour a time is of, said simply."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fairslot.domain.slots import WEEKDAYS
from tests.integration.model_team import NORMAL

type Kind = dict[str, Any]


def kind_of(kinds: Sequence[Kind], local: datetime) -> str:
    """Return the first of a calendar's kinds that has a local time, else normal."""
    day, clock = WEEKDAYS[local.weekday()], f"{local:%H:%M}"
    return next((one["name"] for one in kinds if _is_kind(one, day, clock)), NORMAL)


def _is_kind(kind: Kind, day: str, clock: str) -> bool:
    """Tell whether a day and a time are of a kind; a time that ends before it begins crosses midnight."""
    since, until = clock >= kind.get("from", "00:00"), clock < kind.get("before", "24:00")
    crosses = kind.get("from", "00:00") >= kind.get("before", "24:00")
    return day in kind.get("days", WEEKDAYS) and (since or until if crosses else since and until)
