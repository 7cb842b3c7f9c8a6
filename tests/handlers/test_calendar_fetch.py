"""The calendar reader between real queues and the calendar API's stand-in, driven as Lambda drives it."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from calendar_fetch.app import lambda_handler
from fairslot.calendars import fetch
from fairslot.calendars.fetch import Limits
from fairslot.domain import slots
from fairslot.domain.slots import Window
from fairslot.platform import queue
from local.sqs import SqsStandIn
from tests.support.environment import clear_caches, set_environment
from tests.support.lambda_context import context
from tests.support.partner_process import partner
from tests.support.sqs_events import received_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ZONE = ZoneInfo("America/New_York")
CALM = {"failure_rate": 0, "hang_rate": 0, "garbage_rate": 0, "only": "", "latency_ms": [0, 0]}


@dataclass(frozen=True)
class Reader:
    """The function with its two queues, and the partner whose calendars it reads."""

    sqs: "SQSClient"
    calendar: httpx.Client
    fetches: str
    fetched: str

    def request(self, coach_id: str = "coach-1", **changes: Any) -> dict[str, Any]:
        """Ask for a coach's next seven days."""
        asked = next_days(7)
        return {
            "coach_id": coach_id,
            "kind": "calendar_api",
            "url": None,
            "time_zone": ZONE.key,
            "first_slot": asked.first_slot,
            "slot_count": asked.slot_count,
            "requested_at": "2026-03-09T13:00:00Z",
            **changes,
        }

    def feed(self, coach_id: str = "coach-1") -> dict[str, Any]:
        """Ask for the same coach's time by the feed."""
        url = f"{self.calendar.base_url}/coaches/{coach_id}/calendar.ics?token=s3cret".replace(
            "//coaches", "/coaches"
        )
        return self.request(coach_id, kind="icalendar", url=url)

    def work(self, *requests: dict[str, Any] | str, seconds: float = 60.0) -> list[str]:
        """Send requests, invoke the function with them as one batch, and return the bodies that stay."""
        queue.send(self.fetches, [one if isinstance(one, str) else json.dumps(one) for one in requests])
        batch = self._take(self.fetches, len(requests))
        response = lambda_handler(received_event(batch), context(seconds))
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        return [message["Body"] for message in batch if message["MessageId"] in failed]

    def readings(self, count: int) -> dict[str, dict[str, Any]]:
        """Take out so many readings, by coach."""
        bodies = [json.loads(message["Body"]) for message in self._take(self.fetched, count)]
        return {body["coach_id"]: body for body in bodies}

    def nothing_is_told(self) -> bool:
        """Tell whether there is no reading."""
        return not self.sqs.receive_message(QueueUrl=self.fetched).get("Messages")

    def _take(self, url: str, count: int) -> list[Any]:
        messages: list[Any] = []
        end = monotonic() + 20
        while len(messages) < count and monotonic() < end:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageSystemAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                messages.append(message)
        assert len(messages) == count
        return messages


@pytest.fixture(scope="module")
def calendar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The calendar API's stand-in."""
    with partner("calendar_api", tmp_path_factory.mktemp("calendar")) as client:
        yield client


@pytest.fixture
def reader(sqs: SqsStandIn, calendar: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """The reader, with a calm partner and hardly a pause between attempts."""
    client = sqs.client()
    name = uuid4().hex
    fetches, fetched = (client.create_queue(QueueName=f"{name}-{end}")["QueueUrl"] for end in ("in", "out"))
    own = {
        "CALENDAR_API_URL": str(calendar.base_url),
        "FETCHES_QUEUE_URL": fetches,
        "FETCHED_QUEUE_URL": fetched,
        "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
    }
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.01)
    set_environment(monkeypatch, sqs.environment | own)
    calendar.post("/control", json=CALM)
    yield Reader(client, calendar, fetches, fetched)
    monkeypatch.undo()
    clear_caches()
    client.close()


class _Busy(BaseHTTPRequestHandler):
    """Asks to be left alone for longer than a number can say."""

    def do_GET(self) -> None:
        """Refuse."""
        self.send_response(503)
        self.send_header("Retry-After", "9" * 20)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def busy() -> Iterator[str]:
    """Serve it; give its address."""
    with HTTPServer(("127.0.0.1", 0), _Busy) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def next_days(count: int) -> Window:
    """Return the coach's days from today on."""
    today = datetime.now(ZONE).date()
    first, end = (slots.day_of(ZONE, today + timedelta(days=days))[0] for days in (0, count))
    return Window(first, end - first)


