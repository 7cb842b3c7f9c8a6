"""Queries and headers that cannot be served: each gets a clear problem and changes nothing."""

import base64
import json
from uuid import UUID

import pytest

from fairslot.platform.db import Connection
from tests.support.http import add_key, ask, book, booked, check_problem
from tests.support.tables import table_digests

AVAILABILITY = "/api/availability"
LIST = "/api/appointments"
SHARES = "/api/coaches/distribution"


def cursor(*parts: object) -> str:
    """Write parts as our cursors are written."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


ZONES = [
    "",
    "America",
    "../etc/passwd",
    "/etc/passwd",
    "Mars/Olympus",
    "zone.tab",
    "%00",
    "%ff",
    "Z" * 65,
    "%F0%9F%A6%8A",
]
NO_CURSORS = [
    "",
    "x",
    "%00",
    "____",
    "a" * 201,
    cursor(),
    cursor("cal"),
    cursor("cal", "one"),
    cursor({}, 1),
    cursor(1, 2, 3),
    cursor(["cal"], ["1"]),
    base64.urlsafe_b64encode(b"1").decode(),
    base64.urlsafe_b64encode(b"null").decode(),
    base64.urlsafe_b64encode(b"\xff").decode(),
    base64.urlsafe_b64encode(b"[" * 140).decode(),
]
INSTANTS = [
    "",
    "now",
    "2026-03-03",
    "2026-03-03T14:00:00",
    "1772546400",
    "2026-03-03T14:00:00+01:00",  # the plus of a query is a blank
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "99999-01-01T00:00:00Z",
    "%00",
]

# Path, what is wrong with its query, and the place that is named.
QUERIES: list[tuple[str, str, str]] = [
    *((AVAILABILITY, f"timezone={zone}", "query.timezone") for zone in ZONES),
    *((path, f"cursor={text}", "query.cursor") for path in (AVAILABILITY, LIST) for text in NO_CURSORS),
    *((path, f"start={text}", "query.start") for path in (AVAILABILITY, LIST, SHARES) for text in INSTANTS),
    *((path, f"end={text}", "query.end") for path in (AVAILABILITY, LIST, SHARES) for text in INSTANTS),
    *(
        (path, f"calendar_id={text}", "query.calendar_id")
        for path in (AVAILABILITY, LIST, SHARES)
        for text in ("", "%00", "cal%00", "c" * 101, "cal&calendar_id=other")
    ),
    *((LIST, f"coach_id={text}", "query.coach_id") for text in ("", "%00", "c" * 101)),
    *(
        (LIST, f"status={text}", "query.status")
        for text in ("", "SCHEDULED", "booked", "scheduled&status=cancelled")
    ),
    *(
        (path, f"limit={text}", "query.limit")
        for path, most in ((AVAILABILITY, 6001), (LIST, 201))
        for text in ("", "0", "-1", "1.5", "ten", "0x10", "9" * 400, str(most), "1&limit=2")
    ),
    *(
        (AVAILABILITY, f"days={text}", "query.days")
        for text in ("", "0", "-1", "61", "1.5", "week", "9" * 5000)
    ),
    *((AVAILABILITY, f"include={text}", "query.include") for text in ("", "credits", "coaches,coaches")),
    (AVAILABILITY, "days=7&start=2026-03-03T00:00:00Z", "query.days"),
    (AVAILABILITY, "days=7&end=2026-03-03T00:00:00Z", "query.days"),
    (AVAILABILITY, "start=2026-03-03T00:00:00Z&end=2026-03-03T00:00:00Z", "query.end"),
    (AVAILABILITY, "start=2026-03-04T00:00:00Z&end=2026-03-03T00:00:00Z", "query.end"),
    (AVAILABILITY, "start=2026-03-03T00:00:00Z&end=2026-05-02T00:00:01Z", "query.end"),
    (SHARES, "start=2026-03-03T00:00:00Z&end=2026-03-03T00:00:00Z", "query.end"),
    (SHARES, "start=9000-01-01T00:00:00Z", "query.end"),
]


def test_a_query_that_cannot_be_read_is_refused(team: Connection, subtests: pytest.Subtests) -> None:
    """Each wrong parameter is refused with 400, its place and its kind."""
    before = table_digests(team)
    for path, query, place in QUERIES:
        with subtests.test(f"{path}?{query[:60]}"):
            problem = check_problem(ask("GET", path, query=query), 400, "VALIDATION_ERROR")
            assert [detail["loc"] for detail in problem["details"]] == [place]
    assert table_digests(team) == before


def test_the_longest_stretch_is_sixty_days(team: Connection) -> None:
    """Sixty days are served, by their number or by their ends."""
    for query in ("days=60", "start=2026-03-03T00:00:00Z&end=2026-05-02T00:00:00Z"):
        assert ask("GET", AVAILABILITY, query=f"calendar_id=cal&{query}").status == 200


def test_stretches_far_from_now_are_empty(team: Connection) -> None:
    """A stretch in another century is no error, only empty."""
    for query in ("start=1900-01-01T00:00:00Z", "start=8000-01-01T00:00:00Z"):
        answer = ask("GET", AVAILABILITY, query=f"calendar_id=cal&{query}")
        assert answer.json["slots"] == []
        assert ask("GET", SHARES, query=f"{query}&end=9000-01-01T00:00:00Z").json["max_deviation"] == 0
        assert ask("GET", LIST, query=f"{query}&end=1800-01-01T00:00:00Z").json["data"] == []


def test_parameters_that_nobody_knows_are_left_aside(team: Connection) -> None:
    """A query may hold more than we know, as links with tracking do."""
    assert ask("GET", AVAILABILITY, query="calendar_id=cal&utm_source=x&%00=%00").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Idempotency-Key", "k" * 256)],
        [("X-Idempotency-Key", "")],
        [("Idempotency-Key", "")],
        [("X-Idempotency-Key", " ")],
        [("X-Idempotency-Key", "one"), ("Idempotency-Key", "")],
        [("X-Idempotency-Key", "schlüssel")],
        [("X-Idempotency-Key", "a\tb")],
        [("X-Idempotency-Key", "a\x00b")],
        [("X-Idempotency-Key", "one"), ("Idempotency-Key", "other")],
    ],
)
def test_an_idempotency_key_that_is_none_is_refused(team: Connection, headers: list[tuple[str, str]]) -> None:
    """Too long, empty, unprintable or contradicting keys are refused with 400, and nothing is booked."""
    before = table_digests(team)
    check_problem(book(headers=headers), 400, "VALIDATION_ERROR")
    assert table_digests(team) == before


def test_the_same_key_under_both_names_is_one(team: Connection) -> None:
    """Two headers that agree are one key; one that comes twice is read as the gateway joins it."""
    for value in ("key", "k" * 255):
        first = book(headers=[("X-Idempotency-Key", value), ("Idempotency-Key", value)])
        again = book(headers=[("idempotency-key", value)])
        assert first.status == again.status == 201
        assert first.json == again.json
    twice = book(headers=[("X-Idempotency-Key", "a"), ("X-Idempotency-Key", "b")])
    joined = book(headers=[("X-Idempotency-Key", "a,b")])
    assert twice.json == joined.json


def test_odd_headers_do_no_harm(team: Connection) -> None:
    """Headers that we do not read may hold anything."""
    headers = [("Accept", "*/*, */*"), ("Accept", ""), ("Cookie", "a=1; b"), ("X-Forwarded-For", "\x00")]
    headers += [("Content-Length", "-1"), ("Content-Encoding", "gzip"), ("Range", "bytes=0-1")]
    assert book(headers=headers).status == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api"),
        ("GET", "/api/appointment"),
        ("PUT", "/api/appointment"),
        ("GET", "/api/appointments//cancel"),
    ],
)
def test_what_is_no_route_is_not_there(team: Connection, method: str, path: str) -> None:
    """Another path is 404, whatever the method."""
    before = table_digests(team)
    check_problem(ask(method, path), 404, "NOT_FOUND")
    assert table_digests(team) == before


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/appointments", "GET, HEAD, POST"),
        ("DELETE", f"/api/appointments/{UUID(int=1)}", "GET, HEAD"),
        ("GET", f"/api/appointments/{UUID(int=1)}/cancel", "POST"),
        ("DELETE", "/api/availability", "GET, HEAD"),
        ("POST", "/api/availability/explain", "GET, HEAD"),
        ("OPTIONS", "/api/coaches/distribution", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("PATCH", "/openapi.json", "GET, HEAD"),
        ("GET", "/api/webhooks/calendar", "POST"),
        ("PUT", f"/api/webhook-endpoints/{UUID(int=1)}", "DELETE, GET, HEAD, PATCH"),
    ],
)
def test_a_path_is_not_for_every_method(team: Connection, method: str, path: str, allowed: str) -> None:
    """A method that a path is not for is 405, with those that it is for, by whichever function has it."""
    before = table_digests(team)
    answer = ask(method, path)
    check_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == allowed
    assert table_digests(team) == before


def test_head_is_get_without_a_body(team: Connection) -> None:
    """HEAD has the status and the headers of GET, also of a refusal, and counts as reading."""
    made = booked()
    add_key(team, "reader", scopes=["read"])
    paths = ["/health", "/openapi.json", f"{AVAILABILITY}?calendar_id=cal", LIST, SHARES]
    paths += [f"{LIST}/{made['appointment_id']}", f"{LIST}/{UUID(int=1)}", f"{LIST}/{UUID(int=1)}/cancel"]
    for full in paths:
        path, _, query = full.partition("?")
        get, head = (ask(method, path, query=query, key="reader") for method in ("GET", "HEAD"))
        assert head.status == get.status
        assert head.body == b""
        assert head.headers["content-type"] == get.headers["content-type"]
        assert head.headers.get("allow") == get.headers.get("allow")
    assert ask("HEAD", LIST, key=None).status == 401


@pytest.mark.parametrize("path", [AVAILABILITY, SHARES])
def test_a_calendar_that_is_unknown_is_not_there(team: Connection, path: str) -> None:
    """Asking about a calendar that does not exist is 404."""
    check_problem(ask("GET", path, query={"calendar_id": "nowhere"}), 404, "NOT_FOUND")
