"""The interface of every kind of external calendar, and the error of reading one."""

from dataclasses import dataclass
from typing import Protocol

from fairslot.domain.slots import Window


class CalendarError(Exception):
    """The calendar could not be read; `reason` is a stable code.

    timeout, connection, http_503 (any status), invalid_url, blocked_address, too_many_redirects,
    invalid_body, too_large, too_complex, unknown_kind.
    """

    def __init__(self, reason: str) -> None:
        """Take the code alone: the texts of causes can quote addresses and calendar entries."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Free:
    """What a calendar leaves free: the bits of a window, first slot highest, 1 where all of a slot is free.

    `unreadable` is how many events could not be read fully; the time that they may take is not free.
    """

    bits: int
    unreadable: int = 0


class ExternalCalendar(Protocol):
    """A coach's calendar outside this system."""

    async def free(self, window: Window) -> Free:
        """Return what the calendar leaves free of the window.

        A calendar that cannot be read raises CalendarError; it never counts as free or empty.
        """
