"""Requests to a provider's JSON API: authorized by a token, refused in our words, in bounded pages."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import httpx

from fairslot.calendars.fetch import Limits, default_limits
from fairslot.calendars.interface import AccessToken, CalendarError
from fairslot.platform import http_client
from fairslot.platform.addresses import subscriber_rules
from fairslot.platform.retry_after import retry_after_seconds

# A provider may end a page wherever it likes; a calendar that goes on past these is not read in part.
MOST_PAGES = 50

type Body = dict[str, Any]
# Where the next page is: a path or an address, and its parameters; None after the last.
type Following = Callable[[Body], tuple[str, Mapping[str, str]] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response; `body` is its JSON object, empty where it has none."""

    status: int
    headers: Mapping[str, str]
    body: Body

    @property
    def ok(self) -> bool:
        """Whether the request was done: any 2xx."""
        return _is_success(self.status)

    @property
    def after(self) -> float:
        """The seconds that the provider asks to wait, 0 for none."""
        return retry_after_seconds(self.headers.get("Retry-After"), now=datetime.now(UTC))


type Refusal = Callable[[Answer], CalendarError]


def refusal_of(answer: Answer) -> CalendarError:
    """Return the error of a refused request by its status alone; none of these ends the source."""
    reasons: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: "unauthorized",
        HTTPStatus.FORBIDDEN: "forbidden",
        HTTPStatus.NOT_FOUND: "not_found",
        HTTPStatus.CONFLICT: "conflict",
        HTTPStatus.PRECONDITION_FAILED: "conflict",
        HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
    }
    return CalendarError(reasons.get(answer.status, f"http_{answer.status}"), after=answer.after)


class ProviderApi:
    """One source's access to a provider's API, below `base_url`."""

    def __init__(
        self,
        *,
        base_url: str,
        token: AccessToken,
        refusal: Refusal = refusal_of,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the API's address, the source's token, and how the provider's refusals are read."""
        self._base = httpx.URL(base_url.rstrip("/") + "/")
        self._token = token
        self._refusal = refusal
        self._limits = limits or default_limits()
        self._transport = transport

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        allowed: Collection[int] = (),
        by: httpx.AsyncClient | None = None,
    ) -> Answer:
        """Make one request and return its answer: a 2xx, or one of the statuses that are `allowed`.

        A refused token is replaced once. The path is below the base, or an address that the provider gave, on
        the same host: the token goes nowhere else. `by` is a client that is open. Raises CalendarError.
        """
        url = self._url(path)
        answer = await self._send(method, url, params, headers, body, by=by, fresh=False)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            answer = await self._send(method, url, params, headers, body, by=by, fresh=True)
        if answer.ok or answer.status in allowed:
            return answer
        raise self._refusal(answer)

    async def pages(
        self,
        path: str,
        *,
        following: Following,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Body]:
        """Yield the bodies of all pages, which share a connection until the generator is closed.

        Raises CalendarError, also after MOST_PAGES and in a circle.
        """
        at: tuple[str, Mapping[str, str]] | None = (path, params or {})
        seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        async with http_client.client(subscriber_rules(), self._transport) as client:
            while at is not None:
                step = (at[0], tuple(sorted(at[1].items())))
                if step in seen:
                    raise CalendarError("invalid_body")
                if len(seen) == MOST_PAGES:
                    raise CalendarError("too_large")
                seen.add(step)
                answer = await self.request("GET", at[0], params=at[1], headers=headers, by=client)
                yield answer.body
                at = following(answer.body)

    def _url(self, path: str) -> str:
        try:
            url = self._base.join(path)
        except httpx.InvalidURL:
            raise CalendarError("invalid_body") from None
        base = self._base
        if (url.scheme, url.raw_host, url.port) != (base.scheme, base.raw_host, base.port) or url.userinfo:
            raise CalendarError("invalid_body")
        return str(url)

    async def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Body | None,
        *,
        by: httpx.AsyncClient | None,
        fresh: bool,
    ) -> Answer:
        ours = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": f"Bearer {await self._token.get(fresh=fresh)}",
            **({"Content-Type": "application/json"} if body is not None else {}),
            **(headers or {}),
        }
        content = json.dumps(body).encode() if body is not None else None
        try:
            request = http_client.build(method, url, headers=ours, params=params or None, content=content)
        except http_client.RequestFailedError as error:
            raise CalendarError(error.reason) from None
        return await send(request, limits=self._limits, transport=self._transport, by=by)


async def send(
    request: httpx.Request,
    *,
    limits: Limits,
    transport: httpx.AsyncBaseTransport | None = None,
    by: httpx.AsyncClient | None = None,
) -> Answer:
    """Send one request that has a credential in it: https only, no redirects. Raises CalendarError."""
    opened = http_client.stream(
        request, rules=subscriber_rules(), answer_seconds=limits.answer_seconds, transport=transport, by=by
    )
    try:
        async with opened as response, asyncio.timeout(limits.body_seconds):
            content, whole = await http_client.read(response, limits.body_bytes, gzip=True)
    except http_client.RequestFailedError as error:
        raise CalendarError(error.reason) from None
    if not whole:
        raise CalendarError("too_large")
    status = response.status_code
    return Answer(status=status, headers=response.headers, body=_object(status, content))


def _object(status: int, content: bytes) -> Body:
    """Return the JSON object of a body; of a refusal, whatever is none is empty."""
    try:
        body = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    if _is_success(status):
        raise CalendarError("invalid_body")
    return {}


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
