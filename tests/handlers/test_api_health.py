"""Whether all is well, and how the work is shared."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from local.postgres import EmbeddedPostgres
from local.valkey import EmbeddedValkey
from tests.support.clock import HALF, MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint, set_delivery
from tests.support.fixtures import Clock, Environment
from tests.support.http import ask, booked
from tests.support.team import add_calendar

SHARE = {
    "coach_id",
    "name",
    "score",
    "weight",
    "appointments_count",
    "utilization",
    "assigned",
    "entitled",
    "entitled_share",
    "actual_share",
    "deviation",
    "credit",
}


def test_all_is_well(team: Connection, cache: Redis) -> None:
    """With everything there the answer is 200 and names each part."""
    answer = ask("GET", "/health", key=None)
    assert answer.status == 200
    assert answer.json == {
        "status": "ok",
        "database": {"status": "ok"},
        "cache": {"status": "ok"},
        "outbox": {"status": "ok", "waiting": 0},
    }


def test_without_a_cache_all_is_well(team: Connection) -> None:
    """A deployment that has no cache misses nothing."""
    answer = ask("GET", "/health", key=None)
    assert (answer.status, answer.json["status"], answer.json["cache"]) == (200, "ok", {"status": "unused"})


def test_a_dead_cache_is_told_and_bookings_go_on(
    team: Connection, cache: Redis, valkey: EmbeddedValkey
) -> None:
    """Bookings can be taken without the cache, so the answer stays 200, degraded."""
    valkey.stop()
    try:
        answer = ask("GET", "/health", key=None)
    finally:
        valkey.start()
    assert answer.status == 200
    assert answer.json["status"] == "degraded"
    assert (answer.json["cache"]["status"], answer.json["database"]["status"]) == ("down", "ok")


def test_a_dead_database_is_503(tmp_path: Path, environment: Environment) -> None:
    """Without the database no booking can be taken, and every other route says so too."""
    with EmbeddedPostgres(tmp_path) as server:
        environment(DATABASE_URL=server.url_of("postgres"))
        server.stop()
        answer = ask("GET", "/health", key=None)
        refused = ask("GET", "/api/appointments")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "status": "down",
        "database": {"status": "down"},
        "cache": {"status": "unused"},
        "outbox": {"status": "down", "waiting": 0},
    }
    assert (refused.status, refused.json["error"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(refused.headers["retry-after"]) > 0


def test_events_that_wait_are_told(team: Connection, clock: Clock) -> None:
    """Events that have waited longer than the grace for the queue make it degraded."""
    add_endpoint(team, "crm", "appointment.*")
    booked()
    set_delivery(team, created_at=NOW - MINUTE)
    answer = ask("GET", "/health", key=None)
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["outbox"] == {"status": "ok", "waiting": 1}


def test_the_distribution_of_a_calendar(team: Connection) -> None:
    """The answer has every coach with what they got and were owed, and the team's measures."""
    for step in range(6):
        booked(NINE + step * HALF)
    query = {"calendar_id": "cal", "start": "2026-03-01T00:00:00Z", "end": "2026-03-11T00:00:00Z"}
    found = ask("GET", "/api/coaches/distribution", query=query).json
    assert set(found) == {
        "calendar_id",
        "start",
        "end",
        "distribution",
        "fairness_score",
        "jain_index",
        "max_deviation",
        "bound",
        "bound_owed",
        "bound_ahead",
        "kinds",
    }
    assert (found["calendar_id"], found["start"], found["end"]) == ("cal", query["start"], query["end"])
    assert [share["coach_id"] for share in found["distribution"]] == ["coach-01", "coach-02", "coach-03"]
    for share in found["distribution"]:
        assert set(share) == SHARE
        assert share["name"] == share["coach_id"].title()
        assert (share["appointments_count"], share["entitled"]) == (2, pytest.approx(2, abs=1e-5))
        assert share["utilization"] == pytest.approx(2 / (10 * 10))
        assert share["actual_share"] == share["entitled_share"] == pytest.approx(1 / 3, abs=1e-5)
        assert (share["score"], share["weight"]) == (0.7, 1.0)
    assert sum(share["credit"] for share in found["distribution"]) == pytest.approx(0, abs=1e-5)
    assert found["fairness_score"] == found["jain_index"] == 1.0
    assert found["max_deviation"] == pytest.approx(0, abs=1e-5)
    assert found["bound"] == found["bound_owed"] == found["bound_ahead"] == 1.0
    (normal,) = found["kinds"]
    assert (normal["kind"], normal["bound"], len(normal["distribution"])) == ("normal", 1.0, 3)
    assert [share["assigned"] for share in normal["distribution"]] == [2, 2, 2]


def test_what_is_cancelled_is_nobodys_share(team: Connection) -> None:
    """A cancelled appointment counts neither as got nor as owed."""
    made = booked()
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    found = ask("GET", "/api/coaches/distribution", query={"calendar_id": "cal"}).json
    assert {share["appointments_count"] for share in found["distribution"]} == {0}
    assert {share["entitled"] for share in found["distribution"]} == {0.0}
    assert found["max_deviation"] == 0


def test_an_uneven_day_shows(team: Connection) -> None:
    """One booking of one coach is that coach's whole share, and the measures fall."""
    made = booked()
    found = ask("GET", "/api/coaches/distribution", query={"calendar_id": "cal"}).json
    shares = {share["coach_id"]: share for share in found["distribution"]}
    assert shares[made["coach_id"]]["actual_share"] == 1.0
    assert found["jain_index"] == pytest.approx(1 / 3, abs=1e-5)
    assert found["max_deviation"] == pytest.approx(2 / 3, abs=1e-5)
    assert found["max_deviation"] <= found["bound"]
    assert found["fairness_score"] < 1


def test_the_period_is_by_start_and_sixty_days_by_default(team: Connection) -> None:
    """Without a period it is the last thirty days and the next; an end cuts what starts then."""
    booked()
    found = ask("GET", "/api/coaches/distribution").json
    assert found["calendar_id"] is None
    assert datetime.fromisoformat(found["start"]) == NOW - timedelta(days=30)
    assert datetime.fromisoformat(found["end"]) == NOW + timedelta(days=30)
    assert sum(share["appointments_count"] for share in found["distribution"]) == 1
    early = ask("GET", "/api/coaches/distribution", query={"end": "2026-03-03T14:00:00Z"}).json
    assert sum(share["appointments_count"] for share in early["distribution"]) == 0


def test_an_empty_team_divides_by_nothing(team: Connection) -> None:
    """A calendar that nobody holds has a distribution without anybody."""
    add_calendar(team, "empty", [])
    found = ask("GET", "/api/coaches/distribution", query={"calendar_id": "empty"})
    assert found.status == 200
    assert found.json["distribution"] == []
    assert found.json["bound"] == 0