def shown_as_free(reader: Reader, coach_id: str) -> int:
    """Mark what the partner itself shows as free."""
    asked = next_days(7)
    answer = reader.calendar.get(f"/coaches/{coach_id}/availability", params={"days": 8}).json()
    free = 0
    for entry in answer["slots"]:
        if entry["available"]:
            start, end = (datetime.fromisoformat(entry[name]) for name in ("start_time", "end_time"))
            free |= asked.bits(slots.slot_of(start), slots.slot_of(end))
    return free


def working_time() -> int:
    """Mark 09:00 to 17:00 of each day."""
    asked, free = next_days(7), 0
    hours = {day: [["09:00", "17:00"]] for day in slots.WEEKDAYS}
    for day in slots.days_between(ZONE, asked.first_slot, asked.end_slot):
        count = slots.day_of(ZONE, day)[1]
        free = free << count | slots.working_bits(hours, day, ZONE)
    return free


def test_a_batch_of_coaches_is_read(reader: Reader) -> None:
    """One reading a coach, each with its own free slots and the request's facts."""
    coaches = [f"coach-{number}" for number in range(1, 7)]
    before = datetime.now(UTC)

    assert reader.work(*(reader.request(coach) for coach in coaches)) == []

    told = reader.readings(6)
    assert set(told) == set(coaches)
    for coach, reading in told.items():
        asked = next_days(7)
        assert reading["ok"] is True
        assert (reading["first_slot"], reading["slot_count"]) == (asked.first_slot, asked.slot_count)
        assert reading["requested_at"] == "2026-03-09T13:00:00Z"
        assert before <= datetime.fromisoformat(reading["fetched_at"]) <= datetime.now(UTC)
        assert slots.bits_of_hex(reading["free"], asked.slot_count) == shown_as_free(reader, coach) != 0


def test_who_cannot_wait_for_a_queue_has_the_readings_in_the_answer(reader: Reader) -> None:
    """Of some slots, in the time that is given; one that cannot be read says so, and nothing is sent."""
    asked = next_days(7)
    some = {"first_slot": asked.first_slot + 96, "slot_count": 96}
    messages = [reader.request("coach-1", **some), reader.request("coach-2", kind="fax", **some)]
    event = {"requests": [json.dumps(one) for one in messages], "seconds": 3.0}
    answer = lambda_handler(event, context(60.0))
    readings = [json.loads(one) for one in answer["readings"]]
    assert [(one["coach_id"], one["ok"]) for one in readings] == [("coach-1", True), ("coach-2", False)]
    assert readings[1]["error"] == "unknown_kind"
    whole = shown_as_free(reader, "coach-1") >> asked.slot_count - 192 & (1 << 96) - 1
    assert slots.bits_of_hex(readings[0]["free"], 96) == whole != 0
    assert reader.nothing_is_told()


def test_a_feed_tells_the_same_as_the_api(reader: Reader) -> None:
    """Within working hours; half hours that are too short for the API's entries aside."""
    reader.work(reader.feed("coach-2"))
    asked = next_days(7)
    free = slots.bits_of_hex(reader.readings(1)["coach-2"]["free"], asked.slot_count) & working_time()
    pairs = slots.runs(free, 2)
    assert pairs | pairs >> 1 == shown_as_free(reader, "coach-2")


def test_time_that_is_blocked_elsewhere_is_not_free(reader: Reader) -> None:
    """A block at the partner takes its slots, its release gives them back."""
    asked = next_days(7)
    free = shown_as_free(reader, "coach-3")
    offset = next(slots.positions(slots.runs(free, 2), asked.slot_count))
    start, end = (slots.instant_of(asked.first_slot + offset + n).isoformat() for n in (0, 2))
    block = reader.calendar.post(
        "/coaches/coach-3/block-slot", json={"start_time": start, "end_time": end}
    ).json()
    reader.work(reader.request("coach-3"))
    taken = slots.bits_of_hex(reader.readings(1)["coach-3"]["free"], asked.slot_count)
    assert not taken & slots.span(offset, 2, asked.slot_count)
    reader.calendar.post("/coaches/coach-3/release-slot", json={"block_id": block["block_id"]})
    reader.work(reader.request("coach-3"))
    assert slots.bits_of_hex(reader.readings(1)["coach-3"]["free"], asked.slot_count) == free


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"failure_rate": 1}, "http_503"), ({"garbage_rate": 1}, "invalid_body"), ({"hang_rate": 1}, "timeout")],
)
def test_one_coach_in_trouble_is_told_and_holds_up_nobody(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], error: str
) -> None:
    """A calendar that fails, lies or says nothing is a reading too, and the others of the batch are read."""
    limits = Limits(attempts=2, answer_seconds=0.5 if "hang_rate" in fault else 5)
    monkeypatch.setattr(fetch, "default_limits", lambda: limits)
    reader.calendar.post("/control", json={**fault, "only": "/coach-4/"})

    assert reader.work(*(reader.request(f"coach-{number}") for number in (4, 5, 6))) == []

    told = reader.readings(3)
    assert {coach: reading["ok"] for coach, reading in told.items()} == {
        "coach-4": False,
        "coach-5": True,
        "coach-6": True,
    }
    assert told["coach-4"]["error"] == error
    assert "free" not in told["coach-4"]


