"""The calendar API: a list of free half hours, each starting a quarter after the one before it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from fairslot.calendars.fetch import fetch
from fairslot.calendars.interface import CalendarError, Free
from fairslot.domain.slots import Window, date_of, slot_from, slot_of

# The API's address is the operator's own.
_trusting = partial(fetch, trusted=True)


class _Entry(BaseModel):
    """A period that is free as a whole, or is not."""

    model_config = ConfigDict(strict=True)

    start_time: AwareDatetime
    end_time: AwareDatetime
    available: bool


class _Availability(BaseModel):
    model_config = ConfigDict(strict=True)

    coach_id: str
    slots: list[_Entry]


class CalendarApi:
    """One coach's calendar at the calendar API."""

    def __init__(
        self,
        *,
        base_url: str,
        coach_id: str,
        zone: ZoneInfo,
        read: Callable[..., Awaitable[bytes]] = _trusting,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the API's address, the coach and their time zone; `read` has the shape of `fetch`."""
        self._url = f"{base_url.rstrip('/')}/coaches/{quote(coach_id, safe='')}/availability"
        self._coach_id = coach_id
        self._zone = zone
        self._read = read
        self._now = now

    async def free(self, window: Window) -> Free:
        """Return the slots that lie in an available entry as a whole.

        An entry that is not available says nothing about either half: others overlap it.
        """
        days = str(self._days(window))
        body = await self._read(self._url, params={"days": days}, accept="application/json")
        bits = 0
        for entry in self._entries(body):
            if entry.available:
                bits |= window.bits(slot_from(entry.start_time), slot_of(entry.end_time))
        return Free(bits)

    def _days(self, window: Window) -> int:
        """Return the number of days from today to the window's end; the API counts today as the first."""
        today = self._now().astimezone(self._zone).date()
        last = date_of(self._zone, window.end_slot - 1)
        return max((last - today).days, 0) + 1

    def _entries(self, body: bytes) -> list[_Entry]:
        try:
            answer = _Availability.model_validate_json(body)
        except ValidationError:
            raise CalendarError("invalid_body") from None
        is_sane = all(entry.start_time < entry.end_time for entry in answer.slots)
        if answer.coach_id != self._coach_id or not is_sane:
            raise CalendarError("invalid_body")
        return answer.slots
