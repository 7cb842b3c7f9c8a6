"""Calendars of Microsoft 365 against the stand-in of Graph: pages, series, lost and late requests."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fairslot.calendars import access_tokens
from fairslot.calendars.interface import CalendarError, Event, EventKey, Free
from fairslot.domain.slots import Window, slot_of
from tests.support.graph import BERLIN, Coach, Standin, written

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)  # a Monday
APPOINTMENT = "0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22"


def free(coach: Coach, start: datetime = NINE, hours: int = 2, **more: object) -> Free:
    """Read some hours, in slots of a quarter."""
    return asyncio.run(coach.calendar(**more).free(Window(slot_of(start), 4 * hours)))


def event(coach: Coach, start: datetime = NINE, generation: int = 1) -> Event:
    """Make an event of an hour."""
    key = EventKey(appointment_id=coach.source_id, source_id=coach.source_id, generation=generation)
    return Event(key=key, start=start, end=start + HOUR, title="Booked: Intro call")


def put(coach: Coach, wanted: Event) -> str:
    """Write an event; return its id."""
    return asyncio.run(coach.calendar().put(wanted)).ref


def remove(coach: Coach, wanted: Event, ref: str | None = None) -> None:
    """Remove an event."""
    asyncio.run(coach.calendar().remove(wanted.key, ref))


def starts(coach: Coach) -> list[str]:
    """Return when the events of the mailbox start, in UTC."""
    return sorted(one["start"]["dateTime"] for one in coach.events)


def test_all_pages_count(graph: Standin) -> None:
    """Thirty events, three a page, of which the last is as busy as the first."""
    coach = graph.coach(page_size=3)
    for number in range(30):
        coach.add(NINE + number * HOUR, NINE + number * HOUR + HOUR / 2)
    calls = len(graph.calls)
    assert free(coach, hours=30).bits == int("0011" * 30, 2)
    assert len(graph.calls) - calls == 10


def test_a_series_keeps_its_hour_and_its_exceptions(graph: Standin) -> None:
    """Daily at ten in Berlin across the end of summer time, one moved, one left out."""
    coach = graph.coach()
    first = datetime(2026, 10, 23, 10, tzinfo=BERLIN)
    limits = {"type": "numbered", "startDate": "2026-10-23", "numberOfOccurrences": 4}
    pattern = {"pattern": {"type": "daily", "interval": 1}, "range": limits}
    series = coach.add(first, first + HOUR, BERLIN.key, recurrence=pattern)
    moved, left_out = f"events/{series['id']}.2026-10-24", f"events/{series['id']}.2026-10-26"
    later = {"start": written(first + DAY + HOUR), "end": written(first + DAY + 2 * HOUR)}
    assert coach.act("PATCH", moved, json=later).is_success
    assert coach.act("DELETE", left_out).is_success
    busy = [
        (day, hour)
        for day in range(23, 27)
        for hour in range(7, 11)
        if free(coach, datetime(2026, 10, day, hour, tzinfo=UTC), 1).bits == 0
    ]
    assert busy == [(23, 8), (24, 9), (25, 9)]


@pytest.mark.parametrize("transactions", ["same", "refused", "forgotten"])
def test_a_lost_answer_makes_no_second_event(graph: Standin, transactions: str) -> None:
    """Whatever Graph says to a transaction id that it knows."""
    coach = graph.coach(transactions=transactions)
    graph.once("lost", "POST", "/events")
    with pytest.raises(CalendarError):
        put(coach, event(coach))
    ref = put(coach, event(coach))
    assert put(coach, event(coach)) == ref
    assert [one["id"] for one in coach.events] == [ref]


def test_a_creation_that_comes_late_makes_no_second_event(graph: Standin) -> None:
    """Graph knows its transaction id."""
    coach = graph.coach()
    graph.once("late", "POST", "/events")
    with pytest.raises(CalendarError):
        put(coach, event(coach))
    put(coach, event(coach))
    assert graph.control("late") == {"statuses": [201]}
    assert len(coach.events) == 1


def test_a_move_that_comes_late_overtakes_nothing(graph: Standin) -> None:
    """It was for another version of the event."""
    coach = graph.coach()
    put(coach, event(coach))
    graph.once("late", "PATCH")
    with pytest.raises(CalendarError):
        put(coach, event(coach, NINE + HOUR))
    put(coach, event(coach, NINE + 2 * HOUR))
    assert graph.control("late") == {"statuses": [412]}
    assert starts(coach) == ["2026-11-30T11:00:00"]


def test_a_creation_that_comes_after_its_removal_is_seen_and_removed(graph: Standin) -> None:
    """It is an event of ours, whose key says whose."""
    coach, wanted = graph.coach(), None
    wanted = event(coach)
    graph.once("late", "POST", "/events")
    with pytest.raises(CalendarError):
        put(coach, wanted)
    remove(coach, wanted)
    graph.control("late")
    (seen,) = free(coach).own
    assert (seen.key, seen.start) == (wanted.key, NINE)
    remove(coach, wanted, seen.ref)
    assert coach.events == []


def test_a_removal_whose_answer_is_lost_is_repeated(graph: Standin) -> None:
    """What is gone is removed, with and without its id."""
    coach = graph.coach()
    wanted = event(coach)
    ref = put(coach, wanted)
    graph.once("lost", "DELETE")
    with pytest.raises(CalendarError):
        remove(coach, wanted, ref)
    remove(coach, wanted, ref)
    remove(coach, wanted)
    assert coach.events == []


@pytest.mark.parametrize("transactions", ["same", "refused"])
def test_what_the_coach_deleted_needs_another_generation(graph: Standin, transactions: str) -> None:
    """Its transaction id stays taken."""
    coach = graph.coach(transactions=transactions)
    coach.act("DELETE", f"events/{put(coach, event(coach))}")
    with pytest.raises(CalendarError, match="conflict"):
        put(coach, event(coach))
    put(coach, event(coach, generation=2))
    assert len(coach.events) == 1


def test_a_coach_who_moves_our_event_is_seen_and_not_met(graph: Standin) -> None:
    """And a copy of it is the coach's own time."""
    coach = graph.coach()
    ref = put(coach, event(coach))
    moved = {"start": written(NINE + HOUR), "end": written(NINE + 2 * HOUR)}
    graph.control("copies", address=coach.address, id=ref)
    coach.act("PATCH", f"events/{ref}", json=moved)
    found = free(coach)
    assert [(one.ref, one.start) for one in found.own] == [(ref, NINE + HOUR)]
    assert found.bits == 0b00001111


