"""What a subscriber can ask for: event types, an address that is not one of ours, and headers of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from fairslot.errors import ValidationError

EVENT_TYPES = (
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
)
PATTERNS = frozenset({"*", *EVENT_TYPES, *(f"{one.partition('.')[0]}.*" for one in EVENT_TYPES)})
# Ours, the connection's own (RFC 9110, section 7.6.1), and credentials: headers are kept in the clear.
FORBIDDEN_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "cookie",
        "date",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-api-key",
        "x-idempotency-key",
    }
)
FORBIDDEN_PREFIXES = ("accept", "content-", "proxy-", "webhook-")
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


def check(wish: Subscription, *, has_url: bool = True) -> None:
    """Refuse what no subscriber can have. Raises ValidationError."""
    for position, pattern in enumerate(wish.event_types):
        if pattern not in PATTERNS:
            raise ValidationError(
                "There is no such event type.", [(f"body.event_types.{position}", "unknown_event_type")]
            )
    for name, value in wish.headers.items():
        if not _is_header(name, value):
            raise ValidationError("This header cannot be chosen.", [(f"body.headers.{name}", "header")])
    if len({name.lower() for name in wish.headers}) < len(wish.headers) or len(wish.headers) > MOST_HEADERS:
        raise ValidationError("Too many headers, or one twice.", [("body.headers", "header")])
    if has_url:
        _check_url(wish.url or "")


def _check_url(url: str) -> None:
    from fairslot import addresses  # late: most requests need none of it

    try:
        addresses.check(url, addresses.subscriber_rules())
    except addresses.AddressError as error:
        raise ValidationError(
            "A subscriber has an https address that is reached from the internet.",
            [("body.url", error.reason)],
        ) from error


def _is_header(name: str, value: str) -> bool:
    lower = name.lower()
    return (
        _TOKEN.fullmatch(name) is not None
        and lower not in FORBIDDEN_HEADERS
        and not lower.startswith(FORBIDDEN_PREFIXES)
        and 0 < len(value) <= LONGEST_HEADER
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )
