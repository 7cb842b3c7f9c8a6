"""What measurements share: Postgres, Valkey and queues of their own, and turns of two sides."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fairslot.coach_time.days import extend_days
from fairslot.platform import after_answer, cache, db, queue
from fairslot.platform.migrate import migrate
from fairslot.platform.settings import settings
from local.postgres import EmbeddedPostgres
from local.sqs import SqsStandIn
from local.valkey import EmbeddedValkey
from tests.support.endpoints import add_endpoint
from tests.support.http import add_key
from tests.support.team import ALWAYS, add_calendar, add_coach


@dataclass(frozen=True)
class Stack:
    """The parts that run, and the address of the deliveries queue."""

    postgres: EmbeddedPostgres
    sqs: SqsStandIn
    deliveries: str


@contextmanager
def stack() -> Iterator[Stack]:
    """Start what the functions inside the VPC talk to, and set its addresses in the environment."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder)) as postgres,
        EmbeddedValkey(Path(folder)) as valkey,
        SqsStandIn(Path(folder)) as sqs,
    ):
        migrate(postgres.url)
        queues = {
            name: sqs.client().create_queue(QueueName=name)["QueueUrl"] for name in ("deliveries", "fetches")
        }
        os.environ.update(
            sqs.environment,
            DATABASE_URL=postgres.url,
            REDIS_URL=valkey.url,
            ANY_KEY_FORM="true",
            MAX_REQUESTS_PER_ADDRESS="100000000",
        )
        os.environ.update({f"{name.upper()}_QUEUE_URL": url for name, url in queues.items()})
        settings.cache_clear()
        yield Stack(postgres, sqs, queues["deliveries"])
        db.close()
        cache.close()
        queue.clear_cache()


def add_team(connection: db.Connection, size: int, **columns: object) -> None:
    """Make the calendar `cal`, always open, with its coaches' days, both partners' endpoints, and a key."""
    for kind in ("crm", "calendar_api"):
        add_endpoint(connection, kind, "appointment.*")
    coaches = [f"coach-{number}" for number in range(size)]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
    add_calendar(connection, "cal", coaches, **columns)  # type: ignore[arg-type]
    extend_days(connection, now=datetime.now(UTC))
    add_key(connection, rate_limit=10_000_000)


@contextmanager
def quiet() -> Iterator[None]:
    """Discard the logs and metrics of functions."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def after_answers() -> Iterator[Callable[[], bool]]:
    """Let the handlers leave work for after the answer, as in a deployed function; gives what does it.

    That returns whether there was any.
    """
    left: list[after_answer.Work] = []

    def finish() -> bool:
        works = left[:]
        left.clear()
        for work in works:
            work()
        return bool(works)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(after_answer, "run", left.append)
        yield finish


def alternate[T](
    given: Sequence[T],
    one: Callable[[T], object],
    other: Callable[[T], object],
    *,
    between: Callable[[], None] = lambda: None,
) -> tuple[list[float], list[float]]:
    """Do both with each of `given`, taking turns to go first; return the seconds of each.

    `between` is done after each, and not timed.
    """
    took: tuple[list[float], list[float]] = ([], [])
    for number, what in enumerate(given):
        for side, work in ((0, one), (1, other)) if number % 2 else ((1, other), (0, one)):
            begun = time.perf_counter()
            work(what)
            took[side].append(time.perf_counter() - begun)
            between()
    return took


def median_ratio(rounds: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """Return the median over the rounds of the ratio of the two sides' medians."""
    return statistics.median(statistics.median(one) / statistics.median(other) for one, other in rounds)
