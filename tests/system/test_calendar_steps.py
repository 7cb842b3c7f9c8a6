"""A process killed at each step of reading a coach's calendar and of writing to it."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty
from typing import TYPE_CHECKING
from uuid import UUID

import boto3
import psycopg
import pytest

from local.postgres import EmbeddedPostgres
from local.processes import free_port
from local.sqs import REGION
from tests.support.calendar_cuts import CUTS, Action, Cut
from tests.support.demo_calendars import DemoCalendar, Span, demo_calendars
from tests.support.processes import function_processes, kill, owner
from tests.support.proxies import HaltingProxy, http_has_answered, postgres_has_answered
from tests.support.queues import message_counts
from tests.support.stack import CALM, Stack, book, start, starts, stop, tell, wait_until
from tests.support.tried_calendar import ZONE

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

KINDS = ("google", "microsoft", "caldav")
# So many seconds after a kill what it was at comes again. Where a process takes longer than that from a
# message to its result, another one does the same, and may be faster: at the results that spoils no step.
VISIBILITY = {"DeliveriesQueue": 3, "FetchesQueue": 3, "FetchedQueue": 3, "ResultsQueue": 1}
TRIES = 3
# Longer than a message takes to come back, with a process that starts; a reading for a change may wait for
# ten seconds as well.
HALT_SECONDS = 30.0
END_SECONDS = 30
# A start is as far from the next one as is needed for none of them to touch another.
APART = 8


@dataclass(frozen=True)
class Behind:
    """A stack, the proxies before its parts, its calendars, and the times of each that are not used yet."""

    stack: Stack
    database: str
    sqs: "SQSClient"
    proxies: Mapping[str, HaltingProxy]
    calendars: Mapping[str, DemoCalendar]
    times: Mapping[str, Iterator[str]]

    def die_at_each(
        self,
        action: Action,
        calendar: DemoCalendar,
        *,
        begin: Callable[[], object],
        identify: Callable[[], UUID],
        is_done: Callable[[], bool],
    ) -> bool:
        """Begin something; kill whoever is at the first of its steps, then at the next, to the last.

        `identify` returns the id of what was begun, `is_done` whether it is done. Return False where it is
        done before the step that does it: another process that got the message too was faster.
        """
        cuts = CUTS[calendar.kind][action]
        with ExitStack() as halts:
            waits = halts.enter_context(self._halting(cuts[0], action, calendar, None))
            begin()
            for cut, following in zip(cuts, [*cuts[1:], None], strict=True):
                try:
                    pid = waits(HALT_SECONDS)
                except Empty:
                    pytest.fail(f"{calendar.kind}, {action}: nobody came to the step {cut.step}")
                if is_done() and not cut.done:
                    return False
                assert is_done() or not cut.done, (calendar.kind, action, cut.step)
                if following is not None:
                    waits = halts.enter_context(self._halting(following, action, calendar, identify()))
                kill(pid)
        return True

    def _halting(
        self, cut: Cut, action: Action, calendar: DemoCalendar, named: UUID | None
    ) -> AbstractContextManager[Callable[[float], int]]:
        proxy = self.proxies[calendar.kind if cut.part == "provider" else cut.part]
        return proxy.halting(cut.halt(action, calendar.kind, named))

    def delivery(self, calendar: DemoCalendar, appointment_id: str) -> UUID:
        """Return the delivery that is under way."""
        with psycopg.connect(self.database) as connection:
            ((delivery,),) = connection.execute(
                "SELECT delivery_id FROM calendar_events WHERE appointment_id = %s AND source_id = %s",
                [appointment_id, calendar.source_id],
            ).fetchall()
        assert isinstance(delivery, UUID)
        return delivery

    def states(self, appointment_id: str) -> list[str]:
        """Return what an appointment says of its events."""
        answer = self.stack.api.get(f"/api/appointments/{appointment_id}").json()
        return [one["state"] for one in answer["calendar_events"]]

    def offered(self, calendar: DemoCalendar) -> set[datetime]:
        """Return the starts that can be booked."""
        found = starts(self.stack, calendar.calendar_id)
        return {datetime.fromisoformat(one["start_time"]) for one in found}

    def is_quiet(self) -> bool:
        """Tell whether no message is left, so that nothing comes twice any more."""
        urls = self.stack.state["queues"]
        return not any(sum(message_counts(self.sqs, urls[name])) for name in VISIBILITY)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> Iterator[Behind]:
    """A stack that reaches database, queues and providers through proxies; its calendars are read."""
    data = tmp_path_factory.mktemp("calendar-steps") / "data"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE calendar_steps")
    url, ports = postgres.url_of("calendar_steps"), {kind: free_port() for kind in (*KINDS, "queues")}

    def holder(function: str, between: tuple[int, int]) -> int | None:
        return owner(function_processes(data, function), between)

    with ExitStack() as ends:
        proxies = {
            part: ends.enter_context(HaltingProxy(port, http_has_answered, holder))
            for part, port in ports.items()
        }
        proxies["database"] = ends.enter_context(HaltingProxy(postgres.port, postgres_has_answered, holder))
        through = url.replace(f":{postgres.port}/", f":{proxies['database'].port}/")
        variables = CALM | {
            "DATABASE_URL": f"{through}?sslmode=disable&gssencmode=disable",
            "QUEUES_AT": str(ports["queues"]),
            "QUEUES_THROUGH": str(proxies["queues"].port),
            "CALENDARS": ",".join(KINDS),
            "WEBHOOK_MAX_ATTEMPTS": "50",
            # Nobody listens there: what a test tells of is all that asks for a reading.
            "PUSH_URL": "http://127.0.0.1:9",
        }
        for kind in KINDS:
            name = kind.upper()
            variables |= {f"{name}_PORT": str(ports[kind]), f"{name}_THROUGH": str(proxies[kind].port)}
            variables |= {f"{name}_FAILURE_RATE": "0", f"{name}_LATENCY_MS": "0-20"}
        stack = start(data, variables, "tests.support.stack_behind")
        ends.callback(stop, stack)
        sqs = boto3.client(
            "sqs",
            endpoint_url=stack.state["sqs_endpoint"],
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        ends.callback(sqs.close)
        for name, seconds in VISIBILITY.items():
            sqs.set_queue_attributes(
                QueueUrl=stack.state["queues"][name], Attributes={"VisibilityTimeout": str(seconds)}
            )
        calendars = demo_calendars(stack)
        yield Behind(
            stack, url, sqs, proxies, calendars, {k: _times(stack, one) for k, one in calendars.items()}
        )


def _times(stack: Stack, calendar: DemoCalendar) -> Iterator[str]:
    """Wait until a calendar is read, and return starts that do not touch; the first may begin any moment."""
    wait_until(lambda: bool(starts(stack, calendar.calendar_id)), 60, f"{calendar.kind} is read")
    return iter([one["start_time"] for one in starts(stack, calendar.calendar_id)[APART::APART]])


@pytest.mark.parametrize("kind", KINDS)
def test_kills_at_each_step_lose_nothing_and_double_nothing(behind: Behind, kind: str) -> None:
    """An event stands once where it is wanted, and none after a cancellation; what was read stays busy.

    One request for a reading is enough. Reading and writing go on side by side, in processes of their own.
    """
    assert any(is_seen(behind, kind) for _ in range(TRIES)), "others were always faster"


def is_seen(behind: Behind, kind: str) -> bool:
    """Kill at each step and check everything; return whether each was there to be killed."""
    with ThreadPoolExecutor(2) as pool:
        works = [pool.submit(work, behind, behind.calendars[kind]) for work in (_write_and_remove, _read)]
        seen = [work.result() for work in works]
    wait_until(behind.is_quiet, END_SECONDS, "no message is left")
    assert behind.calendars[kind].mine() == []
    return all(seen)


def _write_and_remove(behind: Behind, calendar: DemoCalendar) -> bool:
    """Book and cancel, with kills at each step of both."""
    at, made = next(behind.times[calendar.kind]), list[str]()

    def book_it() -> None:
        answer = book(behind.stack, at, calendar.calendar_id)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["appointment_id"])

    def cancel_it() -> None:
        assert behind.stack.api.post(f"/api/appointments/{made[0]}/cancel").status_code == 200

    def stands() -> bool:
        found = calendar.spans(made[0])
        assert found in ([], [_span(at)])
        return bool(found)

    def identify() -> UUID:
        return behind.delivery(calendar, made[0])

    put = behind.die_at_each("put", calendar, begin=book_it, identify=identify, is_done=stands)
    wait_until(lambda: behind.states(made[0]) == ["confirmed"], END_SECONDS, "it is known to stand")
    assert stands()
    gone = behind.die_at_each(
        "remove", calendar, begin=cancel_it, identify=identify, is_done=lambda: not stands()
    )
    wait_until(lambda: behind.states(made[0]) == [], END_SECONDS, "it is known to be gone")
    return put and gone


def _read(behind: Behind, calendar: DemoCalendar) -> bool:
    """Have a coach put an event, and have it read, with kills at each step."""
    begins, busy = datetime.fromisoformat(next(behind.times[calendar.kind])), _busy(behind, calendar)
    assert begins in behind.offered(calendar)

    def change() -> None:
        calendar.put(begins, begins + timedelta(minutes=30))
        tell(behind.stack, "coach.calendar_changed", calendar.coach_id)

    def is_known() -> bool:
        offered = behind.offered(calendar)
        assert offered.isdisjoint(busy)
        return begins not in offered

    seen = behind.die_at_each(
        "read", calendar, begin=change, identify=lambda: calendar.source_id, is_done=is_known
    )
    wait_until(is_known, END_SECONDS, "the time is taken")
    return seen


def _busy(behind: Behind, calendar: DemoCalendar) -> set[datetime]:
    """Return the starts at which the coach's stand-up is, of some days."""
    offered = behind.offered(calendar)
    days = {one.astimezone(ZONE).date() for one in offered}
    busy = {datetime(one.year, one.month, one.day, 10, tzinfo=ZONE) for one in days}
    assert not busy & offered
    return busy


def _span(start_time: str) -> Span:
    begins = datetime.fromisoformat(start_time)
    return begins, begins + timedelta(minutes=30)
