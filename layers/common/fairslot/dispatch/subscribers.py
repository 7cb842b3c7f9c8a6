"""Who is told of our events and how: the kinds of subscriber, and one attempt at a delivery."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import httpx

from fairslot.dispatch.backoff import LONGEST_SECONDS, retry_after_seconds
from fairslot.dispatch.blocks import ID_CHARACTERS, Blocks, UnreadableError, look
from fairslot.dispatch.partners import calendar_api, crm
from fairslot.dispatch.request import Request
from fairslot.domain import own_headers
from fairslot.domain.errors import UnavailableError
from fairslot.messages.contract import MessageError
from fairslot.messages.deliveries import Delivery
from fairslot.platform import signing, signing_secrets
from fairslot.platform.http_client import ExchangeError, Reply, get, post

EXCERPT_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one attempt: delivered where there is no `error`.

    `final`: a further attempt would change nothing. `taken`: the subscriber has the event, and what failed is
    only what we wanted to know of it. `retry_after`: the seconds that the subscriber asked us to wait, 0 for
    none. `seconds`: how long the exchange took, from name lookup to the last byte.
    """

    error: str | None = None
    final: bool = False
    taken: bool = False
    status_code: int | None = None
    response_excerpt: str = ""
    answer: Mapping[str, str] = field(default_factory=dict)
    retry_after: float = 0.0
    seconds: float = 0.0


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
    if request.blocks is not None and request.only_look:
        return await _find(request.blocks, seconds, transport)
    # One for all attempts, so that a repetition does no harm. A calendar is told two things of one event.
    key = delivery.delivery_id if delivery.kind == "calendar_api" else delivery.event_id
    # In ASCII: what one side can write in UTF-8 another may not be able to read.
    content = json.dumps(request.body, separators=(",", ":")).encode()
    ends = perf_counter() + seconds
    try:
        signature = await _signature(delivery, content, seconds)
    except ExchangeError as error:
        return Result(error=error.reason, final=error.final)
    begun = perf_counter()
    try:
        reply = await post(
            request.url,
            headers={**request.headers, "X-Idempotency-Key": str(key), **signature},
            content=content,
            seconds=max(ends - begun, 0),
            trusted=request.trusted,
            transport=transport,
        )
    except ExchangeError as error:
        return Result(error=error.reason, final=error.final, seconds=perf_counter() - begun)
    result = replace(_judge(request, reply), seconds=perf_counter() - begun)
    if result.error is None and request.log is not None and not result.answer:
        return await _look_up(request, result, str(key), max(ends - perf_counter(), 0), transport)
    if result.error == "already_blocked" and request.blocks is not None:
        return await _identify(request.blocks, result, max(ends - perf_counter(), 0), transport)
    return result


async def _identify(
    blocks: Blocks, refused: Result, seconds: float, transport: httpx.AsyncBaseTransport | None
) -> Result:
    """Say of a refusal what block is there: it may be our own, whose id was lost with an answer.

    A list that cannot be read just now is worth another attempt; whether one is needed the record knows.
    """
    try:
        return replace(refused, answer=await look(blocks, seconds=seconds, transport=transport) or {})
    except UnreadableError as error:
        wait = _wait(error.reply, {}) if error.reply else 0.0
        return replace(refused, final=False, retry_after=wait)


async def _find(blocks: Blocks, seconds: float, transport: httpx.AsyncBaseTransport | None) -> Result:
    """Look for a block that nobody wants any more, and make none."""
    begun = perf_counter()
    try:
        found = await look(blocks, seconds=seconds, transport=transport)
    except UnreadableError as error:
        status = error.reply.status_code if error.reply else None
        wait = _wait(error.reply, {}) if error.reply else 0.0
        took = perf_counter() - begun
        return Result(error=error.reason, status_code=status, retry_after=wait, seconds=took)
    took = perf_counter() - begun
    if found is None:
        return Result(error="cannot_list", final=True, seconds=took)
    return Result(status_code=httpx.codes.OK, answer=found, seconds=took)


async def _look_up(
    request: Request, result: Result, key: str, seconds: float, transport: httpx.AsyncBaseTransport | None
) -> Result:
    """Find what is to be kept of a lost answer in the receiver's log, as far as that has it.

    A log that cannot be read just now is worth another attempt: the receiver knows the key.
    """
    try:
        reply = await get(request.log or "", seconds=seconds, trusted=request.trusted, transport=transport)
    except ExchangeError:
        return replace(result, error="answer_lost", taken=True)
    # 501 is said where there is no such thing.
    if httpx.codes.is_server_error(reply.status_code) and reply.status_code != httpx.codes.NOT_IMPLEMENTED:
        return replace(result, error="answer_lost", taken=True, retry_after=_wait(reply, {}))
    lines = _answer(reply)[0].get("webhooks")
    for line in lines if isinstance(lines, list) else []:
        if isinstance(line, dict) and line.get("idempotency_key") == key:
            return replace(result, answer=_kept(request, line))
    return result


async def _signature(delivery: Delivery, content: bytes, seconds: float) -> Mapping[str, str]:
    """Sign a body with the endpoint's secrets; the timestamp is the attempt's. Raises ExchangeError."""
    if delivery.endpoint_id is None or not delivery.secrets:
        return {}
    context = signing_secrets.for_endpoint(delivery.endpoint_id)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            opened = [
                await loop.run_in_executor(_opener, signing_secrets.decrypt, ciphertext, context)
                for ciphertext in delivery.secrets
            ]
        return signing.headers(
            opened, message_id=str(delivery.event_id), timestamp=int(time.time()), content=content
        )
    except (UnavailableError, TimeoutError, signing.SecretError):
        raise ExchangeError("secret_unavailable") from None


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
        # Looked at again: what an endpoint was given before a rule was made is kept, and not sent.
        headers={name: value for name, value in delivery.headers.items() if own_headers.may_be_chosen(name)},
        refusals=GONE,
        trusted=False,
    )


# A receiver that wants no more, whatever it is told: https://www.rfc-editor.org/rfc/rfc9110#name-410-gone
GONE: Mapping[int, str] = {410: "http_410"}
# Subscribers learn which appointment and when, and ask for the rest with a key of their own.
PERSONAL = frozenset({"contact_name", "contact_email", "contact_id", "notes", "metadata"})
# What somebody wrote about an appointment; of an endpoint it is a word of ours.
WORDS = frozenset({"reason"})

# A further kind is one more function here; a kind that is missing fails its deliveries for good.
KINDS: Mapping[str, Callable[[Delivery], Request | None]] = {
    "crm": crm,
    "calendar_api": calendar_api,
    "standard": standard,
}

# One thread: whoever waits behind another for the same secret then finds it opened.
_opener = ThreadPoolExecutor(1, "secrets")


def _judge(request: Request, reply: Reply) -> Result:
    excerpt = _excerpt(reply.content)
    answer, readable = _answer(reply)
    # Where nothing of it is kept, the body means nothing.
    if httpx.codes.is_success(reply.status_code) and (readable or not request.keep):
        return Result(status_code=reply.status_code, response_excerpt=excerpt, answer=_kept(request, answer))
    refusal = request.refusals.get(reply.status_code)
    error = f"http_{reply.status_code}" if not httpx.codes.is_success(reply.status_code) else "invalid_body"
    return Result(
        error=refusal or error,
        final=refusal is not None,
        status_code=reply.status_code,
        response_excerpt=excerpt,
        retry_after=_wait(reply, answer),
    )


def _kept(request: Request, answer: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: value for name, places in request.keep.items() if (value := _id(answer, places))}


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