def test_two_who_write_at_once_make_one_event(graph: Standin) -> None:
    """Both look before either has written."""
    coach = graph.coach()
    graph.control("settings", request_seconds=0.2)

    async def both() -> list[str]:
        found = await asyncio.gather(*(coach.calendar().put(event(coach)) for _ in range(2)))
        return [one.ref for one in found]

    first, second = asyncio.run(both())
    assert first == second
    assert len(coach.events) == 1


def test_a_mailbox_answers_four_at_once(graph: Standin) -> None:
    """The fifth is asked to wait, which ends nothing."""
    coach = graph.coach()
    graph.control("settings", request_seconds=0.5)

    async def many() -> list[Free | BaseException]:
        reading = (coach.calendar().free(Window(slot_of(NINE), 4)) for _ in range(6))
        return await asyncio.gather(*reading, return_exceptions=True)

    asyncio.run(coach.token.get())
    refused = [one for one in asyncio.run(many()) if isinstance(one, CalendarError)]
    assert {(one.reason, one.after, one.ended) for one in refused} == {("rate_limited", 1.0, None)}
    assert len(refused) == 2


def test_what_graph_asks_to_wait_is_told(graph: Standin) -> None:
    """Of a quota, and of a service that is down."""
    coach = graph.coach()
    for status, reason in ((429, "rate_limited"), (503, "http_503"), (504, "http_504")):
        graph.once("refused", path="/calendarView", status=status, headers={"Retry-After": "120"})
        with pytest.raises(CalendarError) as raised:
            free(coach)
        assert (raised.value.reason, raised.value.after, raised.value.ended) == (reason, 120.0, None)
    graph.once("lost", path="/calendarView")
    with pytest.raises(CalendarError) as raised:
        free(coach)
    assert raised.value.ended is None


def test_an_access_token_that_ended_is_renewed_once(graph: Standin) -> None:
    """And the refresh token with it, which is good for one use."""
    coach = graph.coach()
    token = coach.token
    assert free(coach, token=token).bits == 0b11111111
    first = token.replaced
    graph.control("expire", address=coach.address)
    assert free(coach, token=token).bits == 0b11111111
    assert len({first, token.replaced, coach.given["refresh_token"]}) == 3
    # As in another process, which knows what was stored.
    again = replace(coach, given={"refresh_token": token.replaced or ""})
    access_tokens.clear_cache()
    assert free(again).bits == 0b11111111
    access_tokens.clear_cache()
    with pytest.raises(CalendarError, match="access_revoked"):
        free(replace(coach, given={"refresh_token": first or ""}))


def test_a_consent_that_ended_disconnects(graph: Standin) -> None:
    """By the provider's word; a token endpoint that fails does not."""
    coach = graph.coach()
    graph.once("refused", "POST", "/token", status=500)
    with pytest.raises(CalendarError, match="http_500") as raised:
        free(coach)
    assert raised.value.ended is None
    graph.control("revoke", address=coach.address)
    with pytest.raises(CalendarError, match="access_revoked") as raised:
        free(coach)
    assert raised.value.ended == "disconnected"


def test_who_may_not_write_cannot(graph: Standin) -> None:
    """A calendar that is only read is read."""
    coach = graph.coach(scopes=["Calendars.Read", "offline_access"])
    assert free(coach).bits == 0b11111111
    with pytest.raises(CalendarError, match="forbidden") as raised:
        put(coach, event(coach))
    assert raised.value.ended == "disconnected"


def test_a_calendar_that_is_not_there_ends_the_source(graph: Standin) -> None:
    """Another of the mailbox is read by its id."""
    coach = graph.coach()
    coach.add(NINE, NINE + HOUR)
    assert free(coach, calendar_id=coach.given["calendar_id"]).bits == 0b00001111
    with pytest.raises(CalendarError, match="not_found") as raised:
        free(coach, calendar_id="AAgone=")
    assert raised.value.ended == "unsupported"
    wanted = event(coach)
    asyncio.run(coach.calendar(calendar_id="AAgone=").remove(wanted.key, None))
