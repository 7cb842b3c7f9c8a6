"""Customers are forgotten on a running stack while the CRM is still being told of them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from redis import Redis

from local.function_env import PYTHONPATH, ROOT
from tests.support.scripted_partner import Call, ScriptedPartner, answer, scripted_partner
from tests.support.stack import QUICK, Stack, book, running, starts, wait_until, wait_until_read

CUSTOMERS = 24
AT_ONCE = 3
MARK = "guest-"  # in every customer's name and address, and in nothing else
# A request that had begun before the answer may be read a moment after it, on a busy machine.
SLACK_SECONDS = 0.5
TAKEN = answer(200, {"success": True, "crm_id": "crm-1"})
BUSY = answer(503, {"success": False})


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """A customer by name, the appointment, and when the API had answered that they are forgotten."""

    name: str
    appointment_id: str
    at: float


@pytest.fixture
def crm() -> Iterator[ScriptedPartner]:
    """A CRM that answers every other request with 503, so that events are retried."""
    with scripted_partner() as partner:

        def behave(call: Call) -> None:
            (BUSY if len(partner.received) % 2 else TAKEN)(call)

        partner.always = behave
        yield partner


@pytest.fixture
def own(tmp_path: Path, crm: ScriptedPartner) -> Iterator[Stack]:
    """A stack with that CRM, its calendars read."""
    with running(tmp_path / "data", QUICK | {"CRM_WEBHOOK_URL": crm.url}) as stack:
        wait_until_read(stack)
        yield stack


def book_and_forget(stack: Stack, number: int, start_time: str) -> Forgotten:
    """Book for a customer and forget them, some at once and others after the first attempts."""
    name = f"{MARK}{number:02}"
    email = f"{name}@example.com"
    made = book(stack, start_time, contact_email=email, contact_name=name.upper())
    assert made.status_code == 201, made.text
    for _ in range(number % 4):
        starts(stack)  # something else to do
    answered = stack.api.delete(f"/api/contacts/{email}", params={"appointments": "cancel"})
    assert answered.status_code == 200, answered.text
    return Forgotten(name=name, appointment_id=made.json()["appointment_id"], at=time.monotonic())


def naming(database: psycopg.Connection[tuple[str]]) -> list[str]:
    """Return the tables with a row that names a customer."""
    tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    asked = sql.SQL("SELECT FROM {} AS t WHERE t::text ILIKE {} LIMIT 1")
    return [
        table
        for (table,) in tables
        if database.execute(asked.format(sql.Identifier(table), sql.Literal(f"%{MARK}%"))).rowcount
    ]


def test_nothing_names_customers_who_were_forgotten_while_webhooks_went_out(
    own: Stack, crm: ScriptedPartner
) -> None:
    """No request begins after the answer that names them, no trace is left, and all decisions replay."""
    times = [one["start_time"] for one in starts(own)][::3][:CUSTOMERS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        forgotten = list(pool.map(lambda item: book_and_forget(own, *item), enumerate(times)))
    with psycopg.connect(own.state["database_url"], autocommit=True) as database:
        pending = (
            "SELECT FROM changes LEFT JOIN webhook_deliveries ON event_id = change_id"
            " WHERE type LIKE 'appointment.%' AND (NOT told OR status = 'pending') LIMIT 1"
        )
        wait_until(lambda: database.execute(pending).rowcount == 0, 60, "every delivery has ended")
        late = [
            (one.name, received.at - one.at)
            for one in forgotten
            for received in crm.received
            if one.name in received.raw.decode().lower() and received.at > one.at + SLACK_SECONDS
        ]
        assert late == []
        ended = database.execute(
            "SELECT after ->> 'appointment_id', webhook_deliveries.status, reason"
            "  FROM (SELECT change_id, to_jsonb(after) AS after, type FROM changes) AS c"
            "  JOIN webhook_deliveries ON event_id = change_id JOIN webhook_endpoints USING (endpoint_id)"
            " WHERE webhook_endpoints.kind = 'crm' AND c.type = 'appointment.created'"
        ).fetchall()
        assert {id_ for id_, _, _ in ended} == {one.appointment_id for one in forgotten}
        how = {(status, reason) for _, status, reason in ended}
        assert ("cancelled", "contact_forgotten") in how
        assert how <= {("cancelled", "contact_forgotten"), ("delivered", None)}
        assert naming(database) == []
    with Redis.from_url(own.state["redis_url"]) as cache:
        assert [key for key in cache.scan_iter() if MARK.encode() in key + (cache.dump(key) or b"")] == []
    logs = [path for path in Path(own.state["logs"]).iterdir() if MARK in path.read_text("utf-8").lower()]
    assert logs == []
    replayed = subprocess.run(
        [sys.executable, "-m", "tools.replay"],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "DATABASE_URL": own.state["database_url"]},
        cwd=ROOT,
        check=False,
        text=True,
        capture_output=True,
    )
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
