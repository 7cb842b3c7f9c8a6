"""One GET from a system that is not ours: tried again where that can help, bounded in time and in size."""

import asyncio
import re
import ssl
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from random import SystemRandom
from typing import cast

import httpx

from fairslot.calendars.interface import CalendarError
from fairslot.platform.addresses import AddressError, GuardedTransport, check, feed_rules, redirect_rules
from fairslot.platform.settings import settings

PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
MOST_REDIRECTS = 5

_REDIRECTS = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
# What calendars call an address to subscribe to.
_WEBCAL = re.compile(r"^webcals?://", re.IGNORECASE)

# From the kernel: a generator seeded at import would be the same in every restored snapshot.
_random = SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how often: until the answer begins, for its body, and over all attempts."""

    attempts: int
    answer_seconds: float
    body_seconds: float = 10.0
    total_seconds: float = 20.0
    body_bytes: int = 5_000_000


class _AttemptError(CalendarError):
    """An attempt that another one may mend, after `pause` seconds at the least."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def default_limits() -> Limits:
    """Return the limits that the settings give."""
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
    """Return the body that the address answers with 200. Raises CalendarError.

    Anybody's address is only read from a public host: see `addresses`. Its redirects are followed a few
    times, each looked up and judged anew, to https alone and with nothing of the request before. A `trusted`
    one is the operator's, whose redirects are not followed.

    Timeouts, broken connections, 429 and 5xx are tried again, after a random pause (full jitter:
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015) or what Retry-After asks for; where
    that is more than the time that is left, there is no further attempt.
    """
    bounds = limits or default_limits()
    clock = asyncio.get_running_loop().time
    end = clock() + bounds.total_seconds
    attempt = 1
    try:
        async with asyncio.timeout_at(end), _client(transport, trusted=trusted) as client:
            request = _request(client, url, params, accept)
            while True:
                try:
                    return await _attempt(client, request, bounds, follows=not trusted)
                except _AttemptError as error:
                    pause = _pause(attempt, error)
                    if attempt == bounds.attempts or clock() + pause >= end:
                        raise
                await asyncio.sleep(pause)
                attempt += 1
    except TimeoutError:
        raise CalendarError("timeout") from None


def _request(
    client: httpx.AsyncClient, url: str, params: Mapping[str, str] | None, accept: str
) -> httpx.Request:
    try:
        address = _WEBCAL.sub("https://", url)
        request = client.build_request("GET", address, params=params, headers={"Accept": accept})
    except (httpx.InvalidURL, TypeError):
        raise CalendarError("invalid_url") from None
    if request.url.scheme not in {"http", "https"} or not request.url.host:
        raise CalendarError("invalid_url")
    return request


async def _attempt(
    client: httpx.AsyncClient, request: httpx.Request, bounds: Limits, *, follows: bool
) -> bytes:
    try:
        response = await _answer(client, request, bounds.answer_seconds, MOST_REDIRECTS if follows else 0)
        async with aclosing(response), asyncio.timeout(bounds.body_seconds):
            if response.status_code != HTTPStatus.OK:
                raise _refusal(response)
            return await _body(response, bounds.body_bytes)
    except TimeoutError:
        raise _AttemptError("timeout") from None
    except AddressError as error:
        raise CalendarError(error.reason) from None
    except httpx.HTTPError:
        raise _AttemptError("connection") from None


async def _answer(
    client: httpx.AsyncClient, request: httpx.Request, seconds: float, redirects: int
) -> httpx.Response:
    """Return an answer whose body is still to be read, after so many redirects at most; 0 follows none."""
    for _ in range(redirects + 1):
        async with asyncio.timeout(seconds):
            response = await client.send(request, stream=True)
        if not redirects or response.status_code not in _REDIRECTS:
            return response
        await response.aclose()
        request = _redirected(client, request, response)
    raise CalendarError("too_many_redirects")


def _redirected(client: httpx.AsyncClient, request: httpx.Request, response: httpx.Response) -> httpx.Request:
    """Return the request for where an answer points to: a new one, without cookies or anything of ours."""
    client.cookies.clear()
    try:
        target = request.url.join(_WEBCAL.sub("https://", response.headers["Location"]))
    except (KeyError, httpx.InvalidURL):
        raise CalendarError("invalid_url") from None
    url = check(str(target), redirect_rules())
    return client.build_request("GET", url, headers={"Accept": request.headers["Accept"]})


def _refusal(response: httpx.Response) -> CalendarError:
    status = response.status_code
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
        return CalendarError(f"http_{status}")
    after = response.headers.get("Retry-After", "")
    return _AttemptError(f"http_{status}", float(after) if after.isdecimal() else 0.0)


async def _body(response: httpx.Response, most: int) -> bytes:
    """Read the body, unpacking no more than is allowed: 64 KB of gzip can be 64 MB."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip"}:
        raise CalendarError("invalid_body")
    unpack = None if coding == "identity" else zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    body = bytearray()
    try:
        async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as pieces:
            async for piece in pieces:
                body += unpack.decompress(piece, most + 1 - len(body)) if unpack else piece
                if len(body) > most:
                    raise CalendarError("too_large")
    except zlib.error:
        raise CalendarError("invalid_body") from None
    if unpack and not unpack.eof:
        raise CalendarError("invalid_body")
    return bytes(body)


def _pause(attempt: int, error: _AttemptError) -> float:
    """Return how long to wait after the attempt, in seconds."""
    longest = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** (attempt - 1))
    return max(error.pause, _random.uniform(0, longest))


def _client(transport: httpx.AsyncBaseTransport | None, *, trusted: bool) -> httpx.AsyncClient:
    """Make a client for one calendar: a connection that is kept while Lambda freezes the process is dead."""
    way = transport or httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
    return httpx.AsyncClient(
        transport=way if trusted else GuardedTransport(way, feed_rules()),
        timeout=None,  # noqa: S113  # a whole attempt is bounded, which a limit for each read is not
        follow_redirects=False,
        # No proxy and no .netrc from the environment.
        trust_env=False,
        headers={"User-Agent": "Fairslot", "Accept-Encoding": "gzip"},
    )


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
