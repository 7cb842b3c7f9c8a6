"""Webhooks on the running stack, with real processes: nothing is lost, and nobody delays anybody."""

import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest

from fairslot.webhooks import publishing
from tests.support.processes import function_processes, kill
from tests.support.stack import QUICK, Stack, start, starts, wait_until, wait_until_read
from tests.support.stack_webhooks import StackWebhooks, stack_webhooks
from tests.support.subscriber_process import BUSY_SECONDS
from tests.support.webhook_checker import faults, pending

# The whole proof is `FAIRSLOT_PROOF_EVENTS=5000`; what runs every time is the same with fewer.
EVENTS = int(os.environ.get("FAIRSLOT_PROOF_EVENTS", "150"))
ATTEMPTS = 5
VISIBILITY_SECONDS = 8
TIMEOUT_SECONDS = 2
# From a failed attempt to the next the message is counted in whole seconds, and by another clock.
SLACK_SECONDS = 0.5


@pytest.fixture(scope="module")
def webhooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackWebhooks]:
    """A stack whose queues give messages of killed functions back soon."""
    few = {
        "WEBHOOK_MAX_ATTEMPTS": str(ATTEMPTS),
        "WEBHOOK_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        "WEBHOOK_GIVE_UP_SECONDS": "15",
        # A breaker is a process's own: how much is held back depends on how many there are.
        "QUEUE_PROCESSES": os.environ.get("QUEUE_PROCESSES", "4"),
        "CRM_HANG_RATE": "0",
    }
    folder = tmp_path_factory.mktemp("proof")
    stack = start(folder / "data", QUICK | few)
    with stack_webhooks(stack, folder / "subscribers", visibility_seconds=VISIBILITY_SECONDS) as made:
        yield made


@pytest.mark.alone
def test_subscribers_that_misbehave_end_among_the_failures(webhooks: StackWebhooks) -> None:
    """One hangs, drips, floods, cuts the line, is gone or is busy; the good ones get everything."""
    bad = webhooks.subscribe("hang/hang", "drip/drip", "reset/reset", "http://127.0.0.1:1/refusing")
    gone = webhooks.subscribe("gone/gone")
    good = webhooks.subscribe("ok/good", "flaky/flaky", "busy/busy", "gigabytes/gigabytes")
    everybody = [*bad.values(), *gone.values(), *good.values()]
    began = time.monotonic()
    webhooks.emit(10, everybody)
    wait_until(
        lambda: len({event for _, event, _ in webhooks.others.taken("good")}) == 10, 20, "good got all"
    )
    assert time.monotonic() - began < 10
    webhooks.settle(everybody, 90)
    # What answers 200 has taken it, however much it then sends: 64 KiB are read.
    deaf = {good["gigabytes/gigabytes"]}
    assert webhooks.faults([one for one in everybody if one not in deaf]) == []
    outcomes = {
        endpoint: (statuses, reasons)
        for endpoint, statuses, reasons in webhooks.database.execute(
            "SELECT endpoint_id, array_agg(DISTINCT status), array_agg(DISTINCT reason)"
            "  FROM webhook_deliveries WHERE endpoint_id = ANY (%s) GROUP BY 1",
            [everybody],
        )
    }
    assert {tuple(outcomes[one][0]) for one in bad.values()} == {("failed",)}
    assert {tuple(outcomes[one][0]) for one in good.values()} == {("delivered",)}
    # Whoever says that it is gone is told nothing more: what was on its way ends without another question.
    (leaver,) = gone.values()
    assert outcomes[leaver][0] == ["failed"]
    assert set(outcomes[leaver][1]) <= {"http_410", "endpoint_disabled"}
    shown = webhooks.stack.api.get(f"/api/webhook-endpoints/{leaver}").json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    webhooks.unsubscribe(*everybody)


def test_a_subscriber_that_says_when_to_come_back_is_asked_no_sooner(webhooks: StackWebhooks) -> None:
    """After 429 with Retry-After no event is tried again before its time, and all arrive."""
    (endpoint,) = webhooks.subscribe("busy/later").values()
    webhooks.emit(20, [endpoint])
    webhooks.settle([endpoint], 60)
    assert webhooks.faults([endpoint]) == []
    times = defaultdict(list)
    for event, at in webhooks.others.asked("later"):
        times[event].append(at)
    waits = [later - earlier for one in times.values() for earlier, later in pairwise(one)]
    assert waits, "nobody was refused"
    assert min(waits) >= BUSY_SECONDS - SLACK_SECONDS
    webhooks.unsubscribe(endpoint)


def test_nothing_is_lost_when_processes_are_killed(webhooks: StackWebhooks) -> None:
    """Booking, dispatcher and results get kill -9 amid bookings: every event arrives and is recorded."""
    endpoints = [*webhooks.subscribe("ok/a", "flaky/b").values()]
    wait_until_read(webhooks.stack)
    times = [one["start_time"] for one in starts(webhooks.stack)][::5][:40]
    with killing(webhooks.stack) as killed, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(webhooks.book, times))
        wait_until(lambda: len(killed) >= 20, 30, "enough were killed")
    booked = [answer for answer in answers if answer.status_code == 201]
    assert len(booked) >= 30
    webhooks.settle(endpoints, 90)
    assert webhooks.faults(endpoints) == []
    row = webhooks.database.execute(
        "SELECT count(DISTINCT event_id) FROM webhook_deliveries WHERE endpoint_id = %s", [endpoints[0]]
    ).fetchone()
    assert row is not None
    assert row[0] >= len(booked)
    webhooks.unsubscribe(*endpoints)


