"""One effect for an idempotency key: repeated, repeated differently, and whatever the cache does."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from fairslot.booking import appointments
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.clock import HOUR, NINE, NOW
from tests.support.endpoints import subscribed
from tests.support.fixtures import Clock, Environment
from tests.support.http import Answer, ask, book, booking_body, check_problem
from tests.support.invariants import check_invariants
from tests.support.tables import count, table_digests

KEY = {"X-Idempotency-Key": "key-1"}
PATH = "/api/appointments"


@pytest.fixture
def restarted(valkey: EmbeddedValkey, cache: Redis) -> Iterator[EmbeddedValkey]:
    """The cache's server, for tests that stop it."""
    yield valkey
    if valkey.pid is None:
        valkey.start()


def check_replayed(again: Answer, first: Answer) -> None:
    """Assert that an answer is the first one, given again."""
    assert again.status == first.status in {200, 201}
    assert again.json == first.json
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("name", ["X-Idempotency-Key", "Idempotency-Key", "x-idempotency-key"])
def test_a_repetition_gets_the_first_answer(team: Connection, cache: Redis, name: str) -> None:
    """The same key with the same body is answered as before and books nothing, under either header."""
    first = book(headers={name: "a key: with, anything ~ printable"})
    before = table_digests(team)
    for _ in range(3):
        check_replayed(book(headers={name: "a key: with, anything ~ printable"}), first)
    assert table_digests(team) == before
    assert count(team, "coach_appointments") == 1


def test_the_cache_alone_can_answer(team: Connection, cache: Redis) -> None:
    """What the cache remembers is answered without the database's record."""
    first = book(headers=KEY)
    team.execute("ALTER TABLE changes DISABLE TRIGGER changes_kept")
    team.execute("DELETE FROM changes")
    check_replayed(book(headers=KEY), first)
    assert count(team, "coach_appointments") == 1


def test_the_database_alone_can_answer(team: Connection, cache: Redis) -> None:
    """A cache that has forgotten everything changes nothing."""
    first = book(headers=KEY)
    cache.flushall()
    check_replayed(book(headers=KEY), first)
    assert count(team, "coach_appointments") == 1


def test_without_a_cache_the_database_answers(team: Connection) -> None:
    """Where no cache is configured keys work all the same."""
    first = book(headers=KEY)
    check_replayed(book(headers=KEY), first)
    assert count(team, "coach_appointments") == 1


def test_a_cache_that_is_down_before_changes_nothing(
    team: Connection, restarted: EmbeddedValkey, environment: Environment
) -> None:
    """With the cache down at the first try, at the second or at both there is one booking."""
    restarted.stop()
    first = book(headers=KEY)
    check_replayed(book(headers=KEY), first)
    restarted.start()
    environment()
    check_replayed(book(headers=KEY), first)
    assert count(team, "coach_appointments") == 1


