"""A process killed at each step between the commit and the recorded result: nothing is lost or acts twice."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Literal, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from local.postgres import EmbeddedPostgres
from local.processes import free_port
from tests.support.processes import function_processes, kill, owner
from tests.support.proxies import Halt, HaltingProxy, Where, http_has_answered, postgres_has_answered
from tests.support.stack import QUICK, blocks, crm_paths, start, starts, wait_until, wait_until_read
from tests.support.stack_webhooks import StackWebhooks, stack_webhooks

# Longer than a sweep takes to come, and a message to come back.
HALT_SECONDS = 30.0
# And than a process takes from a message to its result, on a busy machine too.
VISIBILITY_SECONDS = 4
# The sweep leaves a change alone for longer than it mostly takes to see how things stand at a halt.
GRACE_SECONDS = 4
TRIES = 3


@dataclass(frozen=True)
class Cut:
    """Where a process is stopped: a request of it to a part, by what is in it, or that part's answer.

    In the markers NAME stands for the subscriber's, which is also the customer's, and ENDPOINT for its id.
    """

    part: Literal["database", "queues", "subscriber"]
    where: Where
    function: str
    markers: Sequence[str]


@dataclass(frozen=True)
class Step:
    """The cuts that lead to it, each ending in a kill, and how things stand at the last one.

    `made`: whether the event has its delivery; `published`: whether the outbox says that it was sent;
    `taken`: how often the subscriber took it; `recorded`: how many attempts are. None where that goes on
    without the process. `again`: the subscriber is told once more afterwards.
    """

    cuts: Sequence[Cut]
    made: bool = True
    published: bool | None = None
    taken: int | None = None
    recorded: int | None = None
    again: bool = False


_MADE = Cut("queues", "request", "BookingFunction", ["SendMessageBatch", "NAME@"])
_REPORT = ["SendMessageBatch", "ResultsQueue", "NAME"]
_RECORD = ["record_attempt", "NAME"]
STEPS = {
    "committed and no delivery made": Step(
        [Cut("database", "request", "BookingFunction", ["make_deliveries"])], made=False, taken=0, recorded=0
    ),
    "delivery made and not known to be": Step(
        [Cut("database", "answer", "BookingFunction", ["make_deliveries"])],
        published=False,
        taken=0,
        recorded=0,
    ),
    "delivery made and not sent": Step([_MADE], published=False, taken=0, recorded=0),
    "sent and not known to be": Step([Cut("queues", "answer", "BookingFunction", _MADE.markers)]),
    "sent and not noted": Step([Cut("database", "request", "BookingFunction", ["mark_published"])]),
    "claimed by the sweep and not sent": Step(
        [_MADE, Cut("queues", "request", "OutboxFunction", _MADE.markers)],
        published=False,
        taken=0,
        recorded=0,
    ),
    "sent by the sweep and not known to be": Step(
        [_MADE, Cut("queues", "answer", "OutboxFunction", _MADE.markers)]
    ),
    "sent by the sweep and not noted": Step(
        [_MADE, Cut("database", "request", "OutboxFunction", ["mark_deliveries_sent"])]
    ),
    "received by the dispatcher": Step(
        [Cut("queues", "request", "DispatchFunction", ["TrentService.Decrypt", "ENDPOINT"])],
        taken=0,
        recorded=0,
    ),
    "on the way to the subscriber": Step(
        [Cut("subscriber", "request", "DispatchFunction", ["POST /ok/NAME"])], taken=0, recorded=0
    ),
    "taken and not known to be": Step(
        [Cut("subscriber", "answer", "DispatchFunction", ["POST /ok/NAME"])], taken=1, recorded=0, again=True
    ),
    "taken and not reported": Step(
        [Cut("queues", "request", "DispatchFunction", _REPORT)], taken=1, recorded=0, again=True
    ),
    "reported and still on the queue": Step(
        [Cut("queues", "answer", "DispatchFunction", _REPORT)], taken=1, again=True
    ),
    "result received and not recorded": Step(
        [Cut("database", "request", "ResultsFunction", _RECORD)], taken=1, recorded=0
    ),
    "recorded and the result still on the queue": Step(
        [Cut("database", "answer", "ResultsFunction", _RECORD)], taken=1, recorded=1
    ),
}


@dataclass(frozen=True)
class Behind:
    """The webhooks, the proxies before its parts, and the times that can be booked."""

    webhooks: StackWebhooks
    proxies: dict[str, HaltingProxy]
    times: Iterator[str]

    def halting(self, cut: Cut, name: str, endpoint: UUID) -> AbstractContextManager[Callable[[float], int]]:
        """Stop at a cut, as `HaltingProxy.halting` does."""
        words = (one.replace("NAME", name).replace("ENDPOINT", str(endpoint)) for one in cut.markers)
        return self.proxies[cut.part].halting(Halt(cut.where, cut.function, [one.encode() for one in words]))

    def check(self, step: Step, name: str, endpoint: UUID) -> bool:
        """Assert that things stand as they must at a step; the change is committed at every one.

        Return False without doing so where the sweep may have come before.
        """
        events, published, recorded = self.webhooks.database.execute(
            "SELECT count(DISTINCT event_id), bool_and(published_at IS NOT NULL), count(a)"
            "  FROM webhook_deliveries LEFT JOIN webhook_attempts AS a USING (delivery_id)"
            " WHERE endpoint_id = %s",
            [endpoint],
        ).fetchall()[0]
        taken = len(self.webhooks.others.taken(name))
        before_sweep = all(cut.function == "BookingFunction" for cut in step.cuts)
        if before_sweep and self.sweep_may_have_come(name):
            return False
        assert events == int(step.made)
        assert step.published in {None, published}
        assert step.recorded in {None, recorded}
        assert step.taken in {None, taken}
        return True

    def sweep_may_have_come(self, name: str) -> bool:
        """Tell whether a change is so old that the sweep does what is left of it."""
        return bool(
            self.one(
                "SELECT count(*) FROM coach_appointments JOIN changes USING (appointment_id)"
                " WHERE contact_email = %s AND at < clock_timestamp() - make_interval(secs => %s)",
                f"{name}@example.com",
                GRACE_SECONDS,
            )
        )

    def has_ended(self, appointment_id: str) -> bool:
        """Tell whether all were told of a booking, that is recorded, and it is no conflict.

        A coach's calendar may have taken the block and the dispatcher died before it could say so. Then the
        calendar refuses another: that ends the delivery too. Of two copies of the message the one that was
        refused may be recorded first: then it is a conflict until the other is.
        """
        return not self.one(
            "SELECT count(*) FROM coach_appointments AS a JOIN changes USING (appointment_id)"
            "  LEFT JOIN webhook_deliveries ON event_id = change_id"
            " WHERE appointment_id = %s AND (a.conflict OR NOT told OR published_at IS NULL"
            "      OR webhook_deliveries.status = 'pending'"
            "      OR (webhook_deliveries.status = 'failed' AND reason <> 'already_blocked'))",
            appointment_id,
        )

    def has_block(self, appointment_id: str) -> int:
        """Return how many blocks an appointment needs: one where its coach has an external calendar."""
        return self.one(
            "SELECT count(*) FROM coach_appointments JOIN coaches USING (coach_id)"
            " WHERE appointment_id = %s AND calendar_kind = 'calendar_api'",
            appointment_id,
        )

    def one(self, statement: LiteralString, *values: object) -> int:
        """Return the number that a statement gives."""
        row = self.webhooks.database.execute(statement, values).fetchone()
        return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> Iterator[Behind]:
    """A stack whose functions reach database, queues and subscribers through proxies; a sweep comes soon."""
    data = tmp_path_factory.mktemp("steps") / "data"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE steps")
    queues = free_port()

    def holder(function: str, ports: tuple[int, int]) -> int | None:
        return owner(function_processes(data, function), ports)

    with ExitStack() as ends:
        database_proxy = ends.enter_context(HaltingProxy(postgres.port, postgres_has_answered, holder))
        queues_proxy = ends.enter_context(HaltingProxy(queues, http_has_answered, holder))
        through = postgres.url_of("steps").replace(f":{postgres.port}/", f":{database_proxy.port}/")
        variables = QUICK | {
            "DATABASE_URL": f"{through}?sslmode=disable&gssencmode=disable",
            "QUEUES_AT": str(queues),
            "QUEUES_THROUGH": str(queues_proxy.port),
            "OUTBOX_GRACE_SECONDS": str(GRACE_SECONDS),
            "WEBHOOK_MAX_ATTEMPTS": "20",
            "CRM_FAILURE_RATE": "0",
            "CRM_HANG_RATE": "0",
            "CALENDAR_FAILURE_RATE": "0",
        }
        stack = start(data, variables, "tests.support.stack_behind")
        webhooks = ends.enter_context(
            stack_webhooks(stack, data.parent / "subscribers", visibility_seconds=VISIBILITY_SECONDS)
        )
        port = int(webhooks.others.url.rpartition(":")[2])
        subscriber_proxy = ends.enter_context(HaltingProxy(port, http_has_answered, holder))
        wait_until_read(stack)
        times = (one["start_time"] for one in starts(stack)[:: 60 // len(STEPS)])
        proxies = {"database": database_proxy, "queues": queues_proxy, "subscriber": subscriber_proxy}
        yield Behind(webhooks, proxies, times)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_kill_at_each_step_loses_nothing_and_repeats_nothing(behind: Behind, step: Step) -> None:
    """The process that is at this step ends there; the event is taken under one id, and recorded."""
    assert any(is_seen(behind, step) for _ in range(TRIES)), "the sweep always came before the look"


def is_seen(behind: Behind, step: Step) -> bool:
    """Kill at a step and check everything; return whether how things stood was seen before the sweep came."""
    webhooks, name = behind.webhooks, f"n{uuid4().hex[:12]}"
    through = f"http://127.0.0.1:{behind.proxies['subscriber'].port}"
    (endpoint,) = webhooks.subscribe(f"ok/{name}", at=through).values()
    with ThreadPoolExecutor(1) as pool, ExitStack() as halts:
        waits = halts.enter_context(behind.halting(step.cuts[0], name, endpoint))
        booking = pool.submit(webhooks.book, next(behind.times), f"{name}@example.com")
        for following in step.cuts[1:]:
            pid = waits(HALT_SECONDS)
            waits = halts.enter_context(behind.halting(following, name, endpoint))
            kill(pid)
        pid = waits(HALT_SECONDS)
        seen = behind.check(step, name, endpoint)
        kill(pid)
        halts.close()
        answer = booking.result()
    assert answer.status_code == 201, answer.text
    check_ended(behind, step, name, endpoint, answer.json())
    webhooks.unsubscribe(endpoint)
    return seen


def check_ended(behind: Behind, step: Step, name: str, endpoint: UUID, booked: dict[str, str]) -> None:
    """Wait until all were told of a booking, and assert that nothing is lost and nothing was done twice."""
    webhooks, appointment = behind.webhooks, booked["appointment_id"]
    wait_until(
        lambda: behind.has_ended(appointment), 30, "every delivery has ended, and nothing is a conflict"
    )
    least = 2 if step.again else 1
    wait_until(lambda: len(webhooks.others.taken(name)) >= least, 30, "the subscriber was told")
    assert webhooks.faults([endpoint]) == []
    events = {(version, event) for _, event, version in webhooks.others.taken(name)}
    # That one copy of the message was refused for the other's block may be told too, and is taken back.
    assert sorted(version for version, _ in events) in ([1], [1, 2, 3])
    assert crm_paths(webhooks.stack, appointment).count("/webhooks/appointment-created") == 1
    when = (booked["coach_id"], booked["start_time"])
    assert [(one["coach_id"], one["start_time"]) for one in blocks(webhooks.stack)].count(
        when
    ) == behind.has_block(appointment)
    assert (
        behind.one("SELECT count(*) FROM coach_appointments WHERE contact_email = %s", f"{name}@example.com")
        == 1
    )
