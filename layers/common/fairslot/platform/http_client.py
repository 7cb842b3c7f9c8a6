"""One request to a system that is not ours, bounded in time and in what is read of the answer."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from fairslot.platform.addresses import AddressError, GuardedTransport, subscriber_rules

ANSWER_BYTES = 65_536
# A list that was asked for is longer than an acknowledgement.
LIST_BYTES = 1_048_576


class ExchangeError(Exception):
    """There was no whole answer; `reason` is a stable word for the record, `final` that none will come."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        """Keep the word alone: the causes' texts can quote addresses with secrets in them."""
        super().__init__(reason)
        self.reason = reason
        self.final = final


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: `content` is the beginning that was read, as sent; `whole` tells that there was no more."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    whole: bool


async def post(
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes,
    seconds: float,
    trusted: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Reply:
    """Post JSON and return the answer, within `seconds` from name lookup to the last byte.

    ANSWER_BYTES of it are read. Anybody's address is only reached at a public host: see `addresses`. A
    `trusted` one is the operator's. Redirects are not followed. Raises ExchangeError: `timeout`,
    `connection`, `invalid_url`, `blocked_address`.
    """
    return await _exchange(
        "POST", url, headers, content, seconds, ANSWER_BYTES, _client(transport, trusted=trusted)
    )


async def get(
    url: str, *, seconds: float, trusted: bool = False, transport: httpx.AsyncBaseTransport | None = None
) -> Reply:
    """Get a list, as post does, of which LIST_BYTES are read."""
    return await _exchange("GET", url, {}, b"", seconds, LIST_BYTES, _client(transport, trusted=trusted))


async def _exchange(  # two callers, who name all of it
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    seconds: float,
    most: int,
    client: httpx.AsyncClient,
) -> Reply:
    try:
        # httpx bounds each read, so a byte now and then would keep it for ever: one bound over everything.
        async with (
            asyncio.timeout(seconds),
            client,
            client.stream(method, url, headers=headers, content=content) as response,
        ):
            content, whole = await _read(response, most)
            return Reply(
                status_code=response.status_code, headers=response.headers, content=content, whole=whole
            )
    except TimeoutError:
        raise ExchangeError("timeout") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise ExchangeError("invalid_url") from None
    except AddressError as error:
        raise ExchangeError(error.reason, final=error.final) from None
    except httpx.HTTPError:
        raise ExchangeError("connection") from None


def _client(transport: httpx.AsyncBaseTransport | None, *, trusted: bool) -> httpx.AsyncClient:
    """Make a client for one exchange.

    Measured: 0.07 ms, the TLS context aside (22 ms, made once). So nothing is shared between partners
    or left open while Lambda freezes the process, where a kept connection dies without a word.
    """
    way = transport or httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
    return httpx.AsyncClient(
        transport=way if trusted else GuardedTransport(way, subscriber_rules()),
        timeout=None,  # noqa: S113  # the exchange as a whole is bounded
        follow_redirects=False,
        # No proxy and no .netrc from the environment.
        trust_env=False,
        headers={
            "User-Agent": "Fairslot",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
        },
    )


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


async def _read(response: httpx.Response, most: int) -> tuple[bytes, bool]:
    content = bytearray()
    # As sent, not decoded: compressed against our wish, 64 KiB on the wire could be 64 MiB in memory.
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > most:
            return bytes(content[:most]), False
    return bytes(content), True
