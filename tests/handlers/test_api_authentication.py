"""Who may call: keys, tokens and scopes, on every route."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from fairslot.access import keys
from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.fixtures import Environment
from tests.support.http import ALL_SCOPES, KEY, NOTHING, Answer, add_key, ask, book, booked, check_problem
from tests.support.tables import table_digests

CLOSED = [operation for operation in operations() if operation.described.get("security") != []]


def call(operation: Operation, **more: Any) -> Answer:
    """Call an operation about things that do not exist."""
    path = re.sub(r"{\w+}", str(uuid4()), operation.path)
    return ask(operation.method, path, NOTHING if operation.method in {"GET", "DELETE"} else {}, **more)


READING = (
    "explain_availability get_appointment get_decision get_distribution list_appointments list_availability"
    " list_soonest"
)
CHANGING = (
    "cancel_appointment create_appointment create_hold delete_hold reassign_appointment"
    " receive_calendar_event report_outcome reschedule_appointment"
)


def scope(operation: Operation) -> str:
    """Return the scope that the description asks for."""
    found = re.search(r"Needs the scope `(read|write|admin)`", operation.described["description"])
    assert found is not None, operation.name
    return found[1]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "nobody"},
        {"X-API-Key": "k" * 10_000},
        {"X-API-Key": "ключ\x00"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nobody"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
    ],
)
def test_without_a_known_key_nothing_is_answered(team: Connection, headers: dict[str, str]) -> None:
    """Every route but the open ones wants a key, says how to give it, and does nothing."""
    before = table_digests(team)
    for operation in CLOSED:
        answer = call(operation, key=None, headers=headers)
        check_problem(answer, 401, "AUTHENTICATION_FAILED")
        assert answer.headers["www-authenticate"].startswith("ApiKey ")
        assert not [name for name in answer.headers if "ratelimit" in name]
    assert table_digests(team) == before


def test_the_caller_is_judged_before_the_request(team: Connection) -> None:
    """A stranger learns nothing about what is right or wrong with a request, or which routes there are."""
    for path, body in (
        ("/api/appointments", b"{"),
        ("/api/appointments", {"nonsense": 1}),
        ("/api/nothing", {}),
        ("/", NOTHING),
    ):
        check_problem(ask("POST", path, body, key=None), 401, "AUTHENTICATION_FAILED")


def test_where_there_is_no_route_no_scope_is_needed(team: Connection) -> None:
    """Any known key is told that there is no such path, or which methods the path has."""
    add_key(team, "none", scopes=())
    for method in ("GET", "POST", "DELETE"):
        check_problem(ask(method, "/api/nothing", key="none"), 404, "NOT_FOUND")
    for path in ("/api/availability", "/health", "/api/webhook-endpoints"):
        check_problem(ask("PUT", path, key="none"), 405, "METHOD_NOT_ALLOWED")
        check_problem(ask("PUT", path, key=None), 401, "AUTHENTICATION_FAILED")


def test_a_revoked_key_is_nobodys(team: Connection) -> None:
    """A key that was revoked opens nothing."""
    add_key(team, "revoked-key", revoked=True)
    check_problem(book(key="revoked-key"), 401, "AUTHENTICATION_FAILED")


def test_without_a_cache_a_revoked_key_is_refused_at_once(team: Connection) -> None:
    """Nothing tells the process that its keys have changed, so it takes nothing that it remembers."""
    assert ask("GET", "/api/appointments").status == 200
    team.execute("UPDATE api_keys SET revoked_at = now()")
    check_problem(ask("GET", "/api/appointments"), 401, "AUTHENTICATION_FAILED")


def test_a_key_revoked_by_sql_is_refused_once_it_is_forgotten(
    team: Connection, cache: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of a key holds for its time and no longer, also where nobody told of the change."""
    assert ask("GET", "/api/appointments").status == 200
    team.execute("UPDATE api_keys SET revoked_at = now()")
    assert ask("GET", "/api/appointments").status == 200
    keys.clear_cache()
    monkeypatch.setattr(keys, "_REMEMBER_SECONDS", 0.0)
    add_key(team, "short-lived")
    assert ask("GET", "/api/appointments", key="short-lived").status == 200
    team.execute("UPDATE api_keys SET revoked_at = now()")
    check_problem(ask("GET", "/api/appointments", key="short-lived"), 401, "AUTHENTICATION_FAILED")
    check_problem(ask("GET", "/api/appointments"), 401, "AUTHENTICATION_FAILED")


def test_a_key_without_the_scope_is_refused(team: Connection) -> None:
    """No other scope stands in for the one that is needed; a refusal changes nothing."""
    for one in ALL_SCOPES:
        add_key(team, f"all-but-{one}", scopes=[other for other in ALL_SCOPES if other != one])
    add_key(team, "none", scopes=())
    before = table_digests(team)
    for operation in CLOSED:
        for key in ("none", f"all-but-{scope(operation)}"):
            check_problem(call(operation, key=key), 403, "FORBIDDEN")
    assert table_digests(team) == before


