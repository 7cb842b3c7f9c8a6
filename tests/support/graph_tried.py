"""A calendar of Microsoft 365 for the table of cases: what the coach does there, by plain requests."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from fairslot.calendars.event_ids import event_id, key_of
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import AccessToken, EventKey
from fairslot.calendars.microsoft import BASE_URL, MicrosoftCalendar, calendar_path
from fairslot.calendars.microsoft_events import EXPAND, PROPERTY_ID
from tests.support.graph import Coach, written
from tests.support.tried_calendar import END, FIRST, SOURCE, ZONE, Foreign, LosesAnswers, Quality, Standing

_ONCE = Limits(attempts=1, answer_seconds=20.0)
_UTC = {"Prefer": 'outlook.timezone="UTC", IdType="ImmutableId"'}


class TriedGraph:
    """A calendar of a mailbox, as `TriedCalendar`."""

    name = "microsoft"
    recreates = False  # a transaction id stays known
    free_qualities: frozenset[Quality] = frozenset({"transparent", "cancelled", "declined"})
    # Somebody else has to invite the coach for these.
    cannot_have: frozenset[Quality] = frozenset({"cancelled", "declined"})

    def __init__(
        self, token: AccessToken, *, base_url: str = BASE_URL, calendar_id: str | None = None
    ) -> None:
        self._token = token
        self._base_url = base_url
        self._calendar_id = calendar_id
        self._made: list[str] = []

    def calendar(self, *, source_id: UUID = SOURCE, lost: int = 0) -> MicrosoftCalendar:
        """Return what the system uses."""
        return MicrosoftCalendar(
            token=self._token,
            source_id=source_id,
            zone=ZONE,
            calendar_id=self._calendar_id,
            base_url=self._base_url,
            limits=_ONCE if lost else None,
            transport=LosesAnswers(lost) if lost else None,
        )

    async def put_foreign(self, event: Foreign) -> None:
        """Create an event, and the exceptions of a series by the ids of its occurrences."""
        made = await self._create(_written(event))
        self._made.append(made["id"])
        series = event.series
        if series is None:
            return
        if series.left_out:
            await self._request("DELETE", await self._occurrence(made["id"], series.left_out))
        if series.moved:
            before, after = series.moved
            path = await self._occurrence(made["id"], before)
            await self._request("PATCH", path, body=_times(after, event.end - event.start + after))

    async def mine(self) -> list[Standing]:
        """Return the events with a key of ours."""
        return [one for one in map(standing, await self._view()) if one is not None]

    async def delete_mine(self, key: EventKey) -> None:
        """Delete the event."""
        await self._request("DELETE", await self._mine(key))

    async def move_mine(self, key: EventKey, start: datetime, end: datetime) -> None:
        """Change the event's times, and nothing else."""
        await self._request("PATCH", await self._mine(key), body=_times(start, end))

    async def clean(self) -> None:
        """Delete what was made."""
        ours = [one["id"] for one in await self._view() if standing(one)]
        for made in [*self._made, *ours]:
            await self._request("DELETE", _path(made))
        self._made.clear()

    async def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = await self._request("POST", f"{self._calendar}/events", body=body)
        return made

    async def _occurrence(self, series: str, start: datetime) -> str:
        """Return the path of the occurrence that a series has at a time."""
        wanted = f"{start.astimezone(UTC):%FT%T}"
        return next(
            _path(one["id"])
            for one in await self._view()
            if one.get("seriesMasterId") == series and one["start"]["dateTime"].startswith(wanted)
        )

    async def _mine(self, key: EventKey) -> str:
        return next(
            _path(one["id"]) for one in await self._view() if (ours := standing(one)) and ours.key == key
        )

    async def _view(self) -> list[dict[str, Any]]:
        """Return all single events of the time."""
        params = {
            "startDateTime": f"{FIRST}T00:00:00Z",
            "endDateTime": f"{END}T23:00:00Z",
            "$expand": EXPAND,
            "$top": "500",
        }
        answer = await self._request("GET", f"{self._calendar}/calendarView", params=params)
        found: list[dict[str, Any]] = answer["value"]
        return found

    @property
    def _calendar(self) -> str:
        return calendar_path(None, self._calendar_id)

    async def _request(self, method: str, path: str, *, body: Any = None, params: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {await self._token.get()}", **_UTC}
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            answer = await client.request(
                method, f"{self._base_url}/{path}", json=body, params=params, headers=headers
            )
        assert answer.is_success, (method, answer.status_code, answer.text)
        return answer.json() if answer.content else {}


class TriedStandin(TriedGraph):
    """A calendar at the stand-in, where somebody else invites the coach, and cancels."""

    cannot_have: frozenset[Quality] = frozenset()

    def __init__(self, coach: Coach) -> None:
        super().__init__(coach.token, base_url=coach.standin.api)
        self._coach = coach

    async def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._coach.standin.control("events", address=self._coach.address, event=body)
        return made


def _path(event: str) -> str:
    return f"me/events/{quote(event, safe='')}"


def _written(event: Foreign) -> dict[str, Any]:
    """Write an event as a client does, with the times on the clock of their zone."""
    of_quality: dict[Quality | None, dict[str, Any]] = {
        "tentative": {"showAs": "tentative"},
        "transparent": {"showAs": "free"},
        "cancelled": {"isCancelled": True},
        "declined": {"responseStatus": {"response": "declined", "time": "2027-03-01T00:00:00Z"}},
    }
    body = {"subject": "Somebody's life", **_times(event.start, event.end), "isAllDay": event.all_day}
    if event.series:
        limits = {
            "type": "numbered",
            "startDate": f"{event.start:%F}",
            "numberOfOccurrences": event.series.count,
            "recurrenceTimeZone": str(event.start.tzinfo),
        }
        body["recurrence"] = {"pattern": {"type": "daily", "interval": 1}, "range": limits}
    return body | of_quality.get(event.quality, {})


def _times(start: datetime, end: datetime) -> dict[str, Any]:
    zone = str(start.tzinfo)
    return {"start": written(start, zone), "end": written(end, zone)}


def standing(event: dict[str, Any]) -> Standing | None:
    """Return where an event of ours is; None for any other."""
    named = {one["id"]: one["value"] for one in event.get("singleValueExtendedProperties", [])}
    key = key_of(named.get(PROPERTY_ID))
    if key is None or event["transactionId"] != event_id(key):
        return None
    start, end = (
        datetime.fromisoformat(event[edge]["dateTime"]).replace(tzinfo=UTC) for edge in ("start", "end")
    )
    return Standing(key=key, title=event["subject"], start=start, end=end)
