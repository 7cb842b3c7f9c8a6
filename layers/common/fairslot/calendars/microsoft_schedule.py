"""The free/busy times of a mailbox at Microsoft Graph, for grants that may not read events.

https://learn.microsoft.com/en-us/graph/api/calendar-getschedule, which personal accounts do not have. There
are no ids in it, so events of ours are as busy as others', and all-day events are in the mailbox's zone.
"""

from collections.abc import Iterator

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import AccessToken, CalendarError, Free
from fairslot.calendars.microsoft import BASE_URL, mailbox_path
from fairslot.calendars.microsoft_errors import by_code, microsoft_refusal
from fairslot.calendars.microsoft_events import Rules
from fairslot.calendars.microsoft_times import PREFER, GraphTime, in_utc, instants, touched
from fairslot.calendars.provider_api import Body, ProviderApi
from fairslot.domain.slots import SLOT_SECONDS, Window, instant_of

# Graph answers for less than 62 days at once.
MOST_SLOTS = 60 * 96
_FREE = {"free": "0", "workingElsewhere": "4"}


class _Item(BaseModel):
    model_config = ConfigDict(strict=True)

    status: str | None = None
    start: GraphTime
    end: GraphTime


class _Error(BaseModel):
    model_config = ConfigDict(strict=True)

    code: str | None = Field(None, alias="responseCode")


class _Schedule(BaseModel):
    model_config = ConfigDict(strict=True)

    address: str = Field(alias="scheduleId")
    view: str | None = Field(None, alias="availabilityView")
    items: list[_Item] | None = Field(None, alias="scheduleItems")
    error: _Error | None = None


class _Schedules(BaseModel):
    model_config = ConfigDict(strict=True)

    value: list[_Schedule]


class MicrosoftSchedule:
    """When one mailbox is busy; nothing is known of its events."""

    def __init__(
        self,
        *,
        token: AccessToken,
        address: str,
        app_only: bool = False,
        rules: Rules | None = None,
        base_url: str = BASE_URL,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the address of the mailbox, and whether the token is an application's and not a user's."""
        self._address = address
        self._path = f"{mailbox_path(address if app_only else None)}/calendar/getSchedule"
        self._rules = rules or Rules()
        self._api = ProviderApi(
            base_url=base_url, token=token, refusal=microsoft_refusal, limits=limits, transport=transport
        )

    async def free(self, window: Window) -> Free:
        """Return every slot in which the mailbox is free. Raises CalendarError."""
        bits = 0
        for part in _parts(window):
            bits |= await self._free(part) << window.end_slot - part.end_slot
        return Free(bits, sees_own=False)

    async def _free(self, window: Window) -> int:
        body = {
            "schedules": [self._address],
            "startTime": in_utc(instant_of(window.first_slot)),
            "endTime": in_utc(instant_of(window.end_slot)),
            "availabilityViewInterval": SLOT_SECONDS // 60,
        }
        answer = await self._api.request("POST", self._path, headers={"Prefer": PREFER}, body=body)
        found = self._schedule(answer.body)
        if found.error is not None:
            # What the code does not explain is Exchange's own failure, which may pass.
            raise by_code(found.error.code or "") or CalendarError("http_500")
        if found.view is None or len(found.view) != window.slot_count:
            raise CalendarError("invalid_body")
        elsewhere = self._rules.working_elsewhere_is_busy
        free_digits = {"0"} if elsewhere else set(_FREE.values())
        free_statuses = {"free"} if elsewhere else set(_FREE)
        bits = int("".join("1" if digit in free_digits else "0" for digit in found.view) or "0", 2)
        # The view counts working elsewhere as free, whatever the coach says of it.
        for item in found.items or ():
            if item.status not in free_statuses:
                bits &= ~window.bits(*touched(*instants(item.start, item.end)))
        return bits

    def _schedule(self, body: Body) -> _Schedule:
        """Return what the answer says of the one address that it was asked about."""
        try:
            (found,) = _Schedules.model_validate(body).value
        except (ValidationError, ValueError):
            raise CalendarError("invalid_body") from None
        if found.address.casefold() != self._address.casefold():
            raise CalendarError("invalid_body")
        return found


def _parts(window: Window) -> Iterator[Window]:
    """Yield the window in parts that Graph answers for at once."""
    for first in range(window.first_slot, window.end_slot, MOST_SLOTS):
        yield Window(first, min(MOST_SLOTS, window.end_slot - first))
