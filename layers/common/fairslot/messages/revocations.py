"""A request to end at a provider what a coach had allowed; it travels over FetchesQueue."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal
from uuid import UUID

from fairslot.messages import contract
from fairslot.messages.watches import WatchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeRequest:
    """The source that was deleted, and its credentials: ciphertext for {purpose: calendar, source_id}.

    `channel` is to be stopped before, as nobody can afterwards.
    """

    kind: Literal["revoke"] = "revoke"
    provider: Literal["google", "microsoft"]
    source_id: UUID
    credentials: str = field(repr=False)
    channel: WatchRequest | None = None
    delay_seconds: ClassVar[int] = 0

    @staticmethod
    def from_json(body: str) -> "RevokeRequest":
        """Read a message's body. Raises MessageError."""
        return contract.read(RevokeRequest, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)
