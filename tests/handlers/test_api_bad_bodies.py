"""Bodies that cannot be served: each gets a clear problem and changes nothing."""

import base64
import json
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.clock import NINE, NOW
from tests.support.http import NOTHING, ask, book, booked, booking_body, check_problem, request, send
from tests.support.tables import count, table_digests

BOOK = "/api/appointments"
PLAIN = json.dumps(booking_body()).encode()
KEYED = {"X-Idempotency-Key": "key"}

# What is wrong, and with which status and where it is said.
MEMBERS: list[tuple[str, dict[str, Any], str]] = [
    ("no calendar", {"calendar_id": None}, "body.calendar_id"),
    ("no start", {"start_time": None}, "body.start_time"),
    ("no address", {"contact_email": None}, "body.contact_email"),
    ("no name", {"contact_name": None}, "body.contact_name"),
    ("empty calendar", {"calendar_id": ""}, "body.calendar_id"),
    ("long calendar", {"calendar_id": "c" * 101}, "body.calendar_id"),
    ("a number for the calendar", {"calendar_id": 1}, "body.calendar_id"),
    ("a list for the calendar", {"calendar_id": ["cal"]}, "body.calendar_id"),
    ("an object for the name", {"contact_name": {"first": "Zoë"}}, "body.contact_name"),
    ("true for the name", {"contact_name": True}, "body.contact_name"),
    ("blanks for the name", {"contact_name": "  \t "}, "body.contact_name"),
    ("a long name", {"contact_name": "z" * 201}, "body.contact_name"),
    ("long notes", {"notes": "n" * 4001}, "body.notes"),
    ("a number for the notes", {"notes": 5}, "body.notes"),
    ("no address at all", {"contact_email": "zoe"}, "body.contact_email"),
    ("no domain", {"contact_email": "zoe@"}, "body.contact_email"),
    ("two addresses", {"contact_email": "a@example.com, b@example.com"}, "body.contact_email"),
    (
        "a header in the address",
        {"contact_email": "zoe@example.com\r\nBcc: x@example.com"},
        "body.contact_email",
    ),
    ("a long address", {"contact_email": "z" * 3000 + "@example.com"}, "body.contact_email"),
    ("no offset", {"start_time": "2026-03-03T14:00:00"}, "body.start_time"),
    ("a date", {"start_time": "2026-03-03"}, "body.start_time"),
    (
        "a local start with a zone's name",
        {"start_time": "2026-03-03T09:00:00[America/New_York]"},
        "body.start_time",
    ),
    ("words", {"start_time": "tomorrow"}, "body.start_time"),
    ("the 30th of February", {"start_time": "2026-02-30T14:00:00Z"}, "body.start_time"),
    ("hour 25", {"start_time": "2026-03-03T25:00:00Z"}, "body.start_time"),
    ("an offset of 99 hours", {"start_time": "2026-03-03T14:00:00+99:00"}, "body.start_time"),
    ("seconds since 1970", {"start_time": NINE.timestamp()}, "body.start_time"),
    ("the same as text", {"start_time": str(int(NINE.timestamp()))}, "body.start_time"),
    ("before all time", {"start_time": "0001-01-01T00:00:00+14:00"}, "body.start_time"),
    ("after all time", {"start_time": "9999-12-31T23:45:00-14:00"}, "body.start_time"),
    ("the year 0", {"start_time": "0000-01-01T00:00:00Z"}, "body.start_time"),
    ("the year 10000", {"start_time": "10000-01-01T00:00:00Z"}, "body.start_time"),
    ("in the past", {"start_time": "2026-03-02T11:45:00Z"}, "body.start_time"),
    ("right now", {"start_time": NOW.isoformat()}, "body.start_time"),
    ("long ago", {"start_time": "1850-01-01T00:00:00Z"}, "body.start_time"),
    ("off the grid", {"start_time": "2026-03-03T14:05:00Z"}, "body.start_time"),
    ("off the grid by a microsecond", {"start_time": "2026-03-03T14:00:00.000001Z"}, "body.start_time"),
    ("off the grid by its offset", {"start_time": "2026-03-03T14:00:00+00:01"}, "body.start_time"),
    *(
        (f"U+{ord(one):04X} in a name", {"contact_name": f"Zoë{one}Secret"}, "body.contact_name")
        for one in "\n\x01\x1b\x7f\x85\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041"
    ),
    ("a name that cannot be seen", {"contact_name": "\u200d\u200c"}, "body.contact_name"),
    ("no such zone", {"timezone": "Mars/Olympus"}, "body.timezone"),
    ("a way out of the zones", {"timezone": "../etc/passwd"}, "body.timezone"),
    ("a folder of zones", {"timezone": "America"}, "body.timezone"),
    ("a file that is no zone", {"timezone": "zone.tab"}, "body.timezone"),
    ("an absolute path", {"timezone": "/etc/localtime"}, "body.timezone"),
    ("an empty zone", {"timezone": ""}, "body.timezone"),
    ("a number for the zone", {"timezone": 1}, "body.timezone"),
    ("an unknown member", {"coach_id": "coach-01"}, "body.coach_id"),
    ("another unknown member", {"__proto__": {}}, "body.__proto__"),
    ("a list for metadata", {"metadata": []}, "body.metadata"),
    ("text for metadata", {"metadata": "x"}, "body.metadata"),
    ("metadata of 16 KiB and a byte", {"metadata": {"a": "x" * (16 * 1024 - 7)}}, "body.metadata"),
    ("too many metadata", {"metadata": {str(n): n for n in range(51)}}, "body.metadata"),
]

