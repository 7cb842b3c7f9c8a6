"""ResultsQueue, too: what a provider's notification asks for, written where notifications come in."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from fairslot.messages import contract

# changed: the source is read. renew: its channel ends unless it is renewed. removed: the channel is gone.
type Task = Literal["changed", "renew", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChanged:
    """A verified notification: of which source, by which of its channels, and what is to be done.

    It holds nothing else of what the provider sent.
    """

    kind: Literal["source_changed"] = "source_changed"
    source_id: UUID
    generation: int
    task: Task = "changed"

    @staticmethod
    def from_json(body: str) -> "SourceChanged":
        """Read a message's body. Raises MessageError."""
        return contract.read(SourceChanged, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)
