"""From what is stored of a source to its calendar at Google: by a coach's consent, or an organization's."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fairslot.calendars import reading
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import GOOGLE_EVENTS, GOOGLE_FREE_BUSY
from fairslot.calendars.opening import open_writable
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import Reading
from fairslot.platform import signing_secrets
from tests.support.environment import set_environment
from tests.support.google import CLIENT, DAY, WINDOW, GoogleAccount, GoogleStandIn, at, event, run, starts

_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SERVICE_ACCOUNT = {
    "client_email": "calendars@project.iam.gserviceaccount.com",
    "private_key": _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
}
SETTINGS = {"GOOGLE_CLIENT_ID": CLIENT.client_id, "GOOGLE_CLIENT_SECRET": CLIENT.client_secret}


@pytest.fixture(autouse=True)
def deployment(standin: GoogleStandIn, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A deployment with a client at Google, and a key that opens what was written backwards."""
    urls = {
        "GOOGLE_ACCOUNTS_URL": standin.base_url.removesuffix("/calendar/v3"),
        "GOOGLE_API_URL": standin.base_url,
    }
    set_environment(monkeypatch, SETTINGS | urls)
    monkeypatch.setattr(signing_secrets, "decrypt", lambda text, context: text[::-1])
    return monkeypatch


def locked(**members: Any) -> str:
    """Lock credentials up."""
    return json.dumps(members)[::-1]


def read(source_id: UUID, credentials: str | None, calendar_ref: str | None = None) -> Reading:
    """Read a source's calendar as the function does that reads calendars."""
    request = FetchRequest(
        coach_id="coach-1",
        kind="google",
        time_zone="Europe/Berlin",
        first_slot=WINDOW.first_slot,
        slot_count=WINDOW.slot_count,
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


def test_a_consent_reads_and_writes(ana: GoogleAccount) -> None:
    """The primary calendar, where none was chosen."""
    credentials = locked(refresh_token=ana.refresh_token, scopes=sorted(GOOGLE_EVENTS))
    ana.add(**at(DAY))
    assert bits(read(ana.source_id, credentials)) == "00001111"
    calendar = run(
        open_writable(
            kind="google",
            url=None,
            calendar_ref=None,
            credentials=credentials,
            source_id=ana.source_id,
            zone=ZoneInfo("Europe/Berlin"),
        )
    )
    run(calendar.put(event(ana)))
    assert starts(ana) == [DAY]


def test_a_calendar_that_was_chosen_is_read(standin: GoogleStandIn) -> None:
    """By its id, and no other."""
    ana = standin.account(calendars=["team@group.calendar.google.com"])
    ana.add(**at(DAY))
    credentials = locked(refresh_token=ana.refresh_token, scopes=sorted(GOOGLE_EVENTS))
    assert bits(read(ana.source_id, credentials, "team@group.calendar.google.com")) == "11111111"


def test_scopes_of_busy_periods_alone_ask_for_no_events(standin: GoogleStandIn) -> None:
    """As they were granted when the calendar was connected."""
    ana = standin.account(scopes=sorted(GOOGLE_FREE_BUSY))
    ana.add(**at(DAY))
    credentials = locked(refresh_token=ana.refresh_token, scopes=[*GOOGLE_FREE_BUSY, "openid"])
    assert bits(read(ana.source_id, credentials)) == "00001111"
    assert standin.calls()[-1] == "POST /freeBusy"


def test_a_revoked_consent_disconnects(ana: GoogleAccount) -> None:
    """And the reading says so."""
    ana.control("revoke")
    found = read(ana.source_id, locked(refresh_token=ana.refresh_token, scopes=sorted(GOOGLE_EVENTS)))
    assert (found.error, found.ended, found.free) == ("access_revoked", "disconnected", None)


def test_an_organization_delegates(standin: GoogleStandIn, deployment: pytest.MonkeyPatch) -> None:
    """The source names the coach's address and has no credentials of its own."""
    ana = standin.account(delegated=True)
    ana.add(**at(DAY))
    set_environment(deployment, {"GOOGLE_SERVICE_ACCOUNT": json.dumps(SERVICE_ACCOUNT)})
    assert bits(read(ana.source_id, None, ana.email)) == "00001111"


def test_a_source_may_have_a_service_account_of_its_own(standin: GoogleStandIn) -> None:
    """With another calendar than that of whom it acts for."""
    ana = standin.account(delegated=True, calendars=["team@group.calendar.google.com"])
    credentials = locked(service_account=SERVICE_ACCOUNT, subject=ana.email)
    assert bits(read(ana.source_id, credentials, "team@group.calendar.google.com")) == "11111111"


def test_whom_no_organization_delegates_is_told_from_who_is_gone(
    standin: GoogleStandIn, deployment: pytest.MonkeyPatch
) -> None:
    """The operator's fault ends no source; an address that nobody has does."""
    set_environment(deployment, {"GOOGLE_SERVICE_ACCOUNT": json.dumps(SERVICE_ACCOUNT)})
    ana = standin.account()
    found = read(ana.source_id, None, ana.email)
    assert (found.error, found.after, found.ended) == ("unauthorized", 3600, None)
    found = read(uuid4(), None, "nobody@example.com")
    assert (found.error, found.ended) == ("access_revoked", "disconnected")
    found = read(uuid4(), None, "primary")
    assert (found.error, found.ended) == ("not_found", "unsupported")


@pytest.mark.parametrize("missing", ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"])
def test_without_a_client_at_google_no_coach_is_disconnected(
    ana: GoogleAccount, deployment: pytest.MonkeyPatch, missing: str
) -> None:
    """What the deployment lacks is asked for again in an hour."""
    set_environment(deployment, {missing: ""})
    found = read(ana.source_id, locked(refresh_token=ana.refresh_token, scopes=[]))
    assert (found.error, found.after, found.ended) == ("unauthorized", 3600, None)
    set_environment(deployment, {"GOOGLE_SERVICE_ACCOUNT": "{}"})
    found = read(ana.source_id, None, ana.email)
    assert (found.error, found.after, found.ended) == ("unauthorized", 3600, None)


@pytest.mark.parametrize("credentials", [None, locked(), locked(refresh_token=""), locked(refresh_token=7)])
def test_a_source_without_credentials_has_to_be_connected(credentials: str | None) -> None:
    """By its coach."""
    found = read(uuid4(), credentials)
    assert (found.error, found.ended) == ("unauthorized", "disconnected")


def test_no_error_quotes_a_credential(ana: GoogleAccount) -> None:
    """Of what can be logged."""
    ana.control("revoke")
    with pytest.raises(CalendarError) as raised:
        run(ana.calendar().free(WINDOW))
    assert ana.refresh_token not in repr(raised.value)
    assert ana.refresh_token not in repr(raised.value.__cause__)
