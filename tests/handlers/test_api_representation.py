"""Pages with an ETag: unchanged, compressed, and as new as the last change."""

import gzip
from typing import Any

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.clock import MINUTE, NOW
from tests.support.fixtures import Clock
from tests.support.http import Answer, add_key, ask, booked
from tests.support.team import add_calendar

PATH = "/api/availability"
QUERY = {"calendar_id": "cal", "days": 7}


def page(query: Any = QUERY, **headers: str) -> Answer:
    """Ask for a page; `if_none_match` is the header If-None-Match, and so on."""
    return ask(
        "GET", PATH, query=query, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_an_unchanged_page_is_not_sent_again(team: Connection) -> None:
    """304 without a body, and with the headers of the page."""
    first = page()
    etag = first.headers["etag"]
    assert (etag[0], etag[-1]) == ('"', '"')
    again = page(if_none_match=f'"other", W/{etag}')
    assert (again.status, again.body) == (304, b"")
    for name in ("etag", "vary", "cache-control"):
        assert again.headers[name] == first.headers[name]
    assert page(if_none_match="*").status == 304
    assert page(if_none_match='"other"').json == first.json


def test_a_changed_page_has_another_etag(team: Connection, cache: Redis, clock: Clock) -> None:
    """After a booking, and where only the first start is over."""
    first = page()
    booked()
    second = page(if_none_match=first.headers["etag"])
    assert second.status == 200
    assert second.headers["etag"] != first.headers["etag"]
    clock(NOW + 3 * 60 * MINUTE)
    third = page(if_none_match=second.headers["etag"])
    assert third.status == 200
    assert third.json["slots"][0]["start_time"] > second.json["slots"][0]["start_time"]


def test_a_page_is_compressed_where_that_is_accepted(team: Connection) -> None:
    """It is the same text, with an ETag of its own; a small one is left as it is."""
    plain, packed = page(), page(accept_encoding="br;q=1.0, gzip;q=0.8, *;q=0.1")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-type"] == "application/json"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 4
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["etag"] != plain.headers["etag"]
    assert page(accept_encoding="gzip", if_none_match=packed.headers["etag"]).status == 304
    assert page(if_none_match=packed.headers["etag"]).status == 200
    assert "content-encoding" not in page({**QUERY, "limit": 1}, accept_encoding="gzip").headers
    assert page(accept_encoding="gzip;q=0").body == plain.body


def test_head_has_the_headers_of_the_page(team: Connection) -> None:
    """Also of the compressed one, without its body."""
    got = page(accept_encoding="gzip")
    head = ask("HEAD", PATH, query=QUERY, headers={"accept-encoding": "gzip"})
    assert (head.status, head.body) == (200, b"")
    for name in ("etag", "content-encoding", "vary"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    "query",
    [
        {"calendar_id": "cal"},
        {"calendar_id": "cal", "timezone": "Asia/Kathmandu", "include": "coaches"},
        {"calendar_id": "cal", "limit": 7, "days": 60},
        {"include": "coaches"},
    ],
)
def test_every_form_of_a_page_is_as_new_as_the_last_booking(
    team: Connection, cache: Redis, query: dict[str, Any]
) -> None:
    """Asked for in turns with the others, before and after each booking."""
    add_calendar(team, "hour", ["coach-01"], duration=60)
    for _ in range(3):
        before = page(query).json
        page({"calendar_id": "cal", "timezone": "Europe/Berlin"})
        page({"calendar_id": "hour"})
        made = booked(before["slots"][0]["start_time"])
        after = page(query).json
        by_start = {slot["start_time"]: slot for slot in after["slots"] if slot.get("calendar_id") != "hour"}
        first = by_start.get(made["start_time"], {"available_coaches": 0})
        assert first["available_coaches"] == before["slots"][0]["available_coaches"] - 1
        assert made["coach_id"] not in first.get("coach_ids", ())


def test_no_other_tenant_gets_a_kept_page(team: Connection, cache: Redis) -> None:
    """It is not there for them, neither before nor after it is kept."""
    add_key(team, "theirs", tenant_id="other")
    page()
    page()
    answer = ask("GET", PATH, query=QUERY, key="theirs")
    assert answer.status == 404


def test_a_calendar_that_closes_is_gone(team: Connection, cache: Redis) -> None:
    """A kept page of it too."""
    page()
    team.execute("UPDATE calendars SET active = false")
    assert page().status == 404
    team.execute("UPDATE calendars SET active = true")
    assert page().status == 200


def test_large_pages_name_coaches_up_to_a_megabyte(team: Connection) -> None:
    """A cut page has the cursor of the rest, and the total of all."""
    team.execute(
        "WITH made AS (INSERT INTO coaches (coach_id, tenant_id, name, time_zone, working_hours)"
        " SELECT repeat('x', 400) || n, tenant_id, name, time_zone, working_hours"
        "   FROM coaches, generate_series(1, 60) AS n WHERE coach_id = 'coach-01' RETURNING coach_id)"
        " INSERT INTO coach_calendars (calendar_id, coach_id) SELECT 'cal', coach_id FROM made"
    )
    team.execute(
        "INSERT INTO coach_slots"
        " (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)"
        " SELECT coach.coach_id, first_slot, slot_count, local_date, working, external, 10"
        "   FROM coach_slots CROSS JOIN coaches AS coach"
        "  WHERE coach_slots.coach_id = 'coach-01' AND coach.coach_id LIKE 'xxx%'"
    )
    whole = page({**QUERY, "days": 3}).json
    joined: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = page({**QUERY, "days": 3, "include": "coaches", **cursor})
        assert len(answer.body) <= 1024 * 1024 + 1000
        assert answer.json["total_available"] == whole["total_available"]
        joined += answer.json["slots"]
        if answer.json["next_cursor"] is None:
            break
        cursor = {"cursor": answer.json["next_cursor"]}
    assert cursor
    assert [slot["start_time"] for slot in joined] == [slot["start_time"] for slot in whole["slots"]]
    assert {len(slot["coach_ids"]) for slot in joined} == {63}
