"""The stand-in calendar keeps the partner's contract and has the faults that it is given."""

import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.support.partner_process import partner

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with partner("calendar_api", tmp_path_factory.mktemp("calendar")) as client:
        yield client


@pytest.fixture
def calendar(shared: httpx.Client) -> Iterator[httpx.Client]:
    """Give the shared stand-in, and leave it calm and empty."""
    yield shared
    shared.post("/control", json={"failure_rate": 0, "hang_rate": 0, "garbage_rate": 0, "only": ""})
    for block in shared.get("/blocks").json()["blocks"]:
        shared.post(f"/coaches/{block['coach_id']}/release-slot", json={"block_id": block["block_id"]})


def slots(calendar: httpx.Client, coach: str = "coach-1", days: int = 7) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = calendar.get(
        f"/coaches/{coach}/availability", params={"days": days}
    ).json()["slots"]
    return found


def available(calendar: httpx.Client, coach: str = "coach-1") -> list[tuple[str, str]]:
    return [(slot["start_time"], slot["end_time"]) for slot in slots(calendar, coach) if slot["available"]]


def test_entries_overlap(calendar: httpx.Client) -> None:
    """Entries are half an hour long, start every quarter and stay inside 09:00 to 17:00 New York time."""
    answer = calendar.get("/coaches/coach-1/availability", params={"days": 3}).json()
    assert set(answer) == {"coach_id", "timezone", "slots", "total_available", "generated_at"}
    assert answer["timezone"] == "America/New_York"
    assert answer["total_available"] == sum(slot["available"] for slot in answer["slots"])
    assert len(answer["slots"]) == 3 * 31
    for slot in answer["slots"]:
        start, end = (
            datetime.fromisoformat(slot[name]).astimezone(NEW_YORK) for name in ("start_time", "end_time")
        )
        assert slot["start_time"].endswith("Z")
        assert end - start == timedelta(minutes=30)
        assert start.minute % 15 == 0
        assert 9 <= start.hour < 17
        assert (end.hour, end.minute) <= (17, 0)


def test_coaches_differ_and_are_mostly_free(calendar: httpx.Client) -> None:
    """The made-up meetings depend on the coach, are the same at each call, and leave most of the time."""
    pages = [slots(calendar, f"coach-{n}", 30) for n in range(1, 7)]
    assert pages == [slots(calendar, f"coach-{n}", 30) for n in range(1, 7)]
    shares = [sum(slot["available"] for slot in page) / len(page) for page in pages]
    assert all(0.6 < share < 1 for share in shares)
    assert len({str(page) for page in pages}) == 6


@pytest.mark.parametrize("days", ["0", "401", "-1", "x", "1.5"])
def test_a_bad_number_of_days(calendar: httpx.Client, days: str) -> None:
    """The range of days is 1 to 400."""
    assert calendar.get("/coaches/coach-1/availability", params={"days": days}).status_code == 400


def test_a_block_takes_every_entry_that_it_touches(calendar: httpx.Client) -> None:
    """A blocked half hour takes its own entry and the two that overlap it, until it is released."""
    before = available(calendar)
    start, end = next(
        entry
        for entry in before[31:]
        if sum(other[0] < entry[1] and entry[0] < other[1] for other in before) == 3
    )
    answer = calendar.post("/coaches/coach-1/block-slot", json={"start_time": start, "end_time": end})
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert calendar.get("/blocks").json()["blocks"][0]["block_id"] == answer.json()["block_id"]
    assert set(before) - set(available(calendar)) == {
        entry for entry in before if entry[0] < end and start < entry[1]
    }
    released = {"block_id": answer.json()["block_id"]}
    for _ in range(2):
        again = calendar.post("/coaches/coach-1/release-slot", json=released)
        assert (again.status_code, again.json()["success"]) == (200, True)
    assert available(calendar) == before
    assert calendar.get("/blocks").json() == {"blocks": [], "total": 0}


