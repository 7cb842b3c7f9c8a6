"""What a tenant can choose for an endpoint: event types, a public address, headers of its own."""

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
    "calendar.disconnected",
    "calendar.event_changed",
]
# And the test event, which an endpoint gets whatever it subscribed to.
SentType = Literal[EventType, "endpoint.test"]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
PATTERNS = frozenset({"*", *EVENT_TYPES, *(f"{one.partition('.')[0]}.*" for one in EVENT_TYPES)})
LONGEST_URL = 2000
MOST_HEADERS = 20
LONGEST_HEADER = 1000

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """An endpoint's settings by its tenant; None for a number means the dispatcher's default."""

    url: str | None
    event_types: Sequence[str]
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    rate_per_second: float | None = None
    enabled: bool = True

    def columns(self) -> dict[str, Any]:
        """Return the parameters of the SQL statements."""
        values = {**asdict(self), "event_types": list(self.event_types)}
        return values | {"headers": Jsonb(values["headers"])}


def accept(
    given: Subscription, *, names: Collection[str] = ("url", "event_types", "headers")
) -> Subscription:
    """Validate the named members and return the subscription as it is stored. Raises ValidationError."""
    if "event_types" in names:
        _check_types(given.event_types)
    if "headers" in names:
        _check_headers(given.headers)
    return replace(given, url=_canonical(given.url or "")) if "url" in names else given


def _check_types(patterns: Sequence[str]) -> None:
    for position, pattern in enumerate(patterns):
        if pattern not in PATTERNS:
            raise ValidationError(
                "Unknown event type.", [(f"body.event_types.{position}", "unknown_event_type")]
            )


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _is_header(name, value):
            raise ValidationError(
                "This header is reserved, or its name or value is invalid.",
                [(f"body.headers.{name}", "header")],
            )
    if len({own_headers.as_read(name) for name in headers}) < len(headers) or len(headers) > MOST_HEADERS:
        raise ValidationError(
            f"More than {MOST_HEADERS} headers, or one twice.", [("body.headers", "header")]
        )


def _canonical(url: str) -> str:
    from fairslot.platform import addresses  # late: most requests need none of it

    try:
        found = addresses.canonical(url, addresses.subscriber_rules())
    except addresses.AddressError as error:
        raise ValidationError(
            "The URL must be https and lead to a public address.",
            [("body.url", error.reason)],
        ) from error
    if len(found) > LONGEST_URL:
        raise ValidationError(
            f"The URL has more than {LONGEST_URL:,} characters once non-ASCII ones are escaped.",
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
