"""From what is stored of a source to its calendar at Microsoft: a coach consented, or an organization did."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fairslot.calendars import access_tokens, reading
from fairslot.calendars.interface import CalendarError, Event, EventKey
from fairslot.calendars.microsoft_opening import open_microsoft
from fairslot.calendars.opening import open_writable
from fairslot.calendars.push_secret import Channel
from fairslot.domain.slots import Window, slot_of
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import Reading
from fairslot.platform import signing_secrets
from local.calendar_standins import MicrosoftStandin
from tests.support.environment import set_environment
from tests.support.graph import BERLIN, OPERATOR, SECRETS, Coach, Standin, Told
from tests.support.graph_certificate import new_certificate, trust

HOUR = timedelta(hours=1)
NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(slot_of(NINE), 8)
SCOPES = ["Calendars.ReadWrite"]


@pytest.fixture(autouse=True)
def deployment(graph: Standin, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A deployment with an application at Microsoft, and a key that opens what was written backwards."""
    access_tokens.clear_cache()
    known = {
        "MICROSOFT_CLIENT_ID": OPERATOR.client_id,
        "MICROSOFT_CLIENT_SECRET": OPERATOR.client_secret,
        "MICROSOFT_ACCOUNTS_URL": graph.url,
        "MICROSOFT_API_URL": graph.api,
    }
    set_environment(monkeypatch, known)
    monkeypatch.setattr(signing_secrets, "decrypt", lambda text, context: text[::-1])
    return monkeypatch


def locked(**members: Any) -> str:
    """Lock credentials up."""
    return json.dumps(members)[::-1]


def consented(coach: Coach, *scopes: str) -> str:
    """Lock what a consent gave up."""
    return locked(refresh_token=coach.given["refresh_token"], scopes=list(scopes or SCOPES))


def read(
    source_id: UUID, credentials: str | None, calendar_ref: str | None = None, *, window: Window = WINDOW
) -> Reading:
    """Read a source's calendar as the function does that reads calendars."""
    request = FetchRequest(
        coach_id="coach-1",
        kind="microsoft",
        time_zone="Europe/Berlin",
        first_slot=window.first_slot,
        slot_count=window.slot_count,
        requested_at="2026-11-29T09:00:00Z",
        source_id=source_id,
        generation=1,
        calendar_ref=calendar_ref,
        credentials=credentials,
    )
    return asyncio.run(reading.read(request, seconds=10))


def bits(found: Reading) -> str:
    """Write what was found free."""
    assert found.free is not None, found.error
    return f"{found.free.bits:08b}"


def busy(graph: Standin, **more: Any) -> Coach:
    """Add a coach who is busy for the first hour."""
    coach = graph.coach(**more)
    coach.add(NINE, NINE + HOUR)
    return coach


def test_a_consent_reads_and_writes(graph: Standin) -> None:
    """The default calendar, where none was chosen."""
    coach = busy(graph)
    assert bits(read(coach.source_id, consented(coach))) == "00001111"
    # A refresh token is good for one use here; what replaced it is remembered.
    calendar = asyncio.run(
        open_writable(
            kind="microsoft",
            url=None,
            calendar_ref=coach.given["calendar_id"],
            credentials=consented(coach),
            source_id=coach.source_id,
            zone=BERLIN,
        )
    )
    key = EventKey(appointment_id=uuid4(), source_id=coach.source_id)
    asyncio.run(calendar.put(Event(key=key, start=NINE, end=NINE + HOUR, title="Booked: Intro call")))
    assert len(coach.events) == 2


def test_the_demo_coach_is_read(graph: Standin) -> None:
    """As `make run` stores it; whoever reads it uses the same refresh token."""
    demo = MicrosoftStandin().coach(graph.url)
    morning = Window(slot_of(NINE + 5 * HOUR), 8)  # from nine in New York
    for _ in range(2):
        access_tokens.clear_cache()
        found = read(uuid4(), locked(**demo.credentials), window=morning)
        assert bits(found) == "11110011"


def test_a_calendar_that_was_chosen_is_read(graph: Standin) -> None:
    """By its id, and no other."""
    coach = busy(graph)
    assert bits(read(coach.source_id, consented(coach), coach.given["calendar_id"])) == "00001111"
    found = read(coach.source_id, consented(coach), "AAgone=")
    assert (found.error, found.ended) == ("not_found", "unsupported")