def test_the_scope_that_is_needed_is_enough(team: Connection) -> None:
    """With the one scope that the description names a call is let in."""
    for one in ALL_SCOPES:
        add_key(team, f"only-{one}", scopes=[one])
    for operation in CLOSED:
        assert call(operation, key=f"only-{scope(operation)}").status not in {401, 403}, operation.name


def test_reading_writing_and_managing_are_three_things() -> None:
    """To read what is to be booked and to change appointments; all else is for administrators alone."""
    scopes = {"read": READING, "write": CHANGING}
    assert {one.name: scope(one) for one in CLOSED if scope(one) != "admin"} == {
        name: one for one, names in scopes.items() for name in names.split()
    }


def test_a_narrow_key_does_what_it_is_for(team: Connection) -> None:
    """A reading key reads and a writing key writes."""
    add_key(team, "reader", scopes=("read",))
    add_key(team, "writer", scopes=("write",))
    assert ask("GET", "/api/availability", key="reader").status == 200
    assert book(key="writer").status == 201


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_is_as_good_as_a_key(team: Connection, scheme: str) -> None:
    """The same secret is taken from Authorization."""
    headers = {"Authorization": f"{scheme} {KEY}"}
    assert ask("GET", "/api/appointments", key=None, headers=headers).status == 200


def test_two_credentials_are_none(team: Connection) -> None:
    """Which of two callers a request is by must not depend on who reads it, even if both are known."""
    add_key(team, "another")
    for key, second in ((KEY, "nobody"), ("nobody", KEY), (KEY, KEY), (KEY, "another"), ("", KEY)):
        answer = book(key=key, headers={"Authorization": f"Bearer {second}"})
        check_problem(answer, 401, "AUTHENTICATION_FAILED")
    check_problem(book(headers={"Authorization": ""}), 401, "AUTHENTICATION_FAILED")


def test_a_key_given_twice_is_nobodys(team: Connection) -> None:
    """The gateway joins headers that come twice, and no key has a comma in it."""
    answer = ask("GET", "/api/appointments", key=None, headers=[("X-API-Key", KEY), ("x-api-key", KEY)])
    check_problem(answer, 401, "AUTHENTICATION_FAILED")


def test_health_and_the_contract_are_open(team: Connection) -> None:
    """Neither wants a key."""
    assert ask("GET", "/health", key=None).status == 200
    contract = ask("GET", "/openapi.json", key=None)
    assert contract.status == 200
    assert contract.headers["content-type"] == "application/json"
    assert contract.json["info"]["title"] == "Fairslot"


class _Judge(BaseHTTPRequestHandler):
    """An auth service: `good` may read at 7 a minute, `mute` breaks it, and all others are nobody's."""

    asked: list[str]

    def do_POST(self) -> None:
        key = self.headers["X-API-Key"]
        type(self).asked.append(f"{self.path} {key}")
        status, body = {
            "good": (
                200,
                b'{"valid":true,"key_type":"x","rate_limit":{"limit":7},"permissions":{"read":true,"write":false}}',
            ),
            "mute": (200, b"[]"),
            "down": (503, b'{"retry_after": 5}'),
        }.get(key, (401, b'{"valid": false}'))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service(environment: Environment) -> Iterator[type[_Judge]]:
    """The auth service, asked instead of our own table."""
    _Judge.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Judge) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        environment(AUTH_SERVICE_URL=f"http://127.0.0.1:{server.server_port}")
        yield _Judge
        server.shutdown()
        thread.join()


def test_the_auth_service_decides_where_there_is_one(team: Connection, service: type[_Judge]) -> None:
    """Its permissions are the scopes, its limit the limit, and its answer is remembered."""
    booked_key = KEY  # known to our own table, which is not asked
    answer = ask("GET", "/api/availability", key="good")
    assert answer.status == 200
    assert answer.headers["x-ratelimit-limit"] == "7"
    check_problem(book(key="good"), 403, "FORBIDDEN")
    assert service.asked == ["/validate good"]
    check_problem(ask("GET", "/api/availability", key=booked_key), 401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("key", ["mute", "down"])
def test_a_broken_auth_service_lets_nobody_in(team: Connection, service: type[_Judge], key: str) -> None:
    """An answer that cannot be read is no permission; the client is told to try again."""
    answer = ask("GET", "/api/availability", key=key)
    check_problem(answer, 503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


def test_a_dead_auth_service_lets_nobody_in(team: Connection, environment: Environment) -> None:
    """Without the service nobody is let in, and nothing is booked."""
    environment(AUTH_SERVICE_URL="http://127.0.0.1:1")
    before = table_digests(team)
    check_problem(book(), 503, "SERVICE_UNAVAILABLE")
    environment(AUTH_SERVICE_URL="")
    assert table_digests(team) == before
    booked()
