"""Who is told of our events and how: the kinds of subscriber, and one attempt at a delivery."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import JsonValue

from fairslot import secrets
from fairslot.errors import UnavailableError
from fairslot.settings import settings
from fairslot.webhooks import signing
from fairslot.webhooks.backoff import LONGEST_SECONDS, retry_after_seconds
from fairslot.webhooks.exchange import ExchangeError, Reply, post
from fairslot.webhooks.messages import AppointmentData, Delivery, MessageError

EXCERPT_BYTES = 500
# A partner's id longer than this is none.
ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to post to a subscriber.

    `keep`: what of the answer is kept, and the answer's members to look for it in, the best first.
    `refusals`: the status codes that no further attempt can change, and what they are called.
    `headers`: beside the idempotency key. `trusted`: the address is the operator's and not a customer's.
    """

    url: str
    body: Mapping[str, JsonValue]
    headers: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = True
    keep: Mapping[str, Sequence[str]] = field(default_factory=dict)
    refusals: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one attempt: delivered where there is no `error`.

    `final`: a further attempt would change nothing. `retry_after`: the seconds that the subscriber
    asked us to wait, 0 for none.
    """

    error: str | None = None
    final: bool = False
    status_code: int | None = None
    response_excerpt: str = ""
    answer: Mapping[str, str] = field(default_factory=dict)
    retry_after: float = 0.0


async def deliver(
    delivery: Delivery, *, seconds: float, transport: httpx.AsyncBaseTransport | None = None
) -> Result:
    """Make one attempt at a delivery, within `seconds`. Raises MessageError where its data cannot be used.

    A 2xx status delivers. Anything else is worth another attempt, every 4xx included, as Standard
    Webhooks asks (https://www.standardwebhooks.com, "Deliverability and Reliability"): a receiver that
    is being deployed or misconfigured answers 401 or 404 for a while, and the event must outlive
    that. Redirects are not followed. Only what a kind calls a refusal ends a delivery at once. So does
    a kind that is not known here.
    """
    build = KINDS.get(delivery.kind)
    if build is None:
        return Result(error="unknown_kind", final=True)
    request = build(delivery)
    if request is None:
        return Result()
    # One for all attempts, so that a repetition does no harm. A calendar is told two things of one event.
    key = delivery.delivery_id if delivery.kind == "calendar_api" else delivery.event_id
    # In ASCII: what one side can write in UTF-8 another may not be able to read.
    content = json.dumps(request.body, separators=(",", ":")).encode()
    try:
        reply = await post(
            request.url,
            headers={
                **request.headers,
                "X-Idempotency-Key": str(key),
                **await _signature(delivery, content, seconds),
            },
            content=content,
            seconds=seconds,
            trusted=request.trusted,
            transport=transport,
        )
    except ExchangeError as error:
        return Result(error=error.reason, final=error.final)
    return _judge(request, reply)


async def _signature(delivery: Delivery, content: bytes, seconds: float) -> Mapping[str, str]:
    """Sign a body with the endpoint's secrets; the timestamp is the attempt's. Raises ExchangeError."""
    if delivery.endpoint_id is None or not delivery.secrets:
        return {}
    context = secrets.for_endpoint(delivery.endpoint_id)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            opened = [
                await loop.run_in_executor(_opener, secrets.decrypt, ciphertext, context)
                for ciphertext in delivery.secrets
            ]
        return signing.headers(
            opened, message_id=str(delivery.event_id), timestamp=int(time.time()), content=content
        )
    except (UnavailableError, TimeoutError, signing.SecretError):
        raise ExchangeError("secret_unavailable") from None


def crm(delivery: Delivery) -> Request | None:
    """Post an appointment's event to one of the CRM's three paths, flat; other events are not for it."""
    if not delivery.type.startswith("appointment."):
        return None
    appointment = delivery.appointment()
    path = CRM_PATHS.get(delivery.type, "appointment-updated")
    people = ("contact_name", "contact_email") if path == "appointment-created" else ()
    told = {name: getattr(appointment, name) for name in (*CRM_MEMBERS, *people)}
    return Request(
        url=f"{settings().crm_webhook_url.rstrip('/')}/webhooks/{path}",
        body={name: value for name, value in told.items() if value is not None},
        keep={"crm_id": ("crm_id", "contact_id")},
        refusals=GONE,
    )


CRM_PATHS = {"appointment.created": "appointment-created", "appointment.cancelled": "appointment-cancelled"}
CRM_MEMBERS = (
    "appointment_id",
    "calendar_id",
    "coach_id",
    "start_time",
    "end_time",
    "status",
    "version",
    "contact_id",
)


def calendar_api(delivery: Delivery) -> Request | None:
    """Block an appointment's time in the coach's external calendar or release a block, by `action`."""
    appointment = delivery.appointment()
    match appointment.action:
        case "block":
            return Request(
                url=_coach_url(appointment, "block-slot"),
                body={"start_time": appointment.start_time, "end_time": appointment.end_time},
                keep={"block_id": ("block_id",)},
                refusals={409: "already_blocked"},
            )
        case "release" if appointment.block_id is not None:
            return Request(
                url=_coach_url(appointment, "release-slot"), body={"block_id": appointment.block_id}
            )
        case _:
            return None


def standard(delivery: Delivery) -> Request:
    """Post any event to a customer's own address as Standard Webhooks 1.0 asks: thin, and signed."""
    if delivery.url is None or delivery.endpoint_id is None or not delivery.secrets:
        raise MessageError
    private = PERSONAL | WORDS if delivery.type.startswith("appointment.") else PERSONAL
    return Request(
        url=delivery.url,
        body={
            "type": delivery.type,
            "timestamp": delivery.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "version": delivery.version,
            "data": {name: value for name, value in delivery.data.items() if name not in private},
        },
        headers={
            name: value
            for name, value in delivery.headers.items()
            if name.lower() not in OURS and not name.lower().startswith(("webhook-", "proxy-"))
        },
        refusals=GONE,
        trusted=False,
    )


# A receiver that wants no more, whatever it is told: https://www.rfc-editor.org/rfc/rfc9110#name-410-gone
GONE: Mapping[int, str] = {410: "http_410"}
# Subscribers learn which appointment and when, and ask for the rest with a key of their own.
PERSONAL = frozenset({"contact_name", "contact_email", "contact_id", "notes", "metadata"})
# What somebody wrote about an appointment; of an endpoint it is a word of ours.
WORDS = frozenset({"reason"})
# Headers that say what the request is and whom it is for.
OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-idempotency-key",
    }
)

