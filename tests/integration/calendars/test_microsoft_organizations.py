"""Whole organizations at Microsoft: an application's own token, and free/busy times without events."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fairslot.calendars.interface import CalendarError, Event, EventKey
from fairslot.calendars.microsoft_application import Certificate
from fairslot.calendars.microsoft_schedule import MicrosoftSchedule
from fairslot.domain.slots import Window, slot_of
from tests.support.graph import LIMITS, Coach, Standin
from tests.support.graph_certificate import new_certificate, trust

HOUR = timedelta(hours=1)
NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(slot_of(NINE), 8)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    """Make a certificate of the application's."""
    return new_certificate()


def schedule(coach: Coach, **more: object) -> MicrosoftSchedule:
    """Open the free/busy times of a coach."""
    opened = {"token": coach.token, "address": coach.address, "base_url": coach.standin.api, "limits": LIMITS}
    return MicrosoftSchedule(**opened | more)  # type: ignore[arg-type]


def test_an_application_reads_and_writes_a_mailbox(graph: Standin) -> None:
    """By its secret, without the coach; one token serves all of the organization."""
    token = graph.application().token()
    calls = sum("/token" in one for one in graph.calls)
    for coach in (graph.coach(), graph.coach()):
        coach.add(NINE + HOUR, NINE + 2 * HOUR)
        calendar = coach.calendar(token=token, mailbox=coach.address)
        key = EventKey(appointment_id=coach.source_id, source_id=coach.source_id)
        asyncio.run(calendar.put(Event(key=key, start=NINE, end=NINE + HOUR, title="Booked: Intro call")))
        found = asyncio.run(calendar.free(WINDOW))
        assert (found.bits, [one.key for one in found.own]) == (0b11110000, [key])
    assert calls == sum("/token" in one for one in graph.calls)


def test_an_application_is_proven_by_its_certificate(graph: Standin, certificate: Certificate) -> None:
    """And by no other."""
    application = graph.application(certificate=certificate)
    with pytest.raises(CalendarError, match="unauthorized") as raised:
        asyncio.run(application.grant())
    assert (raised.value.ended, raised.value.after) == (None, 3600.0)
    trust(graph, certificate)
    assert asyncio.run(application.grant()).access_token
    with pytest.raises(CalendarError, match="unauthorized"):
        asyncio.run(graph.application(certificate=certificate, now=lambda: 0.0).grant())
    broken = Certificate(certificate=certificate.certificate, private_key="no key")
    with pytest.raises(CalendarError, match="unauthorized"):
        asyncio.run(graph.application(certificate=broken).grant())


def test_a_wrong_secret_is_the_operators_to_mend(graph: Standin) -> None:
    """No coach is disconnected for it."""
    with pytest.raises(CalendarError, match="unauthorized") as raised:
        asyncio.run(graph.application(client_secret="wrong").grant())
    assert (raised.value.ended, raised.value.after) == (None, 3600.0)


def test_a_mailbox_that_the_application_may_not_open_is_disconnected(graph: Standin) -> None:
    """An administrator says which it may."""
    coach = graph.coach(by_application=False)
    calendar = coach.calendar(token=graph.application().token(), mailbox=coach.address)
    with pytest.raises(CalendarError, match="forbidden") as raised:
        asyncio.run(calendar.free(WINDOW))
    assert raised.value.ended == "disconnected"


@pytest.mark.parametrize("app_only", [False, True])
def test_free_busy_times_are_enough_for_the_busy(graph: Standin, *, app_only: bool) -> None:
    """With the least that can be allowed, which opens no event's properties."""
    coach = graph.coach(scopes=["Calendars.ReadBasic", "offline_access"])
    for shown, start in (("tentative", 0), ("free", 1), ("workingElsewhere", 2), ("oof", 3)):
        coach.add(NINE + start * HOUR / 2, NINE + (start + 1) * HOUR / 2, showAs=shown)
    more = {"token": graph.application().token()} if app_only else {}
    assert asyncio.run(schedule(coach, app_only=app_only, **more).free(WINDOW)).bits == 0b00111100
    with pytest.raises(CalendarError, match="forbidden"):
        asyncio.run(coach.calendar().free(WINDOW))


def test_a_long_time_is_asked_for_in_parts(graph: Standin) -> None:
    """Graph refuses 62 days, and a busy hour of the last day is found."""
    coach = graph.coach()
    days = 100
    last = NINE + timedelta(days=days) - HOUR
    coach.add(last, last + HOUR)
    window = Window(slot_of(NINE), days * 96)
    assert asyncio.run(schedule(coach).free(window)).bits == (1 << days * 96) - 0b10000


def test_an_address_that_nobody_has_is_not_free(graph: Standin) -> None:
    """It is an error inside a 200."""
    coach = graph.coach()
    with pytest.raises(CalendarError, match="not_found") as raised:
        asyncio.run(schedule(coach, address="nobody@example.com").free(WINDOW))
    assert raised.value.ended == "unsupported"
