"""From what is stored of a source to its calendar."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fairslot.calendars import caldav_discovery
from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.caldav_account import Account
from fairslot.calendars.caldav_discovery import FoundCalendar
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.opening import open_calendar, open_writable
from fairslot.domain.errors import UnavailableError
from fairslot.messages.fetches import FetchRequest
from fairslot.platform import signing_secrets
from tests.unit.calendars.dav import CALENDAR, HOST, SOURCE

SECRET = {"username": "coach", "password": "s3cret"}
REQUEST = FetchRequest(
    coach_id="coach-1",
    kind="caldav",
    url=HOST,
    time_zone="America/New_York",
    first_slot=1_971_000,
    slot_count=100,
    requested_at="2026-03-09T13:00:00Z",
    source_id=SOURCE,
    generation=1,
    calendar_ref=CALENDAR,
    credentials="locked",
)


@dataclass
class Key:
    """What KMS does: opens what was locked for a context."""

    text: str = json.dumps(SECRET)
    down: bool = False
    asked: tuple[str, dict[str, str]] | None = None

    def decrypt(self, ciphertext: str, context: dict[str, str]) -> str:
        """Open a ciphertext."""
        self.asked = ciphertext, context
        if self.down:
            raise UnavailableError
        return self.text


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Key:
    """A key that opens the credentials."""
    made = Key()
    monkeypatch.setattr(signing_secrets, "decrypt", made.decrypt)
    return made


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> list[Account]:
    """The accounts whose calendars are looked for; each has one that can be read, before one to write to."""
    asked: list[Account] = []

    async def discover(account: Account) -> list[FoundCalendar]:
        asked.append(account)
        return [
            FoundCalendar(url=f"{HOST}/home/shared/", name="Shared", writable=False),
            FoundCalendar(url=f"{HOST}/home/own/", name="Own", writable=True),
        ]

    monkeypatch.setattr(caldav_discovery, "discover", discover)
    return asked


def opened(**changes: Any) -> CaldavCalendar:
    found = asyncio.run(open_calendar(REQUEST.model_copy(update=changes)))
    assert isinstance(found, CaldavCalendar)
    return found


def writable(**changes: Any) -> CaldavCalendar:
    given = {"kind": "caldav", "url": HOST, "calendar_ref": CALENDAR, "credentials": "locked"}
    found = asyncio.run(open_writable(**{**given, "source_id": SOURCE, "zone": ZoneInfo("UTC"), **changes}))
    assert isinstance(found, CaldavCalendar)
    return found


def refused(**changes: Any) -> CalendarError:
    with pytest.raises(CalendarError) as raised:
        opened(**changes)
    assert "s3cret" not in repr(raised.value)
    return raised.value


@pytest.mark.parametrize("open_one", [opened, writable])
def test_credentials_are_opened_for_their_source(key: Key, open_one: Any) -> None:
    """And for nothing else."""
    assert open_one().url == CALENDAR
    assert key.asked == ("locked", {"purpose": "calendar", "source_id": str(SOURCE)})


@pytest.mark.usefixtures("key")
def test_without_a_calendar_the_accounts_default_is_asked(accounts: list[Account]) -> None:
    """To write, the first that can be written to."""
    assert opened(calendar_ref=None).url == f"{HOST}/home/shared/"
    assert writable(calendar_ref=None).url == f"{HOST}/home/own/"
    assert accounts == [Account(address=HOST, user="coach", password="s3cret")] * 2


@pytest.mark.parametrize(
    "text", ["", "[]", "s3cret", "{}", '{"username": "coach"}', '{"username": 1, "password": "x"}']
)
def test_credentials_that_are_none_have_to_be_given_again(key: Key, text: str) -> None:
    """So the source says that it is disconnected."""
    key.text = text
    error = refused()
    assert (error.reason, error.ended) == ("unauthorized", "disconnected")


def test_a_source_without_credentials_has_to_be_connected(key: Key) -> None:
    """Nobody is asked."""
    assert refused(credentials=None).ended == "disconnected"
    assert key.asked is None


def test_a_key_that_does_not_answer_ends_nothing(key: Key) -> None:
    """It is no word of the provider's."""
    key.down = True
    assert (refused().reason, refused().ended) == ("secret_unavailable", None)


@pytest.mark.usefixtures("key")
def test_what_cannot_be_opened_is_told() -> None:
    """An unknown kind, one that cannot be written to, and an address that is inside."""
    assert refused(kind="carrier_pigeon").reason == "unknown_kind"
    assert refused(source_id=None).reason == "unknown_kind"
    assert refused(url="https://10.0.0.1/").reason == "blocked_address"
    assert refused(calendar_ref="https://evil.test/").reason == "other_domain"
    with pytest.raises(CalendarError, match="unknown_kind"):
        writable(kind="icalendar")
