"""From what is stored of a source to its calendar, whatever its kind: to read it or to write to it.

A kind with credentials or a parser is imported when a source has it: no cold start pays for the others.
"""

from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from fairslot.calendars.calendar_api import CalendarApi
from fairslot.calendars.interface import CalendarError, ExternalCalendar, WritableCalendar
from fairslot.messages.fetches import FetchRequest
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from fairslot.calendars.caldav import CaldavCalendar
    from fairslot.calendars.google import Google
    from fairslot.calendars.microsoft_opening import MicrosoftAccess


async def open_calendar(request: FetchRequest) -> ExternalCalendar:
    """Return the calendar to read. Raises CalendarError; `unknown_kind`."""
    if request.kind == "calendar_api":
        return CalendarApi(base_url=settings().calendar_api_url, coach_id=request.coach_id, zone=request.zone)
    if request.kind == "icalendar":
        # 90 ms of a cold start.
        from fairslot.calendars.icalendar_feed import IcalendarFeed

        return IcalendarFeed(url=request.url or "", zone=request.zone)
    if request.kind == "caldav" and request.source_id is not None:
        return await _caldav(
            request.url, request.calendar_ref, request.credentials, request.source_id, request.zone
        )
    if request.kind == "google" and request.source_id is not None:
        return await _google(request.calendar_ref, request.credentials, request.source_id)
    if request.kind == "microsoft" and request.source_id is not None:
        opened = await _microsoft(request.calendar_ref, request.credentials, request.source_id, request.zone)
        return opened.reading
    raise CalendarError("unknown_kind")


async def open_writable(
    *,
    kind: str,
    url: str | None,
    calendar_ref: str | None,
    credentials: str | None,
    source_id: UUID,
    zone: ZoneInfo,
) -> WritableCalendar:
    """Return the calendar of a source to write to. Raises CalendarError; `unknown_kind`.

    `credentials` are ciphertext, for the context {purpose: calendar, source_id}; `zone` is the coach's.
    """
    if kind == "caldav":
        return await _caldav(url, calendar_ref, credentials, source_id, zone, writes=True)
    if kind == "google":
        return await _google(calendar_ref, credentials, source_id)
    if kind == "microsoft":
        return (await _microsoft(calendar_ref, credentials, source_id, zone)).calendar
    raise CalendarError("unknown_kind")


async def _caldav(
    url: str | None,
    calendar_ref: str | None,
    credentials: str | None,
    source_id: UUID,
    zone: ZoneInfo,
    *,
    writes: bool = False,
) -> "CaldavCalendar":
    """Return the calendar that was chosen; else the one at the address, or the account's default."""
    from fairslot.calendars.caldav import CaldavCalendar
    from fairslot.calendars.caldav_account import Account
    from fairslot.calendars.caldav_discovery import choose, discover
    from fairslot.calendars.credentials import decrypted, text_of

    members = await decrypted(credentials, source_id)
    account = Account(
        address=url or "", user=text_of(members, "username"), password=text_of(members, "password")
    )
    chosen = calendar_ref or choose(await discover(account), writes=writes).url
    return CaldavCalendar(account=account, url=chosen, source_id=source_id, zone=zone)


async def _google(calendar_ref: str | None, credentials: str | None, source_id: UUID) -> "Google":
    from fairslot.calendars.google_opening import open_google

    opened = await open_google(calendar_ref=calendar_ref, credentials=credentials, source_id=source_id)
    return opened.calendar


async def _microsoft(
    calendar_ref: str | None, credentials: str | None, source_id: UUID, zone: ZoneInfo
) -> "MicrosoftAccess":
    from fairslot.calendars.microsoft_opening import open_microsoft

    return await open_microsoft(
        calendar_ref=calendar_ref, credentials=credentials, source_id=source_id, zone=zone
    )