# A further kind is one more function here; a kind that is missing fails its deliveries for good.
KINDS: Mapping[str, Callable[[Delivery], Request | None]] = {
    "crm": crm,
    "calendar_api": calendar_api,
    "standard": standard,
}

# One thread: whoever waits behind another for the same secret then finds it opened.
_opener = ThreadPoolExecutor(1, "secrets")


def _coach_url(appointment: AppointmentData, action: str) -> str:
    return (
        f"{settings().calendar_api_url.rstrip('/')}/coaches/{quote(appointment.coach_id, safe='')}/{action}"
    )


def _judge(request: Request, reply: Reply) -> Result:
    excerpt = _excerpt(reply.content)
    answer, readable = _answer(reply)
    if httpx.codes.is_success(reply.status_code) and readable:
        return Result(
            status_code=reply.status_code,
            response_excerpt=excerpt,
            answer={name: value for name, places in request.keep.items() if (value := _id(answer, places))},
        )
    refusal = request.refusals.get(reply.status_code)
    error = f"http_{reply.status_code}" if not httpx.codes.is_success(reply.status_code) else "invalid_body"
    return Result(
        error=refusal or error,
        final=refusal is not None,
        status_code=reply.status_code,
        response_excerpt=excerpt,
        retry_after=_wait(reply, answer),
    )


def _answer(reply: Reply) -> tuple[Mapping[str, Any], bool]:
    """Read the answer's JSON object; false where it calls itself JSON and is not, as a cut answer does."""
    try:
        answer = json.loads(reply.content)
    except (ValueError, RecursionError):
        claimed = "json" in reply.headers.get("Content-Type", "") and reply.content != b""
        return {}, not (claimed and reply.whole)
    return (answer if isinstance(answer, dict) else {}), True


def _id(answer: Mapping[str, Any], places: Sequence[str]) -> str | None:
    for place in places:
        value = answer.get(place)
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        # Printable: Postgres takes no NUL and UTF-8 no lone surrogate, both of which JSON can carry.
        if 0 < len(text) <= ID_CHARACTERS and text.isprintable():
            return text
    return None


def _wait(reply: Reply, answer: Mapping[str, Any]) -> float:
    """Return the seconds that the subscriber asks for: by Retry-After or, as our partners do, in the body."""
    asked = retry_after_seconds(reply.headers.get("Retry-After"), now=datetime.now(UTC))
    member = answer.get("retry_after")
    if isinstance(member, int | float) and not isinstance(member, bool) and member > 0:
        # An integer of JSON's can be too large for a float; a NaN is not above 0.
        return max(asked, float(min(member, LONGEST_SECONDS)))
    return asked


def _excerpt(content: bytes) -> str:
    """Decode the first bytes; what a database or a terminal cannot take becomes U+FFFD."""
    text = content[:EXCERPT_BYTES].decode(errors="replace")
    return "".join(char if char.isprintable() or char in "\n\r\t" else "\ufffd" for char in text)
