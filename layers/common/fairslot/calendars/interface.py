"""What every kind of external calendar offers, and how reading one can fail."""

from dataclasses import dataclass
from typing import Protocol

from fairslot.domain.slots import Window


class CalendarError(Exception):
    """The calendar could not be read; `reason` is a stable word for the record.

    timeout, connection, http_503 (any status), invalid_url, blocked_address, too_many_redirects,
    invalid_body, too_large, too_complex, unknown_kind.
    """

    def __init__(self, reason: str) -> None:
        """Keep the word alone: the causes' texts can quote addresses and what is in a calendar."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Free:
    """What a calendar leaves free: the bits of a window, first slot highest, 1 where it allows all of a slot.

    `unreadable` is how many of its events could not be read wholly; what they may take is not free.
    """

    bits: int
    unreadable: int = 0


class ExternalCalendar(Protocol):
    """A coach's calendar outside this system."""

    async def free(self, window: Window) -> Free:
        """Return what the calendar leaves free of the window.

        What cannot be read raises CalendarError and is never shown as free, nor as an empty calendar.
        """
