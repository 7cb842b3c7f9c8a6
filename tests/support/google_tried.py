"""A calendar at Google for the table of cases: what the coach does there, by plain requests."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx

from fairslot.calendars.event_ids import PROPERTY, event_id, key_of
from fairslot.calendars.fetch import Limits
from fairslot.calendars.google import BASE_URL, PRIMARY, Google
from fairslot.calendars.interface import AccessToken, EventKey
from tests.support.tried_calendar import END, FIRST, SOURCE, ZONE, Foreign, LosesAnswers, Quality, Standing

_ONCE = Limits(attempts=1, answer_seconds=20.0)


class TriedGoogle:
    """A calendar of an account, as `TriedCalendar`; `email` is the account's."""

    name = "google"
    recreates = False  # a deleted event keeps its id
    free_qualities: frozenset[Quality] = frozenset({"transparent", "cancelled", "declined"})
    cannot_have: frozenset[Quality] = frozenset()

    def __init__(
        self, token: AccessToken, email: str, *, base_url: str = BASE_URL, calendar_id: str = PRIMARY
    ) -> None:
        self._token = token
        self._email = email
        self._base_url = base_url
        self._calendar_id = calendar_id
        self._made: list[str] = []

    def calendar(self, *, source_id: UUID = SOURCE, lost: int = 0) -> Google:
        """Return what the system uses."""
        return Google(
            token=self._token,
            source_id=source_id,
            calendar_id=self._calendar_id,
            base_url=self._base_url,
            limits=_ONCE if lost else None,
            transport=LosesAnswers(lost) if lost else None,
        )

    async def put_foreign(self, event: Foreign) -> None:
        """Create an event; a series' exception by the id of its occurrence."""
        series = event.series
        rules = [f"RRULE:FREQ=DAILY;COUNT={series.count}"] if series else []
        if series and series.left_out:
            rules.append(f"EXDATE;TZID={ZONE.key}:{series.left_out:%Y%m%dT%H%M%S}")
        made = await self._request("POST", body={**_written(event, self._email), "recurrence": rules})
        self._made.append(made["id"])
        if event.quality == "cancelled":
            await self._request("DELETE", made["id"])
        if series and series.moved:
            before, after = series.moved
            occurrence = f"{made['id']}_{before.astimezone(UTC):%Y%m%dT%H%M%SZ}"
            await self._request("PATCH", occurrence, body=_times(after, event.end - event.start + after))

    async def mine(self) -> list[Standing]:
        """Return the events with a key of ours."""
        params = {
            "singleEvents": "true",
            "maxResults": "2500",
            "timeMin": datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=ZONE).isoformat(),
            "timeMax": datetime(END.year, END.month, END.day, tzinfo=ZONE).isoformat(),
        }
        found = (await self._request("GET", params=params)).get("items", [])
        return [one for one in map(standing, found) if one is not None]

    async def delete_mine(self, key: EventKey) -> None:
        """Delete the event."""
        await self._request("DELETE", event_id(key))

    async def move_mine(self, key: EventKey, start: datetime, end: datetime) -> None:
        """Change the event's times, and nothing else."""
        await self._request("PATCH", event_id(key), body=_times(start, end))

    async def clean(self) -> None:
        """Delete what was made."""
        for made in [*self._made, *(event_id(one.key) for one in await self.mine())]:
            await self._request("DELETE", made)
        self._made.clear()

    async def _request(self, method: str, path: str = "", *, body: Any = None, params: Any = None) -> Any:
        url = f"{self._base_url}/calendars/{quote(self._calendar_id, safe='')}/events"
        headers = {"Authorization": f"Bearer {await self._token.get()}"}
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            answer = await client.request(
                method, f"{url}/{path}".rstrip("/"), json=body, params=params, headers=headers
            )
        assert answer.is_success or answer.status_code == 410, (method, answer.status_code, answer.text)
        return answer.json() if answer.content else {}


def _written(event: Foreign, email: str) -> dict[str, Any]:
    """Write an event as a client does, with the times on the clock of their zone."""
    if event.all_day:
        whole = {"start": {"date": f"{event.start:%F}"}, "end": {"date": f"{event.end:%F}"}}
    else:
        whole = _times(event.start, event.end)
    of_quality: dict[Quality | None, dict[str, Any]] = {
        "tentative": {"status": "tentative"},
        "transparent": {"transparency": "transparent"},
        "declined": {"attendees": [{"email": email, "responseStatus": "declined"}]},
    }
    return {"summary": "Somebody's life", **whole, **of_quality.get(event.quality, {})}


def _times(start: datetime, end: datetime) -> dict[str, Any]:
    zone = str(start.tzinfo)
    return {
        name: {"dateTime": f"{moment:%FT%T}", "timeZone": zone}
        for name, moment in (("start", start), ("end", end))
    }


def _instant(given: dict[str, str]) -> datetime:
    moment = datetime.fromisoformat(given["dateTime"])
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(given["timeZone"]))


def standing(event: dict[str, Any]) -> Standing | None:
    """Return where an event of ours is; None for any other."""
    key = key_of(event.get("extendedProperties", {}).get("private", {}).get(PROPERTY))
    if key is None or event["id"] != event_id(key):
        return None
    start, end = (_instant(event[name]) for name in ("start", "end"))
    return Standing(key=key, title=event["summary"], start=start, end=end)
