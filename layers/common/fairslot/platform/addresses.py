"""SSRF guard: a request to a customer's URL reaches a public host or none.

The name is resolved once, all its addresses must be public, and the connection is made to one of them by
number: DNS rebinding changes nothing. The Host header and the TLS name stay the customer's.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import httpx
import idna

from fairslot.platform.settings import settings

LOOPBACK = "127.0.0.1"
# The time limit for one address of several.
CONNECT_SECONDS = 3.0
# Names whose servers do not answer occupy threads for up to half a minute: a pool of their own.
LOOKUP_THREADS = 64
LONGEST_NAME = 253

# Of IPv6 only global unicast, which excludes mapped, compatible, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48),
# site-local, unique local, link-local and multicast addresses; and of that not what embeds an IPv4 address or
# leads nowhere: Teredo and its neighbours, documentation, 6to4, AS112.
# https://www.iana.org/assignments/iana-ipv6-special-registry
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
# What `is_global` accepts: https://www.iana.org/assignments/iana-ipv4-special-registry
_SPECIAL_4 = tuple(
    map(
        ipaddress.IPv4Network,
        ("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
    )
)

_LABEL = re.compile(r"[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?")
# RFC 3986, section 3.2, without user information: a number in brackets or a name, and a port of ASCII digits.
_AUTHORITY = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?")
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")

type Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressError(Exception):
    """Nothing was sent; `reason` is `invalid_url` or `blocked_address`, `final` that a retry fails too."""

    def __init__(self, reason: str, *, final: bool) -> None:
        """Keep only the code: URLs can hold secrets."""
        super().__init__(reason)
        self.reason = reason
        self.final = final


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The allowed ports for https and http, and whether http to 127.0.0.1 is allowed on any port."""

    https_ports: frozenset[int]
    http_ports: frozenset[int] = frozenset()
    loopback: bool = False


def subscriber_rules() -> Rules:
    """Return the rules for webhooks: https only."""
    return Rules(https_ports=_ports(), loopback=settings().webhook_allow_loopback_http)


def feed_rules() -> Rules:
    """Return the rules for feeds, which get no secret of ours: http too."""
    return Rules(
        https_ports=_ports(), http_ports=frozenset({80}), loopback=settings().webhook_allow_loopback_http
    )


def redirect_rules() -> Rules:
    """Return the rules for redirects of feeds: https only, as no customer chose that address."""
    return subscriber_rules()


def _ports() -> frozenset[int]:
    return frozenset(int(port) for port in settings().webhook_allowed_ports.split(","))


def check(text: str, rules: Rules) -> httpx.URL:
    """Parse a URL and refuse what can be refused without DNS. Raises AddressError, a final one."""
    try:
        url = httpx.URL(text)
        authority = urlsplit(text).netloc
        host = _host(url)
    except (httpx.InvalidURL, TypeError, ValueError, UnicodeError):
        raise AddressError("invalid_url", final=True) from None
    if url.scheme not in {"http", "https"} or not host or "@" in authority or url.userinfo:
        raise AddressError("invalid_url", final=True)
    # Python reads `+443`, ` 443`, `4_43` and digits of other scripts as numbers; other parsers may not.
    if _AUTHORITY.fullmatch(authority) is None:
        raise AddressError("invalid_url", final=True)
    if _is_loopback(url, rules):
        return url
    ports = rules.https_ports if url.scheme == "https" else rules.http_ports
    if _port(url) not in ports:
        raise AddressError("invalid_url", final=True)
    # 127.1, 2130706433 and 0177.0.0.1 are addresses to the system's resolver only.
    number = _number(host)
    if number is None and not is_name(host):
        raise AddressError("invalid_url", final=True)
    if not is_public(number) if number is not None else "." not in host:
        raise AddressError("blocked_address", final=True)
    return url


