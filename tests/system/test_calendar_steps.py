"""A process killed at each step of reading a coach's calendar and of writing to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import boto3
import psycopg
import pytest

from local.postgres import EmbeddedPostgres
from local.processes import free_port
from local.sqs import REGION
from tests.support.demo_calendars import DemoCalendar, Span, demo_calendars
from tests.support.processes import function_processes, kill, owner
from tests.support.proxies import Halt, HaltingProxy, Where, http_has_answered, postgres_has_answered
from tests.support.queues import message_counts
from tests.support.stack import CALM, Stack, book, start, starts, stop, tell, wait_until
from tests.support.tried_calendar import ZONE

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

type Action = Literal["put", "remove", "read"]

KINDS = ("google", "microsoft", "caldav")
QUEUES = ("DeliveriesQueue", "ResultsQueue", "FetchesQueue", "FetchedQueue")
# Longer than a message takes to come back, with a process that starts; a reading for a change may wait for
# ten seconds as well.
HALT_SECONDS = 30.0
END_SECONDS = 30
# So long after a kill what it was at comes again. Where a process takes longer all of it is done twice.
VISIBILITY_SECONDS = 2
# A start is as far from the next one as is needed for none of them to touch another.
APART = 8

# The request by which a provider does it.
REQUESTS: Mapping[Action, Mapping[str, str]] = {
    "put": {
        "google": "POST /calendar/v3/calendars/primary/events",
        "microsoft": "POST /v1.0/me/calendar/events",
        "caldav": "PUT /carla/calendar/",
    },
    "remove": {
        "google": "DELETE /calendar/v3/calendars/primary/events/",
        "microsoft": "DELETE /v1.0/me/events/",
        "caldav": "DELETE /carla/calendar/",
    },
    "read": {
        "google": "GET /calendar/v3/calendars/primary/events?",
        "microsoft": "GET /v1.0/me/calendar/calendarView",
        "caldav": "REPORT /carla/calendar/",
    },
}


@dataclass(frozen=True)
class Cut:
    """Where a process is stopped and killed, and whether what it is at is done by then.

    In the markers DOES stands for the provider's request, ID for what is done: a delivery, or a source that is
    read; BYTES for the same as the database gets it.
    """

    step: str
    part: Literal["provider", "queues", "database"]
    where: Where
    function: str
    markers: Sequence[str]
    done: bool


_REPORT, _RECORD = ["SendMessageBatch", "ResultsQueue", "ID"], ["record_attempt", "BYTES"]
ASKED = Cut("before the provider is asked", "provider", "request", "DispatchFunction", ["DOES"], done=False)
ANSWERED = Cut("before its answer comes", "provider", "answer", "DispatchFunction", ["DOES"], done=True)
REPORTED = Cut("before that is reported", "queues", "request", "DispatchFunction", _REPORT, done=True)
RECORDED = Cut("before that is recorded", "database", "request", "ResultsFunction", _RECORD, done=True)
KNOWN = Cut("before it is known to be recorded", "database", "answer", "ResultsFunction", _RECORD, done=True)
_TELL, _STORE = ["SendMessageBatch", "FetchedQueue", "ID"], ["store_reading", "BYTES"]
LOOKED = Cut("before the provider is asked", "provider", "request", "FetchFunction", ["DOES"], done=False)
SEEN = Cut("before its answer comes", "provider", "answer", "FetchFunction", ["DOES"], done=False)
TOLD = Cut("before that is told", "queues", "request", "FetchFunction", _TELL, done=False)
STORED = Cut("before that is stored", "database", "request", "StoreFunction", _STORE, done=False)
KEPT = Cut("before it is known to be stored", "database", "answer", "StoreFunction", _STORE, done=True)

# Each kill costs the time in which its message comes back. What lies behind a provider's answer is the same
# for all kinds: together they go through every step of putting, removing and reading.
CUTS: Mapping[str, Mapping[Action, Sequence[Cut]]] = {
    "google": {
        "put": [ASKED, ANSWERED, REPORTED, RECORDED, KNOWN],
        "remove": [ASKED, ANSWERED],
        "read": [LOOKED, SEEN, TOLD, STORED, KEPT],
    },
    "microsoft": {"put": [ASKED, ANSWERED], "remove": [ANSWERED, REPORTED], "read": [LOOKED, SEEN]},
    "caldav": {"put": [ASKED, ANSWERED], "remove": [ANSWERED, RECORDED, KNOWN], "read": [LOOKED, SEEN]},
}


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
        check: Callable[[Cut], None],
    ) -> None:
        """Begin something; kill whoever is at the first of its steps, then at the next, to the last.

        `identify` returns the id of what was begun; `check` asserts how things stand at a step.
        """
        cuts = CUTS[calendar.kind][action]
        with ExitStack() as halts:
            waits = halts.enter_context(self._halting(cuts[0], action, calendar, None))
            begin()
            for cut, following in zip(cuts, [*cuts[1:], None], strict=True):
                pid = waits(HALT_SECONDS)
                check(cut)
                if following is not None:
                    waits = halts.enter_context(self._halting(following, action, calendar, identify()))
                kill(pid)

    def _halting(self, cut: Cut, action: Action, calendar: DemoCalendar, named: UUID | None) -> Any:
        known = {"DOES": REQUESTS[action][calendar.kind].encode()}
        if named is not None:
            known |= {"ID": str(named).encode(), "BYTES": named.bytes}
        markers = [known.get(one, one.encode()) for one in cut.markers]
        proxy = self.proxies[calendar.kind if cut.part == "provider" else cut.part]
        return proxy.halting(Halt(cut.where, cut.function, markers))

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
        return not any(sum(message_counts(self.sqs, urls[name])) for name in QUEUES)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> Iterator[Behind]:
    """A stack whose functions reach database, queues and providers through proxies; all calendars are read."""
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
        for name in QUEUES:
            shorter = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
            sqs.set_queue_attributes(QueueUrl=stack.state["queues"][name], Attributes=shorter)
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
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, behind, kind) for work in (_written_and_removed, _read)]:
            done.result()
    wait_until(behind.is_quiet, END_SECONDS, "no message is left")
    assert behind.calendars[kind].mine() == []


def _written_and_removed(behind: Behind, kind: str) -> None:
    """Book and cancel, with kills at each step of both."""
    calendar, at = behind.calendars[kind], next(behind.times[kind])
    made: list[str] = []

    def once(action: Action, begin: Callable[[], object]) -> None:
        def check(cut: Cut) -> None:
            stands = cut.done == (action == "put")
            assert calendar.spans(made[0]) == [_span(at)] * stands, (kind, action, cut.step)

        def identify() -> UUID:
            return behind.delivery(calendar, made[0])

        behind.die_at_each(action, calendar, begin=begin, identify=identify, check=check)

    def booked() -> None:
        answer = book(behind.stack, at, calendar.calendar_id)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["appointment_id"])

    def cancelled() -> None:
        assert behind.stack.api.post(f"/api/appointments/{made[0]}/cancel").status_code == 200

    once("put", booked)
    wait_until(lambda: behind.states(made[0]) == ["confirmed"], END_SECONDS, "it is known to stand")
    assert calendar.spans(made[0]) == [_span(at)]
    once("remove", cancelled)
    wait_until(lambda: behind.states(made[0]) == [], END_SECONDS, "it is known to be gone")


def _read(behind: Behind, kind: str) -> None:
    """Have a coach put an event, and have it read, with kills at each step."""
    calendar = behind.calendars[kind]
    begins, busy = datetime.fromisoformat(next(behind.times[kind])), _busy(behind, calendar)
    assert begins in behind.offered(calendar)

    def changed() -> None:
        calendar.put(begins, begins + timedelta(minutes=30))
        tell(behind.stack, "coach.calendar_changed", calendar.coach_id)

    def check(cut: Cut) -> None:
        offered = behind.offered(calendar)
        assert not busy & offered, (kind, cut.step)
        assert (begins not in offered) == cut.done, (kind, cut.step)

    behind.die_at_each("read", calendar, begin=changed, identify=lambda: calendar.source_id, check=check)
    wait_until(lambda: begins not in behind.offered(calendar), END_SECONDS, "the time is taken")
    assert behind.offered(calendar).isdisjoint(busy)


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
