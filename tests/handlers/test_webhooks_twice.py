"""Everything comes twice and in any order, to the dispatcher and to the results: one effect an id."""

import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import batched
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from tests.support import scripted_partner as partners
from tests.support.clock import NINE
from tests.support.dispatch import Dispatcher, dispatcher, record_results
from tests.support.endpoints import subscribed
from tests.support.http import ask, booked
from tests.support.invariants import check_invariants
from tests.support.scripted_partner import Received, answer
from tests.support.tables import table_digests

APPOINTMENTS = 5
CHANGES = 4


@pytest.fixture
def dispatch(team: Connection, sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up both functions, the queues between them and a subscriber that fails now and then."""
    with dispatcher(sqs, max_attempts=20) as made:
        made.partner.script = [answer(500, {})] * 4 + [partners.reset] * 2  # not enough to be left alone
        random.shuffle(made.partner.script)
        yield made


class Receiver:
    """What a customer does who passes over what they know: each id once, and no version after a newer one."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._ids: set[str] = set()
        self.repeated = 0
        self.stale = 0
        self.known: dict[str, dict[str, Any]] = {}

    def take(self, request: Received) -> None:
        """Take an event if it says something new."""
        event = self._webhook.verify(request.raw, dict(request.headers))
        data, id_ = event["data"], request.headers["webhook-id"]
        newest = self.known.get(data["appointment_id"], {"version": 0})["version"]
        if id_ in self._ids:
            self.repeated += 1
        elif event["version"] < newest:
            self.stale += 1
        else:
            assert event["version"] > newest, "two events of one version"
            self.known[data["appointment_id"]] = data
        self._ids.add(id_)


def change() -> list[str]:
    """Book, move twice and cancel; return the appointments."""
    made = []
    for number in range(APPOINTMENTS):
        start = NINE + timedelta(hours=number)
        appointment: str = booked(start)["appointment_id"]
        path = f"/api/appointments/{appointment}"
        for minutes in (15, 30):
            moved = {"start_time": (start + timedelta(minutes=minutes)).isoformat()}
            assert ask("POST", f"{path}/reschedule", moved).status == 200
        assert ask("POST", f"{path}/cancel").status == 200
        made.append(appointment)
    return made


def test_twice_and_shuffled_is_once_and_in_order(team: Connection, dispatch: Dispatcher) -> None:
    """Whoever keeps the highest version ends with what is, and every delivery is recorded as it was."""
    secret = subscribed("appointment.*", url=f"{dispatch.partner.url}/hook")["secret"]
    appointments = change()
    messages = dispatch.receive(at_least=APPOINTMENTS * CHANGES)
    for _ in range(2):  # what the partner refused once or twice it has taken by then
        twice = messages * 2
        random.shuffle(twice)
        for part in batched(twice, 10, strict=False):
            dispatch.invoke(part)

    receiver = Receiver(secret)
    for request in dispatch.partner.received:
        receiver.take(request)
    assert receiver.repeated >= APPOINTMENTS * CHANGES
    assert receiver.stale > 0
    assert set(receiver.known) == set(appointments)
    for appointment, told in receiver.known.items():
        shown = ask("GET", f"/api/appointments/{appointment}").json
        assert {name: told[name] for name in ("status", "start_time", "version")} == {
            name: shown[name] for name in ("status", "start_time", "version")
        }

    attempts = [attempt.to_json() for attempt in dispatch.attempts()]
    assert len(attempts) == len(messages) * 4
    reports = attempts * 2
    random.shuffle(reports)
    record_results(reports)
    recorded = team.execute(
        "SELECT status, count(*) AS n, count(DISTINCT delivery_id) AS deliveries FROM webhook_deliveries"
        " GROUP BY status"
    ).fetchall()
    assert recorded == [{"status": "delivered", "n": len(messages), "deliveries": len(messages)}]
    before = table_digests(team)
    record_results(reports)
    assert table_digests(team) == before
    check_invariants(team)