def test_what_comes_twice_and_shuffled_is_told_by_id_and_version(webhooks: StackWebhooks) -> None:
    """Deliveries three times and results twice more, in any order: each event is recorded once, as it is."""
    endpoints = [*webhooks.subscribe("ok/twice", "flaky/tries").values()]
    webhooks.emit(20, endpoints)
    rows = webhooks.database.execute(
        "SELECT message::text FROM engine.delivery_messages() JOIN webhook_deliveries USING (delivery_id)"
        " WHERE endpoint_id = ANY (%s)",
        [endpoints],
    ).fetchall()
    messages = [row[0] for row in rows] * 2
    random.shuffle(messages)
    publishing.send_deliveries(messages)
    webhooks.settle(endpoints, 60)
    wait_until(lambda: len(webhooks.others.taken("twice")) >= 60, 30, "all three rounds arrived")
    wait_until(
        lambda: webhooks.message_count("DeliveriesQueue") + webhooks.message_count("ResultsQueue") == 0,
        30,
        "all is done",
    )
    before = webhooks.recorded(endpoints)
    webhooks.repeat_results(endpoints, times=2)
    wait_until(lambda: webhooks.message_count("ResultsQueue") == 0, 30, "the results are taken in")
    assert webhooks.recorded(endpoints) == before
    assert webhooks.faults(endpoints) == []
    webhooks.unsubscribe(*endpoints)


@pytest.mark.alone
@pytest.mark.timeout(600 + EVENTS)  # the waits in it have bounds of their own
def test_two_dead_subscribers_of_ten_delay_nobody(
    webhooks: StackWebhooks, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other eight are done within twice the time that they take alone."""
    alone = _seconds(webhooks, "alone")
    together = _seconds(webhooks, "together", "hang/dead", "http://127.0.0.1:1/refusing-too")
    with capsys.disabled():
        rate = 8 * EVENTS / alone
        print(  # noqa: T201  # a measurement
            f"\n{EVENTS} events to eight: {alone:.1f} s ({rate:.0f}/s); with two dead: {together:.1f} s"
        )
    # Before a process knows that one is dead it waits for it three times: seconds, however many events.
    learning = 3 * 2 * TIMEOUT_SECONDS if EVENTS < 1000 else 0
    assert together < 2 * alone + learning


def test_subscribers_that_answer_with_errors_are_soon_left_alone(webhooks: StackWebhooks) -> None:
    """Four that have all their events before a good one has its own: most are held back, and take no time."""
    bad = [*webhooks.subscribe(*(f"error/at-once-{number}" for number in range(4))).values()]
    good = [*webhooks.subscribe("ok/beside").values()]
    webhooks.emit(EVENTS, bad)
    webhooks.emit(EVENTS, good)
    wait_until(lambda: pending(webhooks.database, good) == 0, 60 + EVENTS, "the good one has all")
    made = [one for one in webhooks.recorded(bad) if one[0] is not None]
    assert 0 < len(made) < len(bad) * EVENTS * 0.75, "it has all, and so had they, but for the breaker"
    webhooks.unsubscribe(*bad, *good)


def _seconds(webhooks: StackWebhooks, name: str, *dead: str) -> float:
    """Return how long it takes until eight subscribers have all events, which others fail to get."""
    alive = webhooks.subscribe(*(f"ok/{name}-{number}" for number in range(8)))
    gone = webhooks.subscribe(*dead)
    seen: set[tuple[str, ...]] = set()
    with webhooks.others.file.open(encoding="utf-8") as taken:
        taken.seek(0, os.SEEK_END)

        def all_there() -> bool:
            # Only what is new: reading everything each time costs more than the deliveries.
            seen.update(tuple(line.split()[:2]) for line in taken if line.startswith(f"{name}-"))
            return len(seen) == 8 * EVENTS

        began = time.monotonic()
        webhooks.emit(EVENTS, [*gone.values(), *alive.values()])
        wait_until(all_there, 120 + EVENTS, "the eight have all")
    took = time.monotonic() - began
    wait_until(lambda: pending(webhooks.database, [*alive.values()]) == 0, 60 + EVENTS, "all is recorded")
    assert faults(webhooks.database, [*alive.values()], webhooks.others.taken(), ()) == []
    webhooks.unsubscribe(*alive.values(), *gone.values())
    return took


@contextmanager
def killing(stack: Stack) -> Iterator[list[int]]:
    """Kill a process of one of three functions every now and then; yields whom."""
    ended = threading.Event()
    killed: list[int] = []

    def run() -> None:
        names = ("BookingFunction", "DispatchFunction", "ResultsFunction")
        while not ended.wait(random.uniform(0.05, 0.5)):  # noqa: S311  # chance, not a secret
            for pid in function_processes(stack.data, random.choice(names))[:1]:  # noqa: S311
                with suppress(ProcessLookupError):
                    kill(pid)
                    killed.append(pid)

    killer = threading.Thread(target=run)
    killer.start()
    yield killed
    ended.set()
    killer.join()
