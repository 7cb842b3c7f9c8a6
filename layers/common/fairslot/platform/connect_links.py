"""Links by which coaches connect a calendar: what their tokens say, and how they are made.

Docs: docs/decisions/0149-connecting.md.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from fairslot.platform import sealing
from fairslot.platform.settings import settings

# A link is sent to a coach, who opens it when there is time.
VALID_FOR = timedelta(days=7)
# What coaches connect themselves; other kinds have nobody to ask.
CONNECTABLE = frozenset({"google", "microsoft", "caldav"})

_PURPOSE = "link"
# Which kind, the id, and: until when with something random, or the generation of the source.
_CONNECTION = struct.Struct(">B16sI16s")
_RECONNECTION = struct.Struct(">B16sI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a token says: a connection that was asked for, and until when; or a source to connect again.

    A token of a source is good while the source is disconnected in that generation, which connecting raises.
    """

    what: Literal["connection", "source"]
    id: UUID
    generation: int | None = None
    expires_at: datetime | None = None


def new_token(connection_id: UUID, expires_at: datetime) -> str:
    """Return a token for a connection; no other call returns the same. Raises NoSecretError."""
    import secrets  # late: most requests need none

    content = _CONNECTION.pack(1, connection_id.bytes, int(expires_at.timestamp()), secrets.token_bytes(16))
    return sealing.seal(content, purpose=_PURPOSE)


def source_token(source_id: UUID, generation: int) -> str:
    """Return the token of a source in a generation, always the same. Raises NoSecretError."""
    return sealing.seal(_RECONNECTION.pack(2, source_id.bytes, generation), purpose=_PURPOSE)


def read(token: str) -> Statement | None:
    """Return what a token says, None for one that was not made here."""
    content = sealing.unseal(token, purpose=_PURPOSE)
    if content is None:
        return None
    if len(content) == _CONNECTION.size and content[0] == 1:
        _, named, until, _ = _CONNECTION.unpack(content)
        return Statement(
            what="connection", id=UUID(bytes=named), expires_at=datetime.fromtimestamp(until, UTC)
        )
    if len(content) == _RECONNECTION.size:
        _, named, generation = _RECONNECTION.unpack(content)
        return Statement(what="source", id=UUID(bytes=named), generation=generation)
    return None


def digest_of(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def url(token: str) -> str:
    """Return the link of a token."""
    return f"{settings().public_url.rstrip('/')}/connect/{token}"


def is_ready() -> bool:
    """Return whether links can be made: there is a secret, and an address that browsers reach."""
    return bool(settings().public_url) and sealing.is_ready()


def reconnect_url(*, source_id: UUID, generation: int) -> str | None:
    """Return the link by which a coach connects a disconnected source of these kinds again: always the same.

    None where the deployment is not set up for it.
    """
    return url(source_token(source_id, generation)) if is_ready() else None
