"""What a subscriber can ask for: event types, an address that is not one of ours, and headers of its own."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from psycopg.types.json import Jsonb

from fairslot.errors import ValidationError

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
# Ours; the connection's own (RFC 9110, section 7.6.1); credentials, as headers are kept in the clear; and
# what tells a receiver who is asking, how, and for what.
FORBIDDEN_HEADERS = frozenset(
    {
        "alt-svc",
        "alt-used",
        "authorization",
        "client-ip",
        "close",
        "connection",
        "cookie",
        "cookie2",
        "date",
        "expect",
        "fastly-client-ip",
        "forwarded",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "max-forwards",
        "set-cookie",
        "set-cookie2",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "user-agent",
        "via",
        "x-api-key",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-idempotency-key",
        "x-method-override",
        "x-real-ip",
        "x-requested-with",
    }
)
FORBIDDEN_PREFIXES = (
    "accept",
    "cf-",
    "content-",
    "proxy-",
    "sec-",
    "webhook-",
    "x-amz",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-rewrite-",
)
MOST_HEADERS = 20
LONGEST_HEADER = 1000

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_SIGN = re.compile(r"[^0-9a-z]")


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


def check(wish: Subscription, *, names: Collection[str] = ("url", "event_types", "headers")) -> None:
    """Refuse what no subscriber can have in the members named. Raises ValidationError."""
    if "event_types" in names:
        _check_types(wish.event_types)
    if "headers" in names:
        _check_headers(wish.headers)
    if "url" in names:
        _check_url(wish.url or "")


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
    if len({_plain(name) for name in headers}) < len(headers) or len(headers) > MOST_HEADERS:
        raise ValidationError("Too many headers, or one twice.", [("body.headers", "header")])


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
    plain = _plain(name)
    return (
        _TOKEN.fullmatch(name) is not None
        and plain not in FORBIDDEN_HEADERS
        and not plain.startswith(FORBIDDEN_PREFIXES)
        and 0 < len(value) <= LONGEST_HEADER
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )


def _plain(name: str) -> str:
    """Return the name as the many receivers know it that make one of `-`, `_` and other signs (RFC 3875)."""
    return _SIGN.sub("-", name.lower())
