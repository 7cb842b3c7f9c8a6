"""What SQS set aside in a dead-letter queue: read it, take away what is settled, show the rest again."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fairslot.domain.errors import QueueError
from fairslot.platform import queue

# Longer than most readings take. It ends what is held by a reader that died.
HIDE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message as it was set aside, and the handle to take it away by."""

    handle: str
    body: str


class Reading:
    """One reading of a dead-letter queue, as a context; each message is in it once.

    What was read and not taken away is hidden from other readers until the context ends, however it ends.
    """

    def __init__(self, queue_url: str) -> None:
        """Take the queue's address."""
        self._url = queue_url
        self._seen: set[str] = set()
        # By message: a message that is received again has another handle, and the one before may be void.
        self._held: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make visible what stays."""
        # What this fails for is visible after HIDE_SECONDS, or is so already.
        with suppress(QueueError):
            queue.postpone(self._url, [(handle, 0) for handle in self._held.values()])

    def batches(self, *, limit: int, until: float | None = None) -> Iterator[list[DeadLetter]]:
        """Yield the messages, up to ten at a time and about `limit` in all.

        `until` is the instant of the monotonic clock after which no more are asked for.
        """
        for _ in range(-(-limit // queue.BATCH_ENTRIES)):
            if until is not None and time.monotonic() >= until:
                return
            found = queue.receive(self._url, hide_seconds=HIDE_SECONDS)
            if not found:
                return
            # In a long reading the first ones are visible again before its end, and come in any order.
            fresh = [one for one in found if one["MessageId"] not in self._seen]
            self._seen |= {one["MessageId"] for one in fresh}
            self._held |= {one["MessageId"]: one["ReceiptHandle"] for one in found}
            if fresh:
                yield [DeadLetter(handle=one["ReceiptHandle"], body=one["Body"]) for one in fresh]

    def delete(self, handles: Sequence[str]) -> None:
        """Take messages away; one that SQS does not take away stays, and is settled the next time."""
        kept: set[str] = set()
        try:
            queue.delete(self._url, handles)
        except QueueError as error:
            kept = {handles[position] for position in error.untaken}
        gone = set(handles) - kept
        self._held = {message: handle for message, handle in self._held.items() if handle not in gone}

    def hidden_elsewhere(self) -> int:
        """Return about how many messages are hidden at the moment and not by this reading."""
        return max(queue.in_flight(self._url) - len(self._held), 0)