def test_scopes_of_the_basics_alone_ask_for_no_events(graph: Standin) -> None:
    """As they were granted when the calendar was connected; whose it is the source says."""
    coach = busy(graph, scopes=["Calendars.ReadBasic", "offline_access"])
    basic = "https://graph.microsoft.com/Calendars.ReadBasic"
    assert bits(read(coach.source_id, consented(coach, basic, "openid"), coach.address)) == "00001111"
    assert graph.calls[-1] == "POST /me/calendar/getSchedule"
    found = read(coach.source_id, consented(coach, basic))
    assert (found.error, found.ended) == ("not_found", "unsupported")


def test_an_organization_lets_the_application_in(graph: Standin, deployment: pytest.MonkeyPatch) -> None:
    """The source names the coach's address and has no credentials of its own."""
    coach = busy(graph)
    found = read(coach.source_id, None, coach.address)
    assert (found.error, found.ended) == ("unauthorized", "disconnected")
    set_environment(deployment, {"MICROSOFT_TENANT": "example.com"})
    assert bits(read(coach.source_id, None, coach.address)) == "00001111"
    found = read(coach.source_id, None, "AAMk=")
    assert (found.error, found.ended) == ("not_found", "unsupported")


def test_a_source_may_be_of_another_organization(graph: Standin) -> None:
    """By the deployment's secret or a certificate; with free and busy times alone where it says so."""
    coach = busy(graph)
    whose = {"tenant": "other.example.com", "user": coach.address}
    assert bits(read(coach.source_id, locked(**whose))) == "00001111"
    certificate = new_certificate()
    trust(graph, certificate)
    both = certificate.private_key + certificate.certificate
    assert bits(read(coach.source_id, locked(**whose, certificate=both))) == "00001111"
    basic = locked(**whose, scopes=["Calendars.ReadBasic.All"])
    assert bits(read(coach.source_id, basic)) == "00001111"
    assert graph.calls[-1].endswith("getSchedule")


def test_subscriptions_are_opened_as_the_calendar_is(graph: Standin, address: Told) -> None:
    """For who asks to be told of changes."""
    coach = busy(graph)
    opened = asyncio.run(
        open_microsoft(
            calendar_ref=None, credentials=consented(coach), source_id=coach.source_id, zone=BERLIN
        )
    )
    channel = Channel(provider="microsoft", source_id=coach.source_id, generation=1)
    asyncio.run(opened.subscriptions(SECRETS).watch(channel, address=address.url))
    assert coach.subscriptions == 1


def test_a_revoked_consent_disconnects(graph: Standin) -> None:
    """And the reading says so."""
    coach = graph.coach()
    graph.control("revoke", address=coach.address)
    found = read(coach.source_id, consented(coach))
    assert (found.error, found.ended, found.free) == ("access_revoked", "disconnected", None)


@pytest.mark.parametrize("missing", ["MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET"])
def test_without_an_application_no_coach_is_disconnected(
    graph: Standin, deployment: pytest.MonkeyPatch, missing: str
) -> None:
    """What the deployment lacks is asked for again in an hour."""
    coach = graph.coach()
    set_environment(deployment, {missing: ""})
    for credentials in (consented(coach), locked(tenant="example.com", user=coach.address)):
        found = read(coach.source_id, credentials)
        assert (found.error, found.after, found.ended) == ("unauthorized", 3600, None)


@pytest.mark.parametrize(
    "credentials",
    [None, locked(), locked(refresh_token=""), locked(refresh_token=7), locked(user="ana@example.com")],
)
def test_a_source_without_credentials_has_to_be_connected(credentials: str | None) -> None:
    """By its coach."""
    found = read(uuid4(), credentials)
    assert (found.error, found.ended) == ("unauthorized", "disconnected")


@pytest.mark.parametrize("certificate", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
def test_a_certificate_that_is_none_is_the_operators_to_mend(certificate: str) -> None:
    """It is not quoted."""
    credentials = locked(tenant="example.com", user="ana@example.com", certificate=certificate)
    with pytest.raises(CalendarError, match=r"^unauthorized$") as raised:
        asyncio.run(
            open_microsoft(calendar_ref=None, credentials=credentials, source_id=uuid4(), zone=BERLIN)
        )
    assert (raised.value.ended, raised.value.after) == (None, 3600.0)
