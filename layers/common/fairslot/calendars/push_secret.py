"""The secret that a provider sends back with every notification, and that nobody else can make.

It is Google's channel token and Microsoft Graph's `clientState`. It names its channel and proves that by an
HMAC (RFC 2104): whoever receives notifications needs no database, and a forged one costs an HMAC.
"""

import hashlib
import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID

from fairslot.platform.settings import settings

type Provider = Literal["google", "microsoft"]

# An empty one would verify what anybody makes.
SHORTEST = 32

# Which secret, the source, the generation, the HMAC: 54 bytes are 72 characters of base64 and no padding, so
# a secret is written in one way. Graph allows 128 characters, Google 256.
_PARTS = struct.Struct(">2s16sI32s")
_TEXT = re.compile(r"[A-Za-z0-9_-]{72}", re.ASCII)
_PURPOSE = b"fairslot calendar notification 1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What a provider sends notifications about: a source, and which of its channels, the latest highest."""

    provider: Provider
    source_id: UUID
    generation: int


class PushSecrets:
    """Makes and checks the secrets of channels."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take the deployment's secrets: the first makes new ones, which the others, being older, did before.

        ValueError without one, or where one is too short to be random.
        """
        keys = [secret.encode() for secret in secrets]
        if not keys or any(len(key) < SHORTEST for key in keys):
            raise ValueError(f"a secret of at least {SHORTEST} characters is needed for notifications")
        self._current = _id_of(keys[0])
        self._keys = {_id_of(key): key for key in reversed(keys)}

    def make(self, channel: Channel) -> str:
        """Return the channel's secret."""
        proof = self._proof(self._current, channel)
        parts = _PARTS.pack(self._current, channel.source_id.bytes, channel.generation, proof)
        return urlsafe_b64encode(parts).decode()

    def channel(self, provider: Provider, text: object) -> Channel | None:
        """Return the channel whose secret this is; None for anything else, at the cost of one HMAC at most.

        It does not say whether the channel is still the source's latest: that is in the database.
        """
        if not isinstance(text, str) or _TEXT.fullmatch(text) is None:
            return None
        key_id, source_id, generation, proof = _PARTS.unpack(urlsafe_b64decode(text))
        if key_id not in self._keys:
            return None
        channel = Channel(provider=provider, source_id=UUID(bytes=source_id), generation=generation)
        return channel if hmac.compare_digest(proof, self._proof(key_id, channel)) else None

    def _proof(self, key_id: bytes, channel: Channel) -> bytes:
        named = channel.source_id.bytes + struct.pack(">I", channel.generation)
        return hmac.digest(self._keys[key_id], _PURPOSE + channel.provider.encode() + b"\0" + named, "sha256")


def configured() -> PushSecrets:
    """Return what the deployment's secrets make and check. ValueError where it has none."""
    return _made(settings().push_secrets)


@lru_cache(maxsize=1)
def _made(text: str) -> PushSecrets:
    return PushSecrets([one.strip() for one in text.split(",") if one.strip()])


def _id_of(key: bytes) -> bytes:
    """Return by what a secret is found, so that no other is tried."""
    return hashlib.sha256(_PURPOSE + b"id\0" + key).digest()[:2]
