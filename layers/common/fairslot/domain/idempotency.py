"""Idempotency keys and what they are tied to; the answer is stored in the transaction of its change."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairslot.domain.json_written import write


@dataclass(frozen=True, kw_only=True)
class Key:
    """A client's idempotency key (None: it sent none), and the request that it belongs to.

    `fingerprint` is a SHA-256 of the request; `hours` is how long the answer is stored. `origin` is what the
    audit says of the request (None: the change is none of a request): see platform/audit.py.
    """

    value: str | None
    fingerprint: bytes
    hours: int = 24
    origin: Mapping[str, Any] | None = None


# For our own changes: no answer is stored.
NO_KEY = Key(value=None, fingerprint=b"")


def fingerprint(operation: str, asked: Mapping[str, Any]) -> bytes:
    """Return a digest of a request that does not depend on the order of its members."""
    return hashlib.sha256(write([operation, asked], in_order=True).encode()).digest()


@dataclass(frozen=True, kw_only=True)
class ChangeResult:
    """What a change did: its answer (JSON), and messages to publish after the commit besides its events."""

    answer: dict[str, Any]
    replayed: bool
    messages: list[dict[str, Any]] = field(default_factory=list)