def test_a_cache_that_dies_after_the_work_changes_nothing(
    team: Connection, restarted: EmbeddedValkey, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the answer cannot be saved it is given all the same, and the retry gets it again."""
    real = appointments.book

    def book_and_stop(*given: Any, **named: Any) -> ChangeResult:
        done = real(*given, **named)
        restarted.stop()
        return done

    with monkeypatch.context() as patch:
        patch.setattr(appointments, "book", book_and_stop)
        first = book(headers=KEY)
    assert first.status == 201
    check_replayed(book(headers=KEY), first)
    restarted.start()
    environment()
    check_replayed(book(headers=KEY), first)
    assert count(team, "coach_appointments") == 1
    assert count(team, "changes") == 1


def test_the_order_and_the_spelling_of_a_body_do_not_matter(team: Connection, cache: Redis) -> None:
    """A client that writes the same members in another order repeats itself."""
    first = book(headers=KEY, notes="Zoë")
    turned = dict(reversed(booking_body(notes="Zoë").items()))
    check_replayed(ask("POST", PATH, turned, headers=KEY), first)
    escaped = str(turned).replace("'", '"').replace("ë", "\\u00eb").encode()
    check_replayed(ask("POST", PATH, escaped, headers=KEY), first)


def test_however_it_is_written_it_is_the_same_request(team: Connection, cache: Redis) -> None:
    """Another offset, defaults written out, an id in capitals: what counts is what was understood."""
    first = book("2026-03-03T14:00:00Z", headers=KEY)
    for start in ("2026-03-03T14:00:00+00:00", "2026-03-03t09:00:00.000-05:00"):
        check_replayed(book(start, headers=KEY), first)
    written_out: dict[str, Any] = {"notes": None, "timezone": None, "metadata": {}, "hold_id": None}
    check_replayed(ask("POST", PATH, booking_body() | written_out, headers=KEY), first)
    path = f"{PATH}/{first.json['appointment_id']}/cancel"
    other = {"X-Idempotency-Key": "key-2"}
    gone = ask("POST", path, headers=other)
    for body in ({}, {"by": "customer"}, {"by": "customer", "reason": None}):
        check_replayed(ask("POST", path, body, headers=other), gone)
    check_replayed(
        ask(
            "POST", path.upper().replace("/API/APPOINTMENTS", PATH).replace("CANCEL", "cancel"), headers=other
        ),
        gone,
    )
    check_problem(ask("POST", path, {"by": "coach"}, headers=other), 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_hold_is_named_in_either_case(team: Connection) -> None:
    """Ids in the path and in the body are read before they are compared."""
    wanted = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    hold_id = ask("POST", "/api/holds", wanted, headers={"X-Idempotency-Key": "hold"}).json["hold_id"]
    again = ask("POST", "/api/holds", wanted | {"minutes": 5}, headers={"X-Idempotency-Key": "hold"})
    assert again.json["hold_id"] == hold_id
    first = book(headers=KEY, hold_id=hold_id)
    check_replayed(book(headers=KEY, hold_id=hold_id.upper()), first)


def test_what_a_change_of_an_endpoint_leaves_out_is_not_its_default(team: Connection, kms: None) -> None:
    """Null takes a number away, leaving it out keeps it: two requests."""
    endpoint = f"/api/webhook-endpoints/{subscribed()['endpoint_id']}"
    assert ask("PATCH", endpoint, {"description": "x"}, headers=KEY).status == 200
    other = {"description": "x", "concurrency": None}
    check_problem(ask("PATCH", endpoint, other, headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("cached", ["cached", "flushed"])
def test_another_request_under_the_same_key_is_refused(team: Connection, cache: Redis, cached: str) -> None:
    """The same key with another body, or for another thing, is 422 and changes nothing."""
    made = book(headers=KEY).json
    before = table_digests(team)
    if cached == "flushed":
        cache.flushall()
    others = [
        book(NINE + HOUR, headers=KEY),
        book(headers=KEY, notes="one more thing"),
        book(headers=KEY, metadata={"a": 1}),
        ask("POST", f"{PATH}/{made['appointment_id']}/cancel", headers=KEY),
    ]
    for answer in others:
        check_problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")
    assert table_digests(team) == before


def test_cancelling_is_repeated_too(team: Connection, cache: Redis) -> None:
    """A repeated cancellation is answered as before, not refused for being cancelled."""
    path = f"{PATH}/{book().json['appointment_id']}/cancel"
    first = ask("POST", path, {"reason": "ill"}, headers=KEY)
    before = table_digests(team)
    check_replayed(ask("POST", path, {"reason": "ill"}, headers=KEY), first)
    cache.flushall()
    check_replayed(ask("POST", path, {"reason": "ill"}, headers=KEY), first)
    assert table_digests(team) == before
    check_invariants(team)


def test_a_refusal_is_not_remembered(team: Connection, cache: Redis) -> None:
    """What was refused may be tried again under its key once it can be had."""
    taken = [book().json for _ in range(3)]
    check_problem(book(headers=KEY), 409, "SLOT_UNAVAILABLE")
    check_problem(book(headers=KEY, calendar_id="nowhere"), 404, "NOT_FOUND")
    assert ask("POST", f"{PATH}/{taken[0]['appointment_id']}/cancel").status == 200
    answer = book(headers=KEY)
    assert answer.status == 201
    assert "idempotent-replayed" not in answer.headers


def test_an_error_of_ours_is_not_remembered(team: Connection, cache: Redis) -> None:
    """After a 500 the same request under the same key is served as if it were the first."""
    team.execute("ALTER TABLE turns RENAME TO gone")
    for _ in range(2):
        check_problem(book(headers=KEY), 500, "INTERNAL_ERROR")
    team.execute("ALTER TABLE gone RENAME TO turns")
    assert count(team, "coach_appointments") == 0
    answer = book(headers=KEY)
    assert answer.status == 201
    assert "idempotent-replayed" not in answer.headers


def test_a_key_is_free_again_after_its_time(team: Connection, clock: Clock, environment: Environment) -> None:
    """A key holds as long as is configured, to the second, and means nothing afterwards."""
    environment(IDEMPOTENCY_HOURS="2")
    first = book(headers=KEY)
    clock(NOW + timedelta(hours=2, seconds=-1))
    check_replayed(book(headers=KEY), first)
    clock(NOW + timedelta(hours=2))
    other = book(headers=KEY, notes="new")
    assert other.status == 201
    assert other.json != first.json
    check_replayed(book(headers=KEY, notes="new"), other)
