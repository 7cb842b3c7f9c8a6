"""Who may make a request: known by a key or a signature, within the rate limit, with the route's scope."""

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from fairslot.access import keys, limits, signed_requests
from fairslot.access.keys import Client
from fairslot.domain.errors import (
    Allowance,
    AuthenticationError,
    ForbiddenError,
    MalformedRequestError,
    PayloadTooLargeError,
)
from fairslot.platform.settings import settings

type Scope = Literal["read", "write", "admin"]

LARGEST_BODY = 64 * 1024
# A JWT has three parts with dots between; no key has dots.
_DOTS = 2


def authenticate(
    event: Mapping[str, Any], *, signed: bool, now: datetime
) -> tuple[Client, limits.RequestCount]:
    """Return the caller, and the count of the request, which is not made yet.

    With `signed` a signature is as good as a key.

    Raises:
        AuthenticationError: an unknown caller.
        RateLimitError: too many unknown keys or invalid signatures from its address.

    """
    caller, remembered = _caller(event, signed=signed, now=now)
    count = limits.RequestCount(caller.tenant_id, caller.key_id, caller.rate_limit, remembered=remembered)
    return caller, count


def allow(caller: Client, counting: limits.RequestCount, scope: Scope | None, *, count_later: bool) -> None:
    """Let a caller through that has the scope (None: any caller) and is within its rate limit.

    Who may is counted now, or by whom the count is left to with `count_later`; who may not is counted now.

    Raises:
        RateLimitError: over its rate limit.
        ForbiddenError: it does not have the scope.

    """
    may = scope is None or scope in caller.scopes
    if not (may and count_later):
        counting.check()
    if not may:
        raise ForbiddenError(f"This route needs the scope `{scope}`; use an API key that has it.")


def raw_body(event: Mapping[str, Any], largest: int = LARGEST_BODY) -> bytes:
    """Return the body as it was sent.

    Raises:
        PayloadTooLargeError: more than `largest` bytes.
        MalformedRequestError: it cannot be decoded.

    """
    body = event.get("body") or ""
    if len(body) > largest * 2:
        raise PayloadTooLargeError(largest)
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeError) as error:
        raise MalformedRequestError("The body is not UTF-8; send JSON in UTF-8.") from error
    if len(raw) > largest:
        raise PayloadTooLargeError(largest)
    return raw


def _caller(
    event: Mapping[str, Any], *, signed: bool, now: datetime
) -> tuple[Client, keys.Remembered | None]:
    given: Mapping[str, str] = event.get("headers") or {}
    is_signed = signed and "webhook-signature" in given
    if ("x-api-key" in given) + ("authorization" in given) + is_signed > 1:
        # Which of them a request is by must not depend on who reads it.
        raise AuthenticationError
    authorization = given.get("authorization", "")
    bearer = authorization[7:] if authorization[:7].lower() == "bearer " else ""
    key = given.get("x-api-key") or bearer
    address = _network(event["requestContext"]["http"]["sourceIp"])
    if bearer.count(".") == _DOTS and settings().token_issuers:
        return _bearer_of(bearer, address, now), None
    if not is_signed:
        return keys.authenticate(key, address)
    source_id = (event.get("queryStringParameters") or {}).get("source", "")
    limit = settings().max_unknown_keys_per_minute
    limits.check_unknown_keys(address, None, limit)
    try:
        return signed_requests.authenticate(source_id, given, raw_body(event), now=now), None
    except AuthenticationError:
        limits.count_unknown_key(address, limit)
        raise


def _bearer_of(token: str, address: str, now: datetime) -> Client:
    """Return whose token it is. What is refused counts as an unknown key."""
    from fairslot.access import tokens  # late: see there

    limit = settings().max_unknown_keys_per_minute

    def check() -> None:
        limits.check_unknown_keys(address, None, limit)

    try:
        return tokens.authenticate(token, now=now, before_looking=check)
    except AuthenticationError:
        check()
        limits.count_unknown_key(address, limit)
        raise


@lru_cache(maxsize=1_000)
def _network(source: str) -> str:
    """Return what an address is counted as: of IPv6 its /64, which belongs to one subscriber."""
    address = ipaddress.ip_address(source)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def rate_headers(allowance: Allowance) -> dict[str, str]:
    """Return the headers that tell a client what is left of its requests."""
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(allowance.reset),
        "RateLimit": f'"default";r={allowance.remaining};t={allowance.reset}',
        "RateLimit-Policy": f'"default";q={allowance.limit};w=60',
    }
