"""What a subscriber can ask for: event types, an address that is not one of ours, and headers of its own."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from psycopg.types.json import Jsonb

from fairslot.domain import own_headers
from fairslot.domain.errors import ValidationError

EventType = Literal[
    "appointment.created",
    "appointment.updated",
    "appointment.rescheduled",
    "appointment.reassigned",
    "appointment.cancelled",
    "appointment.completed",
    "appointment.no_show",
    "appointment.conflict",
    "endpoint.failing",
    "endpoint.disabled",
    "calendar.stale",
]
# Also what an endpoint gets that is tried, whatever it has asked for.
SentType = Literal[EventType, "endpoint.test"]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
PATTERNS = frozenset({"*", *EVENT_TYPES, *(f"{one.partition('.')[0]}.*" for one in EVENT_TYPES)})
LONGEST_URL = 2000
MOST_HEADERS = 20
LONGEST_HEADER = 1000

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a tenant decides about an endpoint; None for a number means the dispatcher's own."""

    url: str | None
    event_types: Sequence[str]
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    rate_per_second: float | None = None
    enabled: bool = True

    def columns(self) -> dict[str, Any]:
        """Return it as the statements take it."""
        values = {**asdict(self), "event_types": list(self.event_types)}
        return values | {"headers": Jsonb(values["headers"])}


def accept(wish: Subscription, *, names: Collection[str] = ("url", "event_types", "headers")) -> Subscription:
    """Return what was wished as it is kept, judged in the members named. Raises ValidationError."""
    if "event_types" in names:
        _check_types(wish.event_types)
    if "headers" in names:
        _check_headers(wish.headers)
    return replace(wish, url=_canonical(wish.url or "")) if "url" in names else wish


def _check_types(patterns: Sequence[str]) -> None:
    for position, pattern in enumerate(patterns):
        if pattern not in PATTERNS:
            raise ValidationError(
                "There is no such event type.", [(f"body.event_types.{position}", "unknown_event_type")]
            )


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _is_header(name, value):
            raise ValidationError("This header cannot be chosen.", [(f"body.headers.{name}", "header")])
    if len({own_headers.as_read(name) for name in headers}) < len(headers) or len(headers) > MOST_HEADERS:
        raise ValidationError("Too many headers, or one twice.", [("body.headers", "header")])


def _canonical(url: str) -> str:
    from fairslot.platform import addresses  # late: most requests need none of it

    try:
        found = addresses.canonical(url, addresses.subscriber_rules())
    except addresses.AddressError as error:
        raise ValidationError(
            "A subscriber has an https address that is reached from the internet.",
            [("body.url", error.reason)],
        ) from error
    if len(found) > LONGEST_URL:
        raise ValidationError(
            f"With what is not ASCII escaped, the address has more than {LONGEST_URL:,} characters.",
            [("body.url", "too_long")],
        )
    return found


def _is_header(name: str, value: str) -> bool:
    return (
        _TOKEN.fullmatch(name) is not None
        and own_headers.may_be_chosen(name)
        and 0 < len(value) <= LONGEST_HEADER
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )
