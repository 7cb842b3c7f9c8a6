"""The calendar reader with CalDAV calendars: credentials as they travel, a real server, and real queues."""

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.opening import open_writable
from fairslot.domain import slots
from fairslot.platform import signing_secrets
from local.sqs import SqsStandIn
from tests.handlers.test_calendar_fetch import Reader
from tests.support.caldav_servers import PASSWORD, USER, CaldavServer, Radicale
from tests.support.caldav_tried import text_of
from tests.support.deliveries import KMS_KEY
from tests.support.environment import clear_caches, set_environment
from tests.support.tried_calendar import SOURCE, ZONE, Foreign, an_event, asked, at

WINDOW = asked()


@dataclass(frozen=True)
class Source:
    """A calendar at the server, and what the system has stored of it."""

    server: CaldavServer
    url: str

    def lock(self, source_id: UUID = SOURCE, password: str = PASSWORD) -> str:
        """Return credentials as they are stored."""
        text = json.dumps({"username": USER, "password": password})
        return signing_secrets.encrypt(text, signing_secrets.for_calendar(source_id))

    def request(self, coach_id: str = "coach-1", **changes: Any) -> dict[str, Any]:
        """Ask for the window."""
        return {
            "coach_id": coach_id,
            "kind": "caldav",
            "url": self.server.url,
            "calendar_ref": self.url,
            "credentials": self.lock(),
            "time_zone": ZONE.key,
            "first_slot": WINDOW.first_slot,
            "slot_count": WINDOW.slot_count,
            "requested_at": "2026-03-09T13:00:00Z",
            "source_id": str(SOURCE),
            "generation": 3,
            **changes,
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaldavServer]:
    """Radicale."""
    with Radicale(tmp_path_factory.mktemp("radicale")) as running:
        yield running


@pytest.fixture
def reader(sqs: SqsStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """The reader, with its queues and the key."""
    client = sqs.client()
    name = uuid4().hex
    fetches, fetched = (client.create_queue(QueueName=f"{name}-{end}")["QueueUrl"] for end in ("in", "out"))
    own = {
        "FETCHES_QUEUE_URL": fetches,
        "FETCHED_QUEUE_URL": fetched,
        "WEBHOOK_KMS_KEY_ID": KMS_KEY,
        "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
    }
    set_environment(monkeypatch, sqs.environment | own)
    signing_secrets.clear_cache()
    yield Reader(client, None, fetches, fetched)  # type: ignore[arg-type]  # no calendar API here
    monkeypatch.undo()
    clear_caches()
    client.close()


@pytest.fixture
def source(server: CaldavServer, reader: Reader) -> Source:
    """A calendar of its own with one event on the 9th, from 10:00 to 11:00."""
    made = Source(server, server.make_calendar())
    server.put(f"{made.url}1.ics", text_of(Foreign(start=at(9, 10), end=at(9, 11)), "1"))
    return made


def busy(reading: dict[str, Any]) -> int:
    free = slots.bits_of_hex(reading["free"], reading["slot_count"])
    return WINDOW.bits(WINDOW.first_slot, WINDOW.end_slot) & ~free


TAKEN = WINDOW.bits(slots.slot_of(at(9, 10)), slots.slot_of(at(9, 11)))


def test_a_source_is_read(reader: Reader, source: Source) -> None:
    """With the password that was locked for it; the reading says which source it is of."""
    assert reader.work(source.request()) == []
    reading = reader.readings(1)["coach-1"]
    assert (reading["ok"], busy(reading)) == (True, TAKEN)
    assert (reading["source_id"], reading["generation"]) == (str(SOURCE), 3)
    assert reading["tag"].startswith("getctag ")


def test_the_accounts_calendar_is_found_by_its_address(reader: Reader, source: Source) -> None:
    """A calendar's own address is that calendar; the server's leads to the account's."""
    own = source.request("own", url=source.url, calendar_ref=None)
    first = source.request("first", calendar_ref=None)
    assert reader.work(own, first) == []
    readings = reader.readings(2)
    assert busy(readings["own"]) == TAKEN
    assert readings["first"]["ok"] is True


@pytest.mark.parametrize(
    ("change", "error", "ended"),
    [
        ({"password": "wrong"}, "unauthorized", "disconnected"),
        ({"source_id": UUID(int=9)}, "secret_unavailable", None),
        ({"url": "http://10.0.0.1/"}, "invalid_url", None),
        ({"url": "https://10.0.0.1/"}, "blocked_address", None),
        ({"calendar_ref": "https://evil.test/"}, "other_domain", None),
        ({"credentials": None}, "unauthorized", "disconnected"),
        ({"missing": True}, "not_found", None),
    ],
)
def test_a_source_in_trouble_is_told_and_holds_up_nobody(
    reader: Reader, source: Source, change: dict[str, Any], error: str, ended: str | None
) -> None:
    """A wrong password, one locked for another source, an address inside: each says what is wrong."""
    locked = {name: change[name] for name in ("password", "source_id") if name in change}
    given = {name: change[name] for name in ("url", "calendar_ref", "credentials") if name in change}
    if locked:
        given["credentials"] = source.lock(**locked)
    if "missing" in change:
        given["calendar_ref"] = f"{source.server.url}{source.server.home}gone/"
    assert reader.work(source.request("bad", **given), source.request("good")) == []
    readings = reader.readings(2)
    assert busy(readings["good"]) == TAKEN
    assert (readings["bad"]["ok"], readings["bad"]["error"]) == (False, error)
    assert readings["bad"].get("ended") == ended
    assert "free" not in readings["bad"]


def test_what_is_written_is_ours_when_it_is_read(reader: Reader, source: Source) -> None:
    """The dispatcher's calendar and the reader's are the same one: the event takes no time."""

    async def write() -> None:
        calendar = await open_writable(
            kind="caldav",
            url=source.server.url,
            calendar_ref=source.url,
            credentials=source.lock(),
            source_id=SOURCE,
            zone=ZONE,
        )
        assert isinstance(calendar, CaldavCalendar)
        await calendar.put(an_event(10, 9))

    asyncio.run(write())
    assert len(source.server.listed(source.url)) == 2
    reader.work(source.request())
    assert busy(reader.readings(1)["coach-1"]) == TAKEN


def test_the_logs_hold_no_secret(
    reader: Reader, source: Source, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """No password, no ciphertext, no address, no title, whether the reading succeeds or not."""
    caplog.set_level(logging.DEBUG, logger="fairslot")
    locked = source.lock(password="s3cret wrong")
    reader.work(source.request("good"), source.request("bad", credentials=locked))
    reader.readings(2)
    out, err = capfd.readouterr()
    written = caplog.text + out + err
    assert "calendar read" in written
    assert "calendar not read" in written
    secrets = (PASSWORD, "s3cret", locked, source.url, "Somebody's life", "Basic ")
    assert not [word for word in secrets if word in written]
