"""The stand-in CRM keeps the partner's contract: one effect per idempotency key."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.partner_process import partner

EVENT = {
    "appointment_id": "a-1",
    "contact_name": "Ada",
    "contact_email": "ada@example.com",
    "status": "scheduled",
}


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[httpx.Client]:
    with partner("crm", tmp_path) as client:
        yield client


def post(crm: httpx.Client, key: str, what: str = "created", **body: str) -> httpx.Response:
    return crm.post(
        f"/webhooks/appointment-{what}", json={**EVENT, **body}, headers={"X-Idempotency-Key": key}
    )


def test_a_key_has_one_effect(crm: httpx.Client) -> None:
    """The same key again, even at once, is acknowledged and logged once."""
    first = post(crm, "k-1").json()
    assert set(first) == {"success", "crm_id", "contact_id"}
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda _: post(crm, "k-1").json(), range(8)))
    assert again == [{"success": True, "message": "Already processed"}] * 8
    log = crm.get("/webhooks/log").json()
    assert log["total"] == 1
    assert set(log["webhooks"][0]) == {"received_at", "path", "idempotency_key", "body", "crm_id"}
    assert log["webhooks"][0]["body"] == EVENT
    assert log["webhooks"][0]["crm_id"] == first["crm_id"]


def test_updates_are_of_the_record_that_was_created(crm: httpx.Client) -> None:
    """The log has an appointment's crm_id with its later events, and its contact lists it once."""
    created = post(crm, "k-1").json()
    for key, what in (("k-2", "updated"), ("k-3", "cancelled")):
        assert post(crm, key, what).json() == {"success": True}
    assert post(crm, "k-4", "updated", appointment_id="a-unknown").json() == {"success": True}
    known = [line["crm_id"] for line in crm.get("/webhooks/log").json()["webhooks"]]
    assert known == [created["crm_id"]] * 3 + [None]
    assert post(crm, "k-5", appointment_id="a-2").json()["contact_id"] == created["contact_id"]
    contact = crm.get(f"/contacts/{created['contact_id']}").json()
    assert contact == {
        "contact_id": created["contact_id"],
        "name": "Ada",
        "email": "ada@example.com",
        "appointments": ["a-1", "a-2"],
    }
    assert crm.get("/contacts/con_unknown").status_code == 404
    log = crm.get("/webhooks/log", params={"limit": 2}).json()
    assert [line["idempotency_key"] for line in log["webhooks"]] == ["k-4", "k-5"]
    assert log["total"] == 5


def test_bad_events_are_refused(crm: httpx.Client) -> None:
    """A key and a JSON object are needed; an unknown path is 404; none leaves a trace."""
    assert crm.post("/webhooks/appointment-created", json=EVENT).status_code == 400
    bad = crm.post("/webhooks/appointment-created", content=b"[1]", headers={"X-Idempotency-Key": "k"})
    assert bad.status_code == 400
    assert post(crm, "k", "moved").status_code == 404
    assert crm.get("/webhooks/log").json() == {"webhooks": [], "total": 0}


def test_faults_have_no_effect(crm: httpx.Client) -> None:
    """An event whose response was 503 or invalid is new when it is retried."""
    for fault in ({"failure_rate": 1}, {"failure_rate": 0, "garbage_rate": 1}):
        crm.post("/control", json=fault)
        post(crm, "k-1")
        assert crm.get("/webhooks/log").json()["total"] == 0
    crm.post("/control", json={"garbage_rate": 0})
    assert "crm_id" in post(crm, "k-1").json()


def test_the_log_is_there_after_a_restart(tmp_path: Path) -> None:
    """What was acknowledged stays known."""
    with partner("crm", tmp_path) as client:
        post(client, "k-1")
    with partner("crm", tmp_path) as client:
        assert post(client, "k-1").json()["message"] == "Already processed"
        assert client.get("/health").json()["status"] == "healthy"
