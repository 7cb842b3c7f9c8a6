"""A CalDAV calendar for the table of cases: what a client of the coach writes, as text by plain requests."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
from icalendar import Calendar, Component
from icalendar import Event as Entry

from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.caldav_account import Account
from fairslot.calendars.event_ids import key_of
from fairslot.calendars.feed_text import OWN_KEY
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import EventKey
from tests.support.caldav_servers import request
from tests.support.tried_calendar import SOURCE, ZONE, Foreign, LosesAnswers, Quality, Standing

_ONCE = Limits(attempts=1, answer_seconds=20.0)


class TriedCaldav:
    """The calendar at an address, as `TriedCalendar`."""

    recreates = True  # a server forgets what it deleted
    # Nothing in an object says which of its attendees the coach is.
    free_qualities: frozenset[Quality] = frozenset({"transparent", "cancelled"})
    cannot_have: frozenset[Quality] = frozenset()

    def __init__(self, name: str, account: Account, url: str) -> None:
        self.name = name
        self._account = account
        self._url = url
        self._made: list[str] = []

    def calendar(self, *, source_id: UUID = SOURCE, lost: int = 0) -> CaldavCalendar:
        """Return what the system uses."""
        return CaldavCalendar(
            account=self._account,
            url=self._url,
            source_id=source_id,
            zone=ZONE,
            limits=_ONCE if lost else None,
            transport=LosesAnswers(lost) if lost else None,
        )

    async def put_foreign(self, event: Foreign) -> None:
        """Put an object as a client does: times with their zone, and all of a series in one object."""
        uid = str(uuid4())
        url = f"{self._url}{uid}.ics"
        self._made.append(url)
        self._request("PUT", url, content=text_of(event, uid), headers={"Content-Type": "text/calendar"})

    async def mine(self) -> list[Standing]:
        """Return the events with a key of ours."""
        return [_standing(key, entry) for _, key, _, entry in self._ours()]

    async def delete_mine(self, key: EventKey) -> None:
        """Delete the object."""
        for url, found, _, _ in [*self._ours()]:
            if found == key:
                self._request("DELETE", url)

    async def move_mine(self, key: EventKey, start: datetime, end: datetime) -> None:
        """Change the times of the object, in the coach's zone, and nothing else."""
        for url, found, calendar, entry in [*self._ours()]:
            if found == key:
                for name, moment in (("DTSTART", start), ("DTEND", end)):
                    entry.pop(name)
                    entry.add(name, moment)
                calendar.add_missing_timezones()
                self._request(
                    "PUT", url, content=calendar.to_ical(), headers={"Content-Type": "text/calendar"}
                )

    async def clean(self) -> None:
        """Remove what was made."""
        for url in [*self._made, *(url for url, _, _, _ in self._ours())]:
            self._request("DELETE", url, also=404)
        self._made.clear()

    def _ours(self) -> Iterator[tuple[str, EventKey, Calendar, Component]]:
        for url in self._listed():
            answer = self._request("GET", url, also=404)
            if not answer.is_success:
                continue  # deleted since
            calendar = Calendar.from_ical(answer.text)
            for entry in calendar.walk("VEVENT"):
                key = key_of(str(entry.get(OWN_KEY, "")).lower())
                if key is not None:
                    yield url, key, calendar, entry

    def _listed(self) -> list[str]:
        answer = self._request("PROPFIND", self._url, headers={"Depth": "1"}).text
        paths = (piece.partition("</")[0] for piece in answer.split("href>")[1::2])
        return [str(httpx.URL(self._url).join(path)) for path in paths if path.endswith(".ics")]

    def _request(self, method: str, url: str, *, also: int = 200, **more: object) -> httpx.Response:
        auth = (self._account.user, self._account.password)
        answer = request(method, url, auth=auth, **more)
        assert answer.is_success or answer.status_code == also, (method, answer.status_code, answer.text)
        return answer


def text_of(event: Foreign, uid: str) -> bytes:
    """Write an event as a client does."""
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//A client//EN")
    calendar.add_component(_entry(event, uid, event.start))
    series = event.series
    if series is not None:
        (first,) = calendar.walk("VEVENT")
        first.add("RRULE", {"FREQ": "DAILY", "COUNT": series.count})
        if series.left_out is not None:
            first.add("EXDATE", series.left_out)
        if series.moved is not None:
            before, after = series.moved
            exception = _entry(event, uid, after)
            exception.add("RECURRENCE-ID", before)
            calendar.add_component(exception)
    if not event.all_day:
        calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _entry(event: Foreign, uid: str, start: datetime) -> Entry:
    entry = Entry()
    entry.add("UID", uid)
    entry.add("DTSTAMP", datetime.now(UTC))
    entry.add("SUMMARY", "Somebody's life")
    end = event.end - event.start + start
    entry.add("DTSTART", start.date() if event.all_day else start)
    entry.add("DTEND", end.date() if event.all_day else end)
    if event.quality in {"tentative", "cancelled"}:
        entry.add("STATUS", event.quality.upper())
    if event.quality == "transparent":
        entry.add("TRANSP", "TRANSPARENT")
    if event.quality == "declined":
        entry.add("ORGANIZER", "mailto:somebody@example.com")
        entry.add("ATTENDEE", "mailto:coach@example.com", parameters={"PARTSTAT": "DECLINED"})
    return entry


def _standing(key: EventKey, entry: Component) -> Standing:
    start, end = (entry.decoded(name) for name in ("DTSTART", "DTEND"))
    return Standing(key=key, title=str(entry["SUMMARY"]), start=start, end=end)
