"""The dispatcher, the record and a calendar that lists its blocks: ours is found again, whatever was lost."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from background import maintenance
from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from tests.support.clock import HOUR, NOW
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.endpoints import add_endpoint, set_delivery
from tests.support.fixtures import Clock
from tests.support.http import ask, booked, get_appointment
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.partner_process import partner
from tests.support.readings import connect_calendars


@pytest.fixture
def calendar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A calendar that lists its blocks."""
    with partner("calendar_api", tmp_path_factory.mktemp("calendar")) as made:
        yield made


@pytest.fixture
def dispatch(team: Connection, sqs: SqsStandIn, calendar: httpx.Client) -> Iterator[Dispatcher]:
    """The dispatcher and its queues; the coaches' calendars are behind the calendar API, the CRM is told."""
    connect_calendars(team)
    add_endpoint(team, "calendar_api", "appointment.*")
    add_endpoint(team, "crm", "appointment.conflict")
    with dispatcher(sqs, CALENDAR_API_URL=str(calendar.base_url)) as made:
        yield made


def lose_results(dispatch: Dispatcher) -> None:
    """Make the attempts that are due, and let nobody hear of them."""
    dispatch.work()
    assert dispatch.attempts() != []


def sweep(clock: Clock, hours: int = 2) -> None:
    """Do what maintenance does every minute, so many hours from now."""
    clock(NOW + hours * HOUR)
    maintenance.lambda_handler({"task": "outbox"}, context())


def overdue(team: Connection) -> None:
    """Have what was sent be long silent."""
    set_delivery(team, published_at=NOW - HOUR)


def blocks(calendar: httpx.Client) -> list[dict[str, Any]]:
    """Return what the calendar holds."""
    found: list[dict[str, Any]] = calendar.get("/blocks").json()["blocks"]
    return found


def test_a_block_of_which_nobody_heard_is_adopted(
    team: Connection, dispatch: Dispatcher, calendar: httpx.Client, clock: Clock
) -> None:
    """The result is lost, the sweep sends the message again, the calendar refuses and lists: no conflict."""
    made = booked()
    lose_results(dispatch)
    overdue(team)
    sweep(clock)
    dispatch.work()
    dispatch.record_results()
    [block] = blocks(calendar)
    found = get_appointment(made)
    assert (found["external_calendar_id"], found["external_block"]) == (block["block_id"], "confirmed")
    assert (found["conflict"], found["version"], dispatch.left()) == (False, 1, 0)
    [delivery] = ask("GET", "/api/deliveries").json["data"]
    assert (delivery["status"], delivery["reason"]) == ("delivered", None)
    assert [one["error"] for one in delivery["attempts"]] == ["already_blocked"]


def test_a_block_of_which_nobody_heard_goes_with_its_appointment(
    team: Connection, dispatch: Dispatcher, calendar: httpx.Client, clock: Clock
) -> None:
    """Cancelled meanwhile: what is found is released."""
    made = booked()
    lose_results(dispatch)
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    overdue(team)
    sweep(clock)
    for _ in range(2):
        dispatch.work()
        dispatch.record_results()
    assert blocks(calendar) == []
    assert (get_appointment(made)["external_block"], dispatch.left()) == (None, 0)


def counted(capsys: pytest.CaptureFixture[str]) -> list[float]:
    """Return how many unconfirmed blocks the last sweep counted."""
    lines = [line for line in json_lines(capsys) if "BlocksUnconfirmed" in line]
    found: list[float] = lines[-1]["BlocksUnconfirmed"]
    return found


def test_a_block_that_was_never_confirmed_is_looked_for(
    team: Connection,
    dispatch: Dispatcher,
    calendar: httpx.Client,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its message ended as a dead letter, its appointment is cancelled: it is found and released."""
    made = booked()
    lose_results(dispatch)
    [message] = team.execute("SELECT message FROM engine.delivery_messages()").fetchall()
    dispatch.sqs.send_message(QueueUrl=dispatch.dead, MessageBody=json.dumps(message["message"]))
    maintenance.lambda_handler({"task": "dead_letters"}, context())
    assert get_appointment(made)["external_block"] == "unconfirmed"
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    sweep(clock)
    assert counted(capsys) == [1.0]
    for _ in range(2):
        dispatch.work()
        dispatch.record_results()
    assert blocks(calendar) == []
    assert (get_appointment(made)["external_block"], dispatch.left()) == (None, 0)
    sweep(clock, hours=3)
    assert counted(capsys) == [0.0]


def test_somebody_elses_block_is_a_conflict_all_the_same(
    team: Connection, dispatch: Dispatcher, calendar: httpx.Client
) -> None:
    """One that is at the very time is none of ours where this was the first attempt."""
    made = booked()
    times = {name: made[name] for name in ("start_time", "end_time")}
    assert calendar.post(f"/coaches/{made['coach_id']}/block-slot", json=times).status_code == 200
    dispatch.work()
    dispatch.record_results()
    found = get_appointment(made)
    assert (found["conflict"], found["external_calendar_id"], found["external_block"]) == (True, None, None)
