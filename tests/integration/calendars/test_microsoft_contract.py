"""Our requests and the stand-in's answers have no member, type or word that Microsoft's SDK does not know."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from fairslot.calendars.interface import CalendarError, Event, EventKey
from fairslot.calendars.microsoft_schedule import MicrosoftSchedule
from fairslot.calendars.microsoft_subscriptions import MicrosoftSubscriptions
from fairslot.calendars.push_secret import Channel
from fairslot.domain.slots import Window, slot_of
from tests.support.graph import LIMITS, SECRETS, Coach, Standin, Told
from tests.support.graph_contract import Listening, held, problems

NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(slot_of(NINE), 96)


async def read_and_write(coach: Coach, heard: Listening) -> None:
    """Read a calendar of all kinds of events in pages, write to it, and be refused."""
    calendar = coach.calendar(transport=heard)
    key = EventKey(appointment_id=coach.source_id, source_id=coach.source_id)
    event = Event(key=key, start=NINE, end=NINE + HOUR, title="Booked: Intro call")
    await calendar.put(event)
    await calendar.put(Event(key=key, start=NINE + HOUR, end=NINE + 2 * HOUR, title=event.title))
    await calendar.free(WINDOW)
    await calendar.remove(key, None)
    with suppress(CalendarError):
        await calendar.put(event)
    with suppress(CalendarError):
        await coach.calendar(transport=heard, calendar_id="AAgone=").free(WINDOW)


async def ask_schedules(coach: Coach, heard: Listening) -> None:
    """Ask for free/busy times, also of nobody's."""
    for address in (coach.address, "nobody@example.com"):
        opened = MicrosoftSchedule(
            token=coach.token, address=address, base_url=coach.standin.api, limits=LIMITS, transport=heard
        )
        with suppress(CalendarError):
            await opened.free(WINDOW)


async def subscribe(coach: Coach, heard: Listening, address: Told) -> None:
    """Subscribe, renew, and stop."""
    opened = MicrosoftSubscriptions(
        token=coach.token, secrets=SECRETS, base_url=coach.standin.api, limits=LIMITS, transport=heard
    )
    channel = Channel(provider="microsoft", source_id=coach.source_id, generation=1)
    made = await opened.watch(channel, address=address.url)
    await opened.renew(made)
    await opened.stop(made)
    await opened.renew(made)


def test_what_is_said_is_as_the_models_say(graph: Standin, address: Told) -> None:
    """Of every call that is made, with answers of every kind; of notifications the SDK has no model."""
    coach, heard = graph.coach(page_size=2), Listening()
    for shown in ("free", "tentative", "busy", "oof", "workingElsewhere", "unknown"):
        coach.add(NINE, NINE + HOUR, showAs=shown)
    limits = {"type": "numbered", "startDate": "2026-11-30", "numberOfOccurrences": 3}
    pattern = {"pattern": {"type": "daily", "interval": 1}, "range": limits}
    midnight = NINE - 9 * HOUR
    coach.add(midnight, midnight + 24 * HOUR, isAllDay=True, recurrence=pattern)
    asyncio.run(read_and_write(coach, heard))
    asyncio.run(ask_schedules(coach, heard))
    asyncio.run(subscribe(coach, heard, address))
    whole = [*coach.events, coach.act("GET", "calendars").json()]
    asked = [
        *held(heard.said),
        *({"model": "Event", "body": _public(one)} for one in whole[:-1]),
        {"model": "CalendarCollectionResponse", "body": whole[-1]},
    ]
    assert {one.request.method for one in heard.said} == {"GET", "POST", "PATCH", "DELETE"}
    found = problems(asked)
    assert [(one["model"], each) for one, each in zip(asked, found, strict=True) if each] == []


def test_what_the_models_do_not_know_is_found() -> None:
    """Members, types and words."""
    wrong: dict[str, dict[str, object]] = {
        'showAs: "away" is not taken': {"showAs": "away"},
        'isAllDay: "no" is not taken': {"isAllDay": "no"},
        "start.zone: not a member": {"start": {"dateTime": "2026-11-30T09:00:00", "zone": "UTC"}},
        "colour: not a member": {"colour": "red"},
    }
    asked: list[dict[str, object]] = [{"model": "Event", "body": body} for body in wrong.values()]
    asked.append({"model": "Event", "names": ["showAs", "shownAs"]})
    found = problems(asked)
    assert all(said in each for said, each in zip(wrong, found, strict=False))
    assert found[-1] == ["shownAs: not a member"]


def _public(event: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if not name.startswith("_")}