def canonical(text: str, rules: Rules) -> str:
    """Return the canonical form of a URL, in which it is stored, compared and requested. Raises AddressError.

    By RFC 3986, section 6.2, without decoding escapes: the host in ASCII, lower case and without the final
    dot, an IP address in its usual form, no default port, no fragment, `/` for an empty path, `%2F` for
    `%2f`.
    """
    url = check(text, rules)
    host = _host(url)
    number = _number(host) or host
    place = f"[{number}]" if ":" in number else number
    port = f":{url.port}" if url.port is not None else ""
    path = _ESCAPE.sub(lambda found: found.group().upper(), url.raw_path.decode("ascii"))
    return f"{url.scheme}://{place}{port}{path}"


def is_name(host: str) -> bool:
    """Tell whether this is a valid host name: labels of letters, digits and inner hyphens (RFC 1123, 5891).

    `host` is in ASCII and without a final dot. A last label of digits only would be a malformed IP address.
    """
    labels = host.split(".")
    return (
        len(host) <= LONGEST_NAME
        and all(map(_LABEL.fullmatch, labels))
        and not labels[-1].isdecimal()
        and all(map(_is_idna, labels))
    )


def _is_idna(label: str) -> bool:
    """Tell whether a label is valid IDNA, if it is punycode."""
    if not label.startswith("xn--"):
        return True
    try:
        return idna.alabel(idna.ulabel(label)) == label.encode()
    except idna.IDNAError:
        return False


def is_public(address: str) -> bool:
    """Tell whether this is the IP address of a host on the internet."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(number, ipaddress.IPv6Address):
        return (
            number in _GLOBAL_UNICAST
            and number.scope_id is None
            and not any(number in net for net in _SPECIAL_6)
        )
    return number.is_global and not number.is_multicast and not any(number in net for net in _SPECIAL_4)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Resolve and check the host of every request, and pass it on to `inner`, addressed by IP.

    Raises AddressError, and httpx.ConnectError where the name does not exist.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, rules: Rules, resolve: Resolve | None = None) -> None:
        """Take the transport, the rules, and the resolver: the system's by default."""
        self._inner = inner
        self._rules = rules
        self._resolve = resolve or lookup

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the first of the host's addresses that accepts a connection."""
        url = check(str(request.url), self._rules)
        host = _host(url)
        if _is_loopback(url, self._rules):
            return await self._inner.handle_async_request(request)
        found = await self._resolve(host, _port(url))
        if not found:
            raise httpx.ConnectError("no such name")
        if not all(is_public(address) for address in found):
            # Not final: the name's owner can correct it, and a retry costs no more than the lookup.
            raise AddressError("blocked_address", final=False)
        *others, last = found
        for address in others:
            try:
                return await self._inner.handle_async_request(_addressed(request, address, host))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_addressed(request, last, host))

    async def aclose(self) -> None:
        """Close the transport."""
        await self._inner.aclose()


async def lookup(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, in the order in which to try them."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(_threads(), _getaddrinfo, host, port)
    except (socket.gaierror, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _getaddrinfo(host: str, port: int) -> list[tuple[object, object, object, object, tuple[object, ...]]]:
    return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _addressed(request: httpx.Request, address: str, host: str) -> httpx.Request:
    """Return the request with an IP address for its host; the Host header and the TLS name stay."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={
            **request.extensions,
            "sni_hostname": host,
            "timeout": {**request.extensions.get("timeout", {}), "connect": CONNECT_SECONDS},
        },
    )


def _host(url: httpx.URL) -> str:
    """Return the host in ASCII, without the brackets of an IP address or a final dot."""
    return url.raw_host.decode("ascii").removesuffix(".").strip("[]").lower()


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else (443 if url.scheme == "https" else 80)


def _is_loopback(url: httpx.URL, rules: Rules) -> bool:
    return rules.loopback and url.scheme == "http" and url.raw_host == LOOPBACK.encode()


def _number(host: str) -> str | None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return None
    return str(found[0][4][0])


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LOOKUP_THREADS, "lookup")