def test_overlapping_blocks_conflict(calendar: httpx.Client) -> None:
    """A block that overlaps another of the same coach is refused, an adjacent one is not."""

    def block(coach: str, start: str, end: str) -> tuple[int, str | None]:
        times = {"start_time": f"2031-01-06T{start}-05:00", "end_time": f"2031-01-06T{end}-05:00"}
        answer = calendar.post(f"/coaches/{coach}/block-slot", json=times)
        return answer.status_code, answer.json().get("error")

    assert block("coach-1", "10:00", "10:30") == (200, None)
    assert block("coach-1", "10:15", "10:45") == (409, "Slot already blocked")
    assert block("coach-1", "09:00", "12:00") == (409, "Slot already blocked")
    assert block("coach-1", "10:30", "11:00") == (200, None)
    assert block("coach-2", "10:15", "10:45") == (200, None)


def test_a_block_is_refused_where_and_only_where_it_overlaps_another(calendar: httpx.Client) -> None:
    """Compared with looking at every block, also with fractions of a second, and after releases."""
    drawn = random.Random(8)  # noqa: S311  # the same each time
    day = datetime(2031, 1, 6, 10, tzinfo=UTC)
    taken: dict[str, tuple[datetime, datetime]] = {}
    refused = 0
    for _ in range(300):
        start = day + timedelta(seconds=drawn.randrange(20), milliseconds=drawn.choice([0, 0, 500, 501]))
        end = start + timedelta(seconds=drawn.choice([0.001, 0.5, 1, 2]))
        times = {"start_time": start.isoformat(), "end_time": end.isoformat()}
        answer = calendar.post("/coaches/coach-1/block-slot", json=times)
        overlaps = any(start < other[1] and other[0] < end for other in taken.values())
        assert answer.status_code == (409 if overlaps else 200), times
        refused += overlaps
        if not overlaps:
            taken[answer.json()["block_id"]] = (start, end)
        if len(taken) > 8:
            block_id = drawn.choice(list(taken))
            del taken[block_id]
            calendar.post("/coaches/coach-1/release-slot", json={"block_id": block_id})
    assert 50 < refused < 250


