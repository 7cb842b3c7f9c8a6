"""Ask a calendar's server: a request with retries, limited in time and size; mostly a GET that downloads."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from random import SystemRandom

import httpx

from fairslot.calendars.interface import CalendarError
from fairslot.platform import http_client
from fairslot.platform.addresses import Rules, check, feed_rules, redirect_rules
from fairslot.platform.http_client import Redirect, Reply
from fairslot.platform.retry_after import retry_after_seconds
from fairslot.platform.settings import settings

PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0

# The scheme that calendars write for a feed to subscribe to.
_WEBCAL = re.compile(r"^webcals?://", re.IGNORECASE)

# From the kernel: a generator seeded at import would be the same in every restored snapshot.
_random = SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The number of attempts; the seconds for a response to begin, for its body, and for all attempts."""

    attempts: int
    answer_seconds: float
    body_seconds: float = 10.0
    total_seconds: float = 20.0
    body_bytes: int = 5_000_000


class _RetryableError(CalendarError):
    """An attempt failed and another one may succeed, `after` seconds later at the earliest."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason, after=after)


def default_limits() -> Limits:
    """Return the limits of the settings."""
    return Limits(attempts=settings().calendar_attempts, answer_seconds=settings().calendar_timeout_seconds)


async def fetch(
    url: str,
    *,
    accept: str,
    params: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    trusted: bool = False,
) -> bytes:
    """Return the body of a 200 response. Raises CalendarError; retries as `exchange` does.

    A URL must lead to a public host: see `addresses`. Redirects are followed, each one checked again and to
    https only. A `trusted` URL is the operator's: it may lead inside, and its redirects are not followed.
    """
    reply = await exchange(
        lambda: _request(url, params, accept),
        rules=None if trusted else feed_rules(),
        redirect=None if trusted else _redirected,
        limits=limits,
        transport=transport,
    )
    if reply.status_code != HTTPStatus.OK:
        raise CalendarError(f"http_{reply.status_code}")
    return reply.content


async def exchange(
    make: Callable[[], httpx.Request],
    *,
    rules: Rules | None,
    with_body: Collection[int] = (HTTPStatus.OK,),
    redirect: Redirect | None = None,
    limits: Limits | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Reply:
    """Send the request that `make` builds, once an attempt, and return the response. Raises CalendarError.

    Only the body of a response whose status is in `with_body` is read. `rules` and `redirect` are those of
    `http_client.stream`; a redirect that is not followed is a response like any other.

    Timeouts, broken connections, 429 and 5xx are retried after a random pause (full jitter: "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015) or what Retry-After asks for; where that is more than
    the time that is left, there is no further attempt. So a request must be one that can be repeated.
    """
    bounds = limits or default_limits()
    opened = partial(
        http_client.stream,
        rules=rules,
        answer_seconds=bounds.answer_seconds,
        redirect=redirect,
        transport=transport,
    )
    clock = asyncio.get_running_loop().time
    end = clock() + bounds.total_seconds
    attempt = 1
    try:
        async with asyncio.timeout_at(end):
            while True:
                try:
                    return await _attempt(opened(_built(make)), bounds, with_body)
                except _RetryableError as error:
                    pause = _pause(attempt, error)
                    if attempt == bounds.attempts or clock() + pause >= end:
                        raise
                await asyncio.sleep(pause)
                attempt += 1
    except TimeoutError:
        raise CalendarError("timeout") from None


def _built(make: Callable[[], httpx.Request]) -> httpx.Request:
    try:
        return make()
    except http_client.RequestFailedError as error:
        raise CalendarError(error.reason) from None


def _request(url: str, params: Mapping[str, str] | None, accept: str) -> httpx.Request:
    headers = {"Accept": accept, "Accept-Encoding": "gzip"}
    return http_client.build("GET", _WEBCAL.sub("https://", url), headers=headers, params=params)


async def _attempt(
    opened: AbstractAsyncContextManager[httpx.Response], bounds: Limits, with_body: Collection[int]
) -> Reply:
    try:
        async with opened as response, asyncio.timeout(bounds.body_seconds):
            _check_status(response)
            body, whole = b"", True
            if response.status_code in with_body:
                body, whole = await http_client.read(response, bounds.body_bytes, gzip=True)
            headers = http_client.headers_of(response)
    except http_client.RequestFailedError as error:
        kind = _RetryableError if error.reason in {"timeout", "connection"} else CalendarError
        raise kind(error.reason) from None
    if not whole:
        raise CalendarError("too_large")
    return Reply(status_code=response.status_code, headers=headers, content=body, whole=whole)


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Return where a redirect leads, checked. Raises AddressError, httpx.InvalidURL."""
    target = url.join(_WEBCAL.sub("https://", location))
    return check(str(target), redirect_rules())


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        after = retry_after_seconds(response.headers.get("Retry-After"), now=datetime.now(UTC))
        raise _RetryableError(f"http_{status}", after)


def _pause(attempt: int, error: _RetryableError) -> float:
    """Return how long to wait after the attempt, in seconds."""
    longest = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** (attempt - 1))
    return max(error.after, _random.uniform(0, longest))
