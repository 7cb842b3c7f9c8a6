"""The public keys of an issuer of tokens: the request to read them, and what was read.

They travel over FetchesQueue and FetchedQueue, beside the calendars: see fetches.py and readings.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from fairslot.messages import contract

type Name = Annotated[str, Field(min_length=1, max_length=300)]
# The longest is the modulus of an RSA key of 8192 bits.
type Number = Annotated[str, Field(min_length=1, max_length=1400, pattern=r"^[A-Za-z0-9_-]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """The public members of a JSON Web Key (RFC 7517 and RFC 7518, section 6) that verifies signatures."""

    kid: Name
    kty: Literal["RSA", "EC"]
    use: Name | None = None
    alg: Name | None = None
    n: Number | None = None
    e: Number | None = None
    crv: Name | None = None
    x: Number | None = None
    y: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRequest:
    """A request to read the keys of an issuer; `requested_at` is told again with the reading."""

    kind: Literal["issuer_keys"] = "issuer_keys"
    issuer: Name
    url: Name
    requested_at: AwareDatetime
    delay_seconds: ClassVar[int] = 0

    @staticmethod
    def from_json(body: str) -> "KeysRequest":
        """Read a message's body. Raises MessageError."""
        return contract.read(KeysRequest, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysReading:
    """The keys of an issuer, or None and the `error`; `fetched_at` is when the reading began."""

    kind: Literal["issuer_keys"] = "issuer_keys"
    issuer: Name
    url: Name
    requested_at: AwareDatetime
    fetched_at: AwareDatetime
    keys: Sequence[PublicKey] | None = None
    error: str | None = None

    @staticmethod
    def from_json(body: str) -> "KeysReading":
        """Read a message's body. Raises MessageError."""
        return contract.read(KeysReading, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)