def test_a_coachs_blocks_are_listed(calendar: httpx.Client) -> None:
    """All of them, or those that overlap a time; never another coach's."""
    ids = []
    for coach, hour in (("coach-1", 10), ("coach-1", 11), ("coach-2", 10)):
        times = {"start_time": f"2031-01-06T{hour}:00:00Z", "end_time": f"2031-01-06T{hour}:30:00Z"}
        ids.append(calendar.post(f"/coaches/{coach}/block-slot", json=times).json()["block_id"])

    def listed(**time: str) -> list[str]:
        found = calendar.get("/coaches/coach-1/blocks", params=time).json()["blocks"]
        return [one["block_id"] for one in found]

    assert listed() == ids[:2]
    assert listed(start_time="2031-01-06T06:15:00-05:00", end_time="2031-01-06T12:00:00Z") == [ids[1]]
    assert listed(start_time="2031-01-06T10:30:00Z", end_time="2031-01-06T11:00:00Z") == []
    calendar.post("/coaches/coach-1/release-slot", json={"block_id": ids[0]})
    assert listed() == [ids[1]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"start_time": "2031-01-06T10:00:00", "end_time": "2031-01-06T10:30:00"}',
        b'{"start_time": "2031-01-06T10:30:00Z", "end_time": "2031-01-06T10:30:00Z"}',
        b'{"start_time": "2031-01-06T10:30:00Z", "end_time": "2031-03-06T10:30:00Z"}',
        b'{"start_time": 5, "end_time": null}',
        b'{"start_time": "0001-01-01T00:00:00+14:00", "end_time": "0001-01-01T00:00:00+14:00"}',
    ],
)
def test_bad_blocks(calendar: httpx.Client, body: bytes) -> None:
    """An invalid interval is 400 and blocks nothing."""
    answer = calendar.post("/coaches/coach-1/block-slot", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert calendar.get("/blocks").json()["total"] == 0


def test_an_unknown_block(calendar: httpx.Client) -> None:
    """A block of another coach is not there; a release names its block."""
    times = {"start_time": "2031-01-06T10:00:00Z", "end_time": "2031-01-06T10:30:00Z"}
    block = calendar.post("/coaches/coach-1/block-slot", json=times).json()["block_id"]
    assert calendar.post("/coaches/coach-2/release-slot", json={"block_id": block}).status_code == 404
    assert calendar.post("/coaches/coach-1/release-slot", json={}).status_code == 400
    assert calendar.get("/blocks", params={"coach_id": "coach-1"}).json()["total"] == 1


def test_settings_health_and_feed(calendar: httpx.Client) -> None:
    """The other calls have the partner's shapes."""
    answer = calendar.get("/coaches/coach-1/settings").json()
    assert answer["working_hours"] == {"start": "09:00", "end": "17:00", "timezone": "America/New_York"}
    assert set(answer["availability_rules"]) == {"min_notice_hours", "max_advance_days", "buffer_minutes"}
    assert answer["blocked_dates"] == []
    assert calendar.get("/health").json()["status"] == "healthy"
    feed = calendar.get("/coaches/coach-1/calendar.ics")
    assert feed.headers["content-type"].startswith("text/calendar")
    assert feed.text.startswith("BEGIN:VCALENDAR\r\n")
    assert feed.text.endswith("END:VCALENDAR\r\n")


def test_failures_have_no_effect(calendar: httpx.Client) -> None:
    """A call that failed has blocked nothing; health and control answer all the same."""
    calendar.post("/control", json={"failure_rate": 1})
    times = {"start_time": "2031-01-06T10:00:00Z", "end_time": "2031-01-06T10:30:00Z"}
    answer = calendar.post("/coaches/coach-1/block-slot", json=times)
    assert (answer.status_code, answer.json()["retry_after"]) == (503, 5)
    assert calendar.get("/health").status_code == 200
    assert calendar.get("/control").json()["failure_rate"] == 1
    assert calendar.get("/blocks").json()["total"] == 0


def test_faults_of_one_coach(calendar: httpx.Client) -> None:
    """Faults can be limited to a path."""
    calendar.post("/control", json={"hang_rate": 1, "only": "/coach-1/"})
    with pytest.raises(httpx.ReadTimeout):
        calendar.get("/coaches/coach-1/settings", timeout=0.3)
    assert calendar.get("/coaches/coach-2/settings").status_code == 200
    calendar.post("/control", json={"hang_rate": 0, "garbage_rate": 1})
    answer = calendar.get("/coaches/coach-1/settings")
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


@pytest.mark.parametrize(
    "body", [b"5", b"{", b'{"failure_rate": 2}', b'{"latency_ms": [3, 1]}', b'{"other": 1}']
)
def test_bad_control(calendar: httpx.Client, body: bytes) -> None:
    """Invalid faults are 400 and change nothing."""
    before = calendar.get("/control").json()
    assert calendar.post("/control", content=body).status_code == 400
    assert calendar.get("/control").json() == before


def test_blocks_are_there_after_a_restart(tmp_path: Path) -> None:
    """The state is on disk when a block is answered."""
    times = {"start_time": "2031-01-06T10:00:00Z", "end_time": "2031-01-06T10:30:00Z"}
    with partner("calendar_api", tmp_path, CALENDAR_LATENCY_MS="1-2") as client:
        assert client.get("/control").json()["latency_ms"] == [1, 2]
        block = client.post("/coaches/coach-1/block-slot", json=times).json()["block_id"]
    with partner("calendar_api", tmp_path) as client:
        assert [found["block_id"] for found in client.get("/blocks").json()["blocks"]] == [block]


def test_a_port_in_use_is_exchanged(tmp_path: Path) -> None:
    """Another program on the port is left alone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with partner("calendar_api", tmp_path, port=port) as client:
            assert client.base_url.port != port
            assert client.get("/health").status_code == 200


def test_it_stops_although_a_call_hangs(tmp_path: Path) -> None:
    """A call that is never answered does not keep the process."""
    with (
        partner("calendar_api", tmp_path, CALENDAR_HANG_RATE="1") as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get("/coaches/coach-1/settings", timeout=0.2)
