"""Who may make a request: known by a key or a signature, within the rate limit, with the route's scope."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from fairslot.access import client_address, keys, limits, signed_requests
from fairslot.access.guesses import Address
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
_READING = frozenset({"GET", "HEAD"})


def authenticate(
    event: Mapping[str, Any], *, signed: bool, now: datetime
) -> tuple[Client, limits.RequestCount]:
    """Return the caller, and the count of the request, which is not made yet.

    With `signed` a signature is as good as a key.

    Raises:
        AuthenticationError: an unknown caller.
        RateLimitError: too many unknown keys or invalid signatures from its address.
        UnavailableError: nothing can be counted, and it asks for a change: see Address.

    """
    changing = event["requestContext"]["http"]["method"] not in _READING
    address = Address(client_address.digest_of(event), changing=changing)
    try:
        caller, remembered = _caller(event, address, signed=signed, now=now)
    except AuthenticationError as error:
        if error.reason in {"malformed", "doubled"}:
            address.count_malformed()
        raise
    count = limits.RequestCount(
        caller.tenant_id,
        caller.key_id,
        caller.rate_limit,
        address=address.digest,
        changing=changing,
        remembered=remembered,
    )
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
    event: Mapping[str, Any], address: Address, *, signed: bool, now: datetime
) -> tuple[Client, keys.Remembered | None]:
    given: Mapping[str, str] = event.get("headers") or {}
    is_signed = signed and "webhook-signature" in given
    if ("x-api-key" in given) + ("authorization" in given) + is_signed > 1:
        # Which of them a request is by must not depend on who reads it.
        raise AuthenticationError(reason="doubled")
    authorization = given.get("authorization", "")
    bearer = authorization[7:] if authorization[:7].lower() == "bearer " else ""
    if bearer.count(".") == _DOTS and settings().token_issuers:
        return _bearer_of(bearer, address, now), None
    if is_signed:
        return _signer_of(event, given, address, now), None
    if authorization and not bearer:
        raise AuthenticationError(reason="malformed")
    return keys.authenticate(given.get("x-api-key") or bearer, address)


def _signer_of(event: Mapping[str, Any], given: Mapping[str, str], address: Address, now: datetime) -> Client:
    """Return who signed the request. An invalid signature counts as an unknown key."""
    source_id = (event.get("queryStringParameters") or {}).get("source", "")
    address.check()
    try:
        return signed_requests.authenticate(source_id, given, raw_body(event), now=now)
    except AuthenticationError as error:
        error.reason = "signature"
        address.count_wrong()
        raise


def _bearer_of(token: str, address: Address, now: datetime) -> Client:
    """Return whose token it is. What is refused counts as an unknown key."""
    from fairslot.access import tokens  # late: see there

    try:
        return tokens.authenticate(token, now=now, before_looking=address.check)
    except AuthenticationError as error:
        error.reason = "token"
        address.check()
        address.count_wrong()
        raise


def rate_headers(allowance: Allowance) -> dict[str, str]:
    """Return the headers that tell a client what is left of its requests."""
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(allowance.reset),
        "RateLimit": f'"default";r={allowance.remaining};t={allowance.reset}',
        "RateLimit-Policy": f'"default";q={allowance.limit};w=60',
    }