# Bodies that are no JSON object at all.
UNREADABLE: list[tuple[str, bytes, int]] = [
    ("broken", b'{"calendar_id": ', 400),
    ("a form", b"calendar_id=cal&contact_name=Zoe", 400),
    ("two objects", PLAIN + PLAIN, 400),
    ("single quotes", b"{'calendar_id': 'cal'}", 400),
    ("NaN", PLAIN[:-1] + b', "metadata": {"a": NaN}}', 400),
    ("Infinity", PLAIN[:-1] + b', "metadata": {"a": -Infinity}}', 400),
    ("a number beyond all numbers", PLAIN[:-1] + b', "metadata": {"a": 1e999}}', 400),
    ("an endless number", PLAIN[:-1] + b', "metadata": {"a": ' + b"9" * 5000 + b"}}", 400),
    ("a NUL in a value", PLAIN.replace(b"Secret", b"Se\\u0000cret"), 400),
    ("a NUL in a deep name", PLAIN[:-1] + b', "metadata": {"a": [{"\\u0000": 1}]}}', 400),
    ("a raw NUL", PLAIN.replace(b"Secret", b"Se\x00cret"), 400),
    ("half a character", PLAIN.replace(b"Secret", b"\\ud83d"), 400),
    ("the other half in a name", PLAIN[:-1] + b', "metadata": {"\\ude00": 1}}', 400),
    ("deep arrays", PLAIN[:-1] + b', "metadata": {"a": ' + b"[" * 33 + b"]" * 33 + b"}}", 400),
    ("endless arrays", b"[" * 60_000, 400),
    (
        "endless and closed arrays",
        PLAIN[:-1] + b', "metadata": {"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
        400,
    ),
    ("endless objects", b'{"a":' * 9_000 + b"1" + b"}" * 9_000, 400),
    ("nothing", b"", 422),
    ("null", b"null", 422),
    ("true", b"true", 422),
    ("a number", b"5", 422),
    ("text", b'"cal"', 422),
    ("an empty array", b"[]", 422),
    ("the right object in an array", b"[" + PLAIN + b"]", 422),
    ("an empty object", b"{}", 422),
    ("64 KiB and a byte", PLAIN + b" " * (65_537 - len(PLAIN)), 413),
    ("10 MB", b" " * 10_000_000, 413),
]


def test_what_cannot_be_meant_is_said_by_its_place(team: Connection, subtests: pytest.Subtests) -> None:
    """Each wrong member is refused with 422, its place and its kind."""
    before = table_digests(team)
    for about, members, place in MEMBERS:
        with subtests.test(about):
            problem = check_problem(book(headers=KEYED, **members), 422, "VALIDATION_ERROR")
            assert [detail["loc"] for detail in problem["details"]] == [place]
            assert all(detail["type"] for detail in problem["details"])
    assert table_digests(team) == before


def test_all_that_is_wrong_is_said_at_once(team: Connection) -> None:
    """One answer names every place, and never repeats what was sent there."""
    answer = book(contact_email="zoe at home", contact_name=7, start_time="noon", color="red")
    problem = check_problem(answer, 422, "VALIDATION_ERROR")
    assert {detail["loc"] for detail in problem["details"]} == {
        "body.contact_email",
        "body.contact_name",
        "body.start_time",
        "body.color",
    }
    assert b"zoe at home" not in answer.body
    assert b"red" not in answer.body


def test_what_cannot_be_read_is_refused(team: Connection, subtests: pytest.Subtests) -> None:
    """Broken, endless and foreign bodies are refused, as text and in base64, whatever type they claim."""
    before = table_digests(team)
    for about, body, status in UNREADABLE:
        code = "PAYLOAD_TOO_LARGE" if status == 413 else "VALIDATION_ERROR"
        for kind in ("application/json", "application/octet-stream", "application/x-www-form-urlencoded"):
            with subtests.test(about, kind=kind):
                answer = ask("POST", BOOK, body, headers={"Content-Type": kind, **KEYED})
                check_problem(answer, status, code)
    assert table_digests(team) == before


