"""A CalDAV account: requests that carry its password, and the hosts that may get it."""

import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from fairslot.calendars.fetch import Limits, default_limits, exchange
from fairslot.calendars.interface import CalendarError
from fairslot.platform import http_client
from fairslot.platform.addresses import AddressError, check, subscriber_rules

BODY_BYTES = 10_000_000
# Providers that answer with addresses on several hosts of a domain that is all theirs: iCloud's are
# p01-caldav.icloud.com and so on.
ONE_OWNER = ("icloud.com",)

# What servers mostly name an object: a path on the same host. Hundreds take long to parse as URLs.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+/?", re.ASCII)

# The bodies that are read; of other refusals the status says enough.
_READ = frozenset({HTTPStatus.OK, HTTPStatus.MULTI_STATUS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user at a server. The address that was given decides which hosts get the password."""

    address: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, and the URL that it is of: after the redirects."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it was done: any 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def version(self) -> str | None:
        """The ETag of what was asked for or written."""
        return self.headers.get("ETag")


class DavClient:
    """Sends requests with the account's password, to hosts that may get it."""

    def __init__(
        self,
        account: Account,
        *,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the account; its address may leave out https://. Raises CalendarError for no address."""
        self.address = account.address if "://" in account.address else f"https://{account.address}"
        self._home = _checked(self.address)
        secret = b64encode(f"{account.user}:{account.password}".encode()).decode()
        self._authorization = f"Basic {secret}"
        self._limits = limits or replace(default_limits(), body_bytes=BODY_BYTES)
        self._transport = transport

    def join(self, base: str, href: str) -> str:
        """Return the address that a server names, from one that may get the password.

        Raises CalendarError where the password may not go.
        """
        if _PATH.fullmatch(href):
            scheme, host, *_ = urlsplit(base)
            return f"{scheme}://{host}{href}"
        try:
            url = httpx.URL(base).join(href)
        except (httpx.InvalidURL, ValueError):
            raise CalendarError("invalid_url") from None
        if not may_get_password(self._home, _checked(str(url))):
            raise CalendarError("other_domain")
        return str(url)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        allowed: Collection[int] = (),
    ) -> Answer:
        """Send a request that can be repeated; return a 2xx answer or one that is `allowed`.

        Redirects are followed with the same method and body, each through the address guard. Raises
        CalendarError.
        """
        for _ in range(http_client.MOST_REDIRECTS + 1):
            target = self.join(self.address, url)
            reply = await self._exchange(method, target, headers or {}, content)
            if reply.status_code not in http_client.REDIRECTS:
                answer = Answer(
                    url=target, status=reply.status_code, headers=reply.headers, body=reply.content
                )
                if answer.ok or answer.status in allowed:
                    return answer
                raise _refusal(answer.status)
            # Whatever else a redirect says, no host gets the password that the account's owner did not name.
            url = self.join(target, reply.headers.get("Location", ""))
        raise CalendarError("too_many_redirects")

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> http_client.Reply:
        ours = {"Authorization": self._authorization, "Accept-Encoding": "gzip", **headers}
        try:
            return await exchange(
                lambda: http_client.build(method, url, headers=ours, content=content),
                rules=subscriber_rules(),
                with_body=_READ,
                limits=self._limits,
                transport=self._transport,
            )
        except CalendarError as error:
            if error.reason == f"http_{HTTPStatus.TOO_MANY_REQUESTS}":
                raise CalendarError("rate_limited", after=error.after) from None
            raise


def may_get_password(home: httpx.URL, url: httpx.URL) -> bool:
    """Tell whether a URL may get the password that was given for `home`.

    So may the same host, on any port that is allowed, the hosts below it, and all hosts of a provider of
    ONE_OWNER. That needs no list of public suffixes, and a neighbour under the same domain gets nothing. On
    one machine, where plain http is allowed, it is the same host and port.
    """
    if home.scheme != "https" or url.scheme != "https":
        return (url.scheme, url.raw_host, url.port) == (home.scheme, home.raw_host, home.port)
    given, host = _host(home), _host(url)
    return (
        host == given
        or host.endswith(f".{given}")
        or any(_is_below(given, domain) and _is_below(host, domain) for domain in ONE_OWNER)
    )


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").removesuffix(".").lower()


def _checked(address: str) -> httpx.URL:
    try:
        if urlsplit(address).fragment:
            raise CalendarError("invalid_url")
        return check(address, subscriber_rules())
    except AddressError as error:
        raise CalendarError(error.reason) from None
    except ValueError:
        raise CalendarError("invalid_url") from None


def _refusal(status: int) -> CalendarError:
    if status == HTTPStatus.UNAUTHORIZED:
        return CalendarError("unauthorized", ended="disconnected")
    if status == HTTPStatus.FORBIDDEN:
        return CalendarError("forbidden")
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return CalendarError("not_found")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return CalendarError(f"http_{status}", ended="unsupported")
    return CalendarError(f"http_{status}")
