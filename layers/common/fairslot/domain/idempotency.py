"""Idempotency keys: what a key is tied to. The answer itself is kept in the transaction of its effect."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairslot.domain.json_written import write


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


def fingerprint(operation: str, asked: Mapping[str, Any]) -> bytes:
    """Return a digest of a request that does not depend on the order of its members."""
    return hashlib.sha256(write([operation, asked], in_order=True).encode()).digest()


@dataclass(frozen=True, kw_only=True)
class ChangeResult:
    """What a changing call did: its answer (JSON), and the messages to publish after the commit."""

    answer: dict[str, Any]
    replayed: bool
    messages: list[dict[str, Any]]
