"""Read the public keys of an issuer of tokens: a JSON Web Key Set (RFC 7517), downloaded as a feed is."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from fairslot.calendars.fetch import default_limits, fetch
from fairslot.calendars.interface import CalendarError
from fairslot.messages import contract
from fairslot.messages.issuer_keys import KeysReading, KeysRequest, PublicKey

_MOST_BYTES = 256 * 1024
_MOST_KEYS = 50


async def read_keys(request: KeysRequest, *, seconds: float) -> KeysReading:
    """Return the issuer's keys, or why they could not be read in `seconds`."""
    fetched_at = datetime.now(UTC)
    keys, error = None, None
    try:
        async with asyncio.timeout(seconds):
            limits = replace(default_limits(), body_bytes=_MOST_BYTES)
            keys = _keys(
                await fetch(request.url, accept="application/jwk-set+json, application/json", limits=limits)
            )
    except CalendarError as failed:
        error = failed.reason
    except TimeoutError:
        error = "timeout"
    return KeysReading(
        issuer=request.issuer,
        url=request.url,
        requested_at=request.requested_at,
        fetched_at=fetched_at,
        keys=keys,
        error=error,
    )


def _keys(body: bytes) -> list[PublicKey]:
    """Return the keys of a set that can verify signatures; without any it is no answer."""
    try:
        given = json.loads(body)["keys"]
        found = [key for one in given[:_MOST_KEYS] if (key := _key(one)) is not None]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise CalendarError("invalid_body") from None
    if not found:
        raise CalendarError("invalid_body")
    return found


def _key(given: Any) -> PublicKey | None:
    """Return a key, without private members should there be any; None for kinds that we do not use."""
    try:
        return contract.adapter(PublicKey).validate_python(given)
    except ValidationError:
        return None
