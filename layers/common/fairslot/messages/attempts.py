"""ResultsQueue: one attempt per message, written by the dispatcher, read by the results function.

What notifications of calendars' providers ask for comes on the same queue: see notifications.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from fairslot.messages import contract
from fairslot.messages.contract import MessageError
from fairslot.messages.notifications import SourceChanged

# `held`: nothing was sent, and the delivery was requeued.
Outcome = Literal["delivered", "retrying", "failed", "held"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The result of one attempt at a delivery, or why none was made.

    `attempt` counts from 1; of a held delivery it is the number of attempts so far. `answer` is what is kept
    of the partner's answer: `{"crm_id": …}`, `{"block_id": …}` or nothing. Of a list of blocks it
    is `{"found_block_id": …}`, the block at exactly that time, or `{"absent": "true"}`. Of a coach's calendar
    it is what was `done`, "put" or "remove", to the event of which `generation`, with `start`, `end`, `ref`
    and `version`; `source_generation` is the message's, and `ended` the provider's word
    about the `source_id`. `receipt_handle`
    deletes the message that asked for the attempt; `revision` is that message's.
    """

    delivery_id: UUID
    event_id: UUID
    kind: str
    type: str
    attempt: int
    at: AwareDatetime
    outcome: Outcome
    latency_ms: int
    status_code: int | None = None
    error: str | None = None
    response_excerpt: str = ""
    answer: Mapping[str, str]
    next_attempt_at: AwareDatetime | None = None
    round: int = 1
    revision: int = 1
    receipt_handle: str | None = None

    @staticmethod
    def from_json(body: str) -> "Attempt":
        """Read a message's body. Raises MessageError."""
        return contract.read(Attempt, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)


def read(body: str) -> Attempt | SourceChanged:
    """Read a message of the queue. Raises MessageError."""
    try:
        return Attempt.from_json(body)
    except MessageError:
        return SourceChanged.from_json(body)
