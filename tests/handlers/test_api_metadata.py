"""What a client keeps with an appointment comes back as it was written, and no list outgrows an answer."""

import json
from typing import Any

import pytest
from redis import Redis

from fairslot.http import pages
from fairslot.platform.db import Connection
from local.runtime_api import LARGEST_PAYLOAD
from tests.support.http import Answer, ask, booked, booking_body, check_problem

PATH = "/api/appointments"
WRITTEN = (
    '{"b":1.10,"a":9e307,"z":-0,"e":[1E+2,5e-324,0.10000000000000000001,123456789012345678901234567890]}'
)


def add_many(connection: Connection, number: int, metadata: str) -> None:
    """Add cancelled appointments with this metadata, copies of one that was booked."""
    made = booked()
    assert ask("POST", f"{PATH}/{made['appointment_id']}/cancel").status == 200
    connection.execute(
        "UPDATE coach_appointments SET metadata = %(metadata)s WHERE appointment_id = %(id)s",
        {"metadata": metadata, "id": made["appointment_id"]},
    )
    connection.execute(
        "INSERT INTO coach_appointments"
        " SELECT (json_populate_record(a, json_build_object('appointment_id', uuidv7()))).*"
        " FROM coach_appointments AS a, generate_series(2, %s)",
        (number,),
    )


def payload(answer: Answer) -> int:
    """Return how many bytes Lambda hands over for an answer."""
    return len(json.dumps({"body": answer.body.decode()}, ensure_ascii=False).encode())


def written(answer: Answer) -> str:
    """Return the text of the metadata in an answer."""
    begin = answer.body.decode().partition('"metadata":')[2]
    end = json.JSONDecoder().raw_decode(begin)[1]
    return begin[:end]


def test_numbers_come_back_as_they_were_written(team: Connection, cache: Redis) -> None:
    """Booked, read, listed, cancelled and answered again: the same characters, and few of them."""
    body = json.dumps(booking_body())[:-1] + f', "metadata": {WRITTEN}}}'
    headers = {"X-Idempotency-Key": "key"}
    made = ask("POST", PATH, body.encode(), headers=headers)
    assert made.status == 201
    assert ask("POST", PATH, body.encode(), headers=headers).json == made.json
    path = f"{PATH}/{made.json['appointment_id']}"
    answers = [ask("GET", path), ask("GET", PATH)]
    answers += [ask("POST", f"{path}/cancel", headers={"Idempotency-Key": "other"}) for _ in range(2)]
    cache.flushall()
    answers.append(ask("POST", f"{path}/cancel", headers={"Idempotency-Key": "other"}))
    assert [written(one) for one in answers] == [WRITTEN] * 5
    row = team.execute("SELECT metadata::text AS kept FROM coach_appointments").fetchone()
    assert row == {"kept": WRITTEN}


def test_what_a_hold_becomes_has_its_metadata(team: Connection) -> None:
    """Confirming a hold keeps metadata as booking does."""
    wanted = {"calendar_id": "cal", "start_time": booking_body()["start_time"]}
    hold_id = ask("POST", "/api/holds", wanted).json["hold_id"]
    body = json.dumps(booking_body(hold_id=hold_id))[:-1] + f', "metadata": {WRITTEN}}}'
    made = ask("POST", PATH, body.encode())
    assert made.status == 201, made
    assert written(ask("GET", f"{PATH}/{made.json['appointment_id']}")) == WRITTEN


def test_metadata_has_a_size(team: Connection) -> None:
    """16 KiB as compact JSON, in bytes: spaces do not count, and large numbers count as written."""
    largest = "[" + ",".join(["9e307"] * 2728) + "]"  # with {"a":…}: 16,375 bytes
    for metadata, status in (
        (f'{{"a": {largest} }}', 201),
        (f'{{"a": {largest.replace(",", " , ")} }}', 201),
        (f'{{"a": {largest}, "b": [9e307]}}', 422),
    ):
        body = json.dumps(booking_body())[:-1] + f', "metadata": {metadata}}}'
        answer = ask("POST", PATH, body.encode())
        assert answer.status == status, answer
    problem = check_problem(answer, 422, "VALIDATION_ERROR")
    assert problem["details"] == [{"loc": "body.metadata", "type": "too_large"}]


@pytest.mark.parametrize(
    "metadata",
    [
        json.dumps({"a": '"' * 8000}),
        f'{{"a":[{",".join(["9e307"] * 2700)}]}}',
        json.dumps({"a": "\x01" * 2600}),
    ],
    ids=["quotes", "numbers", "escapes"],
)
def test_a_list_is_cut_by_its_bytes(team: Connection, metadata: str) -> None:
    """110 appointments of the largest size are several answers, each far from what Lambda takes."""
    add_many(team, 110, metadata)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 200}
    pages_read = 0
    while True:
        answer = ask("GET", PATH, query=query)
        assert answer.status == 200
        assert payload(answer) < LARGEST_PAYLOAD / 2
        found += [one["appointment_id"] for one in answer.json["data"]]
        pages_read += 1
        if answer.json["next_cursor"] is None:
            break
        query["cursor"] = answer.json["next_cursor"]
    assert len(found) == len(set(found)) == 110
    assert pages_read > 1


def test_a_page_has_one_entry_at_least(team: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large an entry is, the list goes on."""
    add_many(team, 3, "{}")
    monkeypatch.setattr(pages, "LARGEST_PAGE", 1)
    found: list[str] = []
    query: dict[str, Any] = {}
    for _ in range(3):
        page = ask("GET", PATH, query=query).json
        found += [one["appointment_id"] for one in page["data"]]
        query["cursor"] = page["next_cursor"]
    assert len(set(found)) == 3
    assert query["cursor"] is None


def test_bookable_starts_are_cut_by_their_bytes(team: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts with every coach's id go on in another page, each once and in order."""
    query: dict[str, Any] = {"calendar_id": "cal", "include": "coaches", "days": 30}
    whole = ask("GET", "/api/availability", query=query).json
    monkeypatch.setattr(pages, "LARGEST_PAGE", 20_000)
    found: list[Any] = []
    while True:
        answer = ask("GET", "/api/availability", query=query)
        assert len(answer.body) < 21_000
        found += answer.json["slots"]
        assert answer.json["total_available"] == whole["total_available"]
        if answer.json["next_cursor"] is None:
            break
        query["cursor"] = answer.json["next_cursor"]
    assert found == whole["slots"]
    assert len(found) > 200
