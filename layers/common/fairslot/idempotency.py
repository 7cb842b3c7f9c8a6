"""Idempotency keys: what a key is tied to. The answer itself is kept in the transaction of its effect."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Key:
    """A client's idempotency key (None: it gave none) and what it was given for.

    `fingerprint` is a SHA-256 of the request; `hours` is how long the answer is kept.
    """

    value: str | None
    fingerprint: bytes
    hours: int = 24


# For what we do of our own accord: nothing is kept to answer it again.
NO_KEY = Key(value=None, fingerprint=b"")


def fingerprint(operation: str, body: Mapping[str, Any]) -> bytes:
    """Return a digest of a request that does not depend on the order of its members."""
    canonical = json.dumps(
        [operation, body], sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    )
    return hashlib.sha256(canonical.encode()).digest()
