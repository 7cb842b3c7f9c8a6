"""One attempt at a delivery, by the kind of its endpoint."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf
from time import perf_counter
from typing import Any

import httpx

from fairslot.dispatch.backoff import LONGEST_SECONDS
from fairslot.dispatch.blocks import ID_CHARACTERS, Blocks, UnreadableError, look_up
from fairslot.dispatch.partners import calendar_api, crm
from fairslot.dispatch.permits import permitted_until
from fairslot.dispatch.request import Request
from fairslot.domain import own_headers
from fairslot.domain.errors import UnavailableError
from fairslot.messages.contract import MessageError
from fairslot.messages.deliveries import CALENDAR_EVENT, Delivery
from fairslot.platform import signing, signing_secrets
from fairslot.platform.http_client import Reply, RequestFailedError, get, post
from fairslot.platform.retry_after import retry_after_seconds

EXCERPT_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one attempt; without an `error` the event is delivered.

    `final`: a retry would change nothing. `taken`: the endpoint has the event, only its response is lost.
    `retry_after`: the seconds that the endpoint asked to wait, 0 for none. `seconds`: how long it took, from
    name lookup to the last byte.
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
    """Make one attempt at a delivery, within `seconds`. Raises MessageError for data that cannot be used.

    A 2xx status delivers. Everything else is retried, including every 4xx, as Standard Webhooks asks
    (https://www.standardwebhooks.com, "Deliverability and Reliability"): an endpoint that is being deployed
    or is misconfigured answers 401 or 404 for a while, and the event must outlive that. Redirects are not
    followed. Only a kind's refusals and an unknown kind end a delivery at once.
    """
    if delivery.kind == CALENDAR_EVENT:
        from fairslot.dispatch.calendar_events import write  # late: most batches have none

        return await write(delivery, seconds=seconds)
    build = KINDS.get(delivery.kind)
    if build is None:
        return Result(error="unknown_kind", final=True)
    request = build(delivery)
    if request is None:
        return Result()
    if request.blocks is not None and request.lookup_only:
        return await _find_block(request.blocks, seconds, transport)
    return await _post(delivery, request, seconds, transport)


async def _post(
    delivery: Delivery, request: Request, seconds: float, transport: httpx.AsyncBaseTransport | None
) -> Result:
    # The same for every attempt, so that a repetition does no harm. A calendar gets two requests per event.
    key = delivery.delivery_id if delivery.kind == "calendar_api" else delivery.event_id
    # In ASCII: not every receiver reads all of UTF-8.
    content = json.dumps(request.body, separators=(",", ":")).encode()
    ends = perf_counter() + seconds
    try:
        signature = await _signature(delivery, content, seconds)
        until = await permitted_until(delivery.delivery_id, seconds=seconds) if request.is_personal else inf
    except RequestFailedError as error:
        return Result(error=error.reason, final=error.final)
    begun = perf_counter()
    try:
        reply = await post(
            request.url,
            headers={**request.headers, "X-Idempotency-Key": str(key), **signature},
            content=content,
            seconds=max(ends - begun, 0),
            until=until,
            trusted=request.trusted,
            transport=transport,
        )
    except RequestFailedError as error:
        return Result(error=error.reason, final=error.final, seconds=perf_counter() - begun)
    result = replace(_result(request, reply), seconds=perf_counter() - begun)
    if result.error is None and request.log is not None and not result.answer:
        return await _recover_answer(request, result, str(key), max(ends - perf_counter(), 0), transport)
    if result.error == "already_blocked" and request.blocks is not None:
        return await _identify_block(request.blocks, result, max(ends - perf_counter(), 0), transport)
    return result


async def _identify_block(
    blocks: Blocks, refused: Result, seconds: float, transport: httpx.AsyncBaseTransport | None
) -> Result:
    """Add to a refusal which block is there: it may be our own, if the response with its id was lost.

    A list that cannot be read now is worth a retry; the database knows whether one is needed.
    """
    try:
        return replace(refused, answer=await look_up(blocks, seconds=seconds, transport=transport) or {})
    except UnreadableError as error:
        wait = _wait(error.reply, {}) if error.reply else 0.0
        return replace(refused, final=False, retry_after=wait)


async def _find_block(blocks: Blocks, seconds: float, transport: httpx.AsyncBaseTransport | None) -> Result:
    """Look up a block that is no longer needed, and make none."""
    begun = perf_counter()
    try:
        found = await look_up(blocks, seconds=seconds, transport=transport)
    except UnreadableError as error:
        status = error.reply.status_code if error.reply else None
        wait = _wait(error.reply, {}) if error.reply else 0.0
        seconds_taken = perf_counter() - begun
        return Result(error=error.reason, status_code=status, retry_after=wait, seconds=seconds_taken)
    seconds_taken = perf_counter() - begun
    if found is None:
        return Result(error="cannot_list", final=True, seconds=seconds_taken)
    return Result(status_code=httpx.codes.OK, answer=found, seconds=seconds_taken)


async def _recover_answer(
    request: Request, result: Result, key: str, seconds: float, transport: httpx.AsyncBaseTransport | None
) -> Result:
    """Find what is kept of a lost response in the partner's log.

    A log that cannot be read now is worth a retry, which does no harm: the partner knows the key.
    """
    try:
        reply = await get(request.log or "", seconds=seconds, trusted=request.trusted, transport=transport)
    except RequestFailedError:
        return replace(result, error="answer_lost", taken=True)
    # 501: the partner has no log.
    if httpx.codes.is_server_error(reply.status_code) and reply.status_code != httpx.codes.NOT_IMPLEMENTED:
        return replace(result, error="answer_lost", taken=True, retry_after=_wait(reply, {}))
    lines = _answer(reply)[0].get("webhooks")
    for line in lines if isinstance(lines, list) else []:
        if isinstance(line, dict) and line.get("idempotency_key") == key:
            return replace(result, answer=_kept(request, line))
    return result


async def _signature(delivery: Delivery, content: bytes, seconds: float) -> Mapping[str, str]:
    """Sign a body with the endpoint's secrets; the timestamp is the attempt's. Raises RequestFailedError."""
    if delivery.endpoint_id is None or not delivery.secrets:
        return {}
    context = signing_secrets.for_endpoint(delivery.endpoint_id)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            secrets = [
                await loop.run_in_executor(_decrypting, signing_secrets.decrypt, ciphertext, context)
                for ciphertext in delivery.secrets
            ]
        return signing.headers(
            secrets, message_id=str(delivery.event_id), timestamp=int(time.time()), content=content
        )
    except (UnavailableError, TimeoutError, signing.SecretError):
        raise RequestFailedError("secret_unavailable") from None


def standard(delivery: Delivery) -> Request:
    """Post any event to a customer's own URL, thin and signed as in Standard Webhooks 1.0."""
    if delivery.url is None or delivery.endpoint_id is None or not delivery.secrets:
        raise MessageError
    private = PERSONAL | FREE_TEXT if delivery.type.startswith("appointment.") else PERSONAL
    return Request(
        url=delivery.url,
        body={
            "type": delivery.type,
            "timestamp": delivery.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "version": delivery.version,
            "data": {name: value for name, value in delivery.data.items() if name not in private},
        },
        # Filtered again: an endpoint may have a header from before it was reserved.
        headers={name: value for name, value in delivery.headers.items() if own_headers.may_be_chosen(name)},
        refusals=GONE,
        trusted=False,
    )


# The endpoint wants no more events: https://www.rfc-editor.org/rfc/rfc9110#name-410-gone
GONE: Mapping[int, str] = {410: "http_410"}
# Subscribers get the appointment's id and times, and read the rest with a key of their own.
PERSONAL = frozenset({"contact_name", "contact_email", "contact_id", "notes", "metadata"})
# Written by people about an appointment; in an endpoint's event it is a code of ours.
FREE_TEXT = frozenset({"reason"})

# A new kind is one more function here; deliveries of an unknown kind fail at once.
KINDS: Mapping[str, Callable[[Delivery], Request | None]] = {
    "crm": crm,
    "calendar_api": calendar_api,
    "standard": standard,
}

# One thread: a delivery that waits for another with the same secret then finds it cached.
_decrypting = ThreadPoolExecutor(1, "secrets")


def _result(request: Request, reply: Reply) -> Result:
    excerpt = _excerpt(reply.content)
    answer, readable = _answer(reply)
    # Where nothing of the body is kept, it does not matter.
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
    """Read the response's JSON object; false where it claims to be JSON and is not, as a cut one does."""
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
    """Return the seconds to wait that the endpoint asks for, by Retry-After or in the body as partners do."""
    asked = retry_after_seconds(reply.headers.get("Retry-After"), now=datetime.now(UTC))
    member = answer.get("retry_after")
    if isinstance(member, int | float) and not isinstance(member, bool) and member > 0:
        # A JSON integer can be too large for a float; NaN is not above 0.
        return max(asked, float(min(member, LONGEST_SECONDS)))
    return asked


def _excerpt(content: bytes) -> str:
    """Decode the first bytes; what a database or a terminal cannot take becomes U+FFFD."""
    text = content[:EXCERPT_BYTES].decode(errors="replace")
    return "".join(char if char.isprintable() or char in "\n\r\t" else "\ufffd" for char in text)
