"""Who is let in: known by a key or a signature, within its requests a minute, with the scope for the call."""

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fairslot.access import signed_requests
from fairslot.access.keys import Client, authenticate
from fairslot.domain.errors import (
    Allowance,
    ForbiddenError,
    MalformedRequestError,
    PayloadTooLargeError,
    RateLimitError,
)
from fairslot.platform import cache

LARGEST_BODY = 64 * 1024
# The one path where a signature is as good as a key.
SIGNED_PATH = "/api/webhooks/calendar"
_READING = frozenset({"GET", "HEAD"})
# What only an administrator may see or change, but for the readers' report of the work.
_MANAGED = (
    "/api/webhook-endpoints",
    "/api/webhooks/calendar/secret",
    "/api/deliveries",
    "/api/coaches",
    "/api/calendars",
    "/api/keys",
)
_FOR_READERS = frozenset({"/api/coaches/distribution"})


def admit(event: Mapping[str, Any], headers: dict[str, str], *, now: datetime) -> Client:
    """Tell who is calling and count the request; `headers` get what says so, whatever comes of it.

    Raises:
        AuthenticationError: nobody we know.
        RateLimitError: it has had its share, or its address has tried too many unknown keys.
        ForbiddenError: it may not do that.

    """
    http = event["requestContext"]["http"]
    caller = _caller(event, http["path"], now)
    try:
        allowance = cache.count_request(caller.key_id, caller.rate_limit)
    except RateLimitError as error:
        headers.update(_rate_headers(error.allowance))
        raise
    headers.update(_rate_headers(allowance))
    if scope_of(http["method"], http["path"]) not in caller.scopes:
        raise ForbiddenError
    return caller


def scope_of(method: str, path: str) -> str:
    """Return the scope that a call needs: `admin`, `read` or `write`."""
    if path not in _FOR_READERS and any(path == one or path.startswith(f"{one}/") for one in _MANAGED):
        return "admin"
    return "read" if method in _READING else "write"


def raw_body(event: Mapping[str, Any]) -> bytes:
    """Return the body as it was sent.

    Raises:
        PayloadTooLargeError: more than 64 KiB.
        MalformedRequestError: it cannot be read.

    """
    body = event.get("body") or ""
    if len(body) > LARGEST_BODY * 2:
        raise PayloadTooLargeError
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeError) as error:
        raise MalformedRequestError("The body is not UTF-8.") from error
    if len(raw) > LARGEST_BODY:
        raise PayloadTooLargeError
    return raw


def _caller(event: Mapping[str, Any], path: str, now: datetime) -> Client:
    given: Mapping[str, str] = event.get("headers") or {}
    authorization = given.get("authorization", "")
    bearer = authorization[7:] if authorization[:7].lower() == "bearer " else ""
    key = given.get("x-api-key") or bearer
    if not key and path == SIGNED_PATH and "webhook-signature" in given:
        source_id = (event.get("queryStringParameters") or {}).get("source", "")
        return signed_requests.authenticate(source_id, given, raw_body(event), now=now)
    return authenticate(key, _address(event["requestContext"]["http"]["sourceIp"]))


def _address(source: str) -> str:
    """Return what an address counts as: of IPv6 the network of 64 bits, which is one subscriber's."""
    address = ipaddress.ip_address(source)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def _rate_headers(allowance: Allowance) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(allowance.reset),
        "RateLimit": f'"default";r={allowance.remaining};t={allowance.reset}',
        "RateLimit-Policy": f'"default";q={allowance.limit};w=60',
    }