def test_no_reading_waits_for_a_slower_one(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing for long keeps its own reading, and none of the others of the batch."""
    monkeypatch.setattr(fetch, "default_limits", lambda: Limits(attempts=1, answer_seconds=6))
    reader.calendar.post("/control", json={"hang_rate": 1, "only": "/coach-4/"})

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(reader.work, reader.request("coach-4"), reader.request("coach-5"))
        assert list(reader.readings(1)) == ["coach-5"]
        assert not working.done()
        assert working.result() == []

    assert reader.readings(1)["coach-4"]["error"] == "timeout"


def test_who_asks_to_wait_for_ever_is_told_and_holds_up_nobody(reader: Reader) -> None:
    """A day is what a server gets, and what it asks for breaks no message."""
    with busy() as url:
        asked = reader.request("coach-4", kind="icalendar", url=url)
        assert reader.work(asked, reader.request("coach-5")) == []

    told = reader.readings(2)
    assert (told["coach-4"]["error"], told["coach-4"]["after"]) == ("http_503", 86_400)
    assert told["coach-5"]["ok"] is True


def test_a_partner_as_unreliable_as_the_real_one_is_read(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 30% failures the attempts are mostly enough, and what was read is right."""
    limits = replace(fetch.default_limits(), attempts=12)
    monkeypatch.setattr(fetch, "default_limits", lambda: limits)
    reader.calendar.post("/control", json={"failure_rate": 0.3})
    reader.work(*(reader.request(f"coach-{number}") for number in range(1, 11)))
    told = reader.readings(10)
    reader.calendar.post("/control", json=CALM)
    for coach, reading in told.items():
        assert slots.bits_of_hex(reading["free"], reading["slot_count"]) == shown_as_free(reader, coach)


def test_a_malformed_message_stays_and_the_others_are_done(reader: Reader) -> None:
    """It goes to the dead letters in the end; its neighbours are read."""
    assert reader.work("{", reader.request("coach-1"), '{"coach_id": 5}') == ["{", '{"coach_id": 5}']
    assert reader.readings(1)["coach-1"]["ok"] is True


def test_readings_that_cannot_be_sent_keep_every_message(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message is done only when its reading is in the queue."""
    set_environment(monkeypatch, {"FETCHED_QUEUE_URL": f"{reader.fetched}-gone"})
    assert len(reader.work(reader.request("coach-1"), reader.request("coach-2"))) == 2
    assert reader.nothing_is_told()


def test_an_invocation_that_is_nearly_over_says_so_in_time(reader: Reader) -> None:
    """What could not be read in the time that was left is told before Lambda ends it."""
    reader.calendar.post("/control", json={"hang_rate": 1})
    began = monotonic()
    assert reader.work(reader.request("coach-1"), seconds=queue.LONGEST_CALL_SECONDS + 1.3) == []
    assert monotonic() - began < queue.LONGEST_CALL_SECONDS
    assert reader.readings(1)["coach-1"]["error"] == "timeout"


def test_the_logs_hold_no_address_and_no_contents(
    reader: Reader, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A feed's address is a secret, and what is in it is somebody's life."""
    caplog.set_level(logging.INFO)
    broken = reader.request("coach-2", kind="icalendar", url="nowhere?token=s3cret")
    reader.work(reader.feed("coach-1"), broken)
    out, err = capfd.readouterr()
    written = caplog.text + out + err
    assert "calendar read" in written
    assert "calendar not read" in written
    assert not [word for word in ("s3cret", "Busy", "UID", "127.0.0.1") if word in written]