def test_bytes_that_are_no_text_are_refused(team: Connection) -> None:
    """A body that is not UTF-8, or whose base64 is broken, is refused with 400."""
    before = table_digests(team)
    headers = {"Content-Type": "application/octet-stream"}
    for body in (
        b"\xff\xfe\x00",
        PLAIN.replace(b"Secret", b"\xe9"),
        json.dumps(booking_body()).encode("utf-16"),
    ):
        check_problem(ask("POST", BOOK, body, headers=headers), 400, "VALIDATION_ERROR")
    made = request("POST", BOOK, booking_body())
    check_problem(send({**made, "isBase64Encoded": True}), 400, "VALIDATION_ERROR")
    assert table_digests(team) == before


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "application/vnd.api+json", "text/plain", ""]
)
def test_the_declared_type_does_not_matter(team: Connection, kind: str) -> None:
    """A JSON body books whatever type it claims: curl sends a form's."""
    assert ask("POST", BOOK, PLAIN, headers={"Content-Type": kind}).status == 201


def test_a_body_in_base64_is_read(team: Connection) -> None:
    """The gateway may hand any body over in base64."""
    made = request("POST", BOOK, booking_body())
    made |= {"body": base64.b64encode(PLAIN).decode(), "isBase64Encoded": True}
    assert send(made).status == 201


def test_what_is_odd_but_right_is_taken(team: Connection, subtests: pytest.Subtests) -> None:
    """Emoji, long words, the largest body and a backslash before a u are nobody's mistake."""
    oddities: list[dict[str, Any]] = [
        {"contact_name": "  Zoë 🦊 O'Connor; DROP TABLE coaches;--  "},
        {"contact_name": "z" * 200, "notes": "n" * 4000},
        {"contact_name": "\u0633\u06cc\u062f\u0647\u200c\u0647\u0627 \u0915\u094d\u200d\u0937"},
        {"metadata": {"a": "é" * (8 * 1024 - 4)}},
        {"metadata": {"\\u0000": '"\\u0000x', "b": "\\\\u0000"}},
        {"notes": "\\u0000 is written with a backslash"},
        {"notes": "\uffff\u202e\x7f"},
        {"metadata": {"a": 1e20, "b": int("9" * 4000), "c": -0.0, "d": 5e-324, "": None}},
        {"metadata": {"a": [[[[{"b": []}]]]]}},
        {"timezone": "Pacific/Apia", "start_time": "2026-03-04T03:00:00+13:00"},
    ]
    for members in oddities:
        with subtests.test(str(members)[:40]):
            made = booked(**{"start_time": NINE.isoformat(), **members})
            shown = ask("GET", f"{BOOK}/{made['appointment_id']}")
            assert shown.status == 200
            for name in members.keys() & {"notes", "metadata"}:
                assert shown.json[name] == members[name]
            assert ask("POST", f"{BOOK}/{made['appointment_id']}/cancel").status == 200
    whole = json.dumps(booking_body()).encode()
    assert ask("POST", BOOK, whole + b" " * (65_536 - len(whole))).status == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (NOTHING, 200),
        (b"", 200),
        (b"null", 200),
        ({}, 200),
        ({"by": "coach", "reason": "ill"}, 200),
        ({"by": "nobody"}, 422),
        ({"reason": "r" * 1001}, 422),
        ({"reason": 5}, 422),
        ({"because": "ill"}, 422),
        ([], 422),
        (b"{", 400),
    ],
)
def test_cancelling_needs_no_body(team: Connection, body: object, status: int) -> None:
    """A cancellation may say who and why, or nothing at all; nonsense is refused and cancels nothing."""
    made = booked()
    answer = ask("POST", f"{BOOK}/{made['appointment_id']}/cancel", body)
    assert answer.status == status, answer
    cancelled = team.execute("SELECT FROM coach_appointments WHERE status = 'cancelled'").rowcount
    assert cancelled == (status == 200)


@pytest.mark.parametrize(
    "name", ["nothing", "123", "x" * 300, "%00", "..", "a%2Fb", "0d5f4ca6-12c3-4e07-8a01-577ae416193f"]
)
def test_an_id_that_cannot_be_is_not_there(team: Connection, name: str) -> None:
    """An appointment's id that is no UUID is as unknown as one that is."""
    before = table_digests(team)
    for method, path in (("GET", f"{BOOK}/{name}"), ("POST", f"{BOOK}/{name}/cancel")):
        check_problem(ask(method, path), 404, "NOT_FOUND")
    assert table_digests(team) == before


def test_an_unknown_calendar_is_not_there(team: Connection) -> None:
    """Booking a calendar that does not exist is 404 and changes nothing."""
    before = table_digests(team)
    check_problem(book(calendar_id="nowhere", headers=KEYED), 404, "NOT_FOUND")
    check_problem(book(calendar_id="' OR 1=1 --", headers=KEYED), 404, "NOT_FOUND")
    assert table_digests(team) == before
    assert count(team, "coach_appointments") == 0
