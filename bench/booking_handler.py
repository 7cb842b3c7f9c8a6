"""The booking handler against its database call alone, turn by turn in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_handler

The handler is called in this process with API Gateway's event, on real Postgres, Valkey and queues over HTTP;
the database call has a connection of the same kind, a key of its own and the same calendar. What is done
after the answer is timed by itself.
"""

import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Figure, Measured, Moved
from bench.stack import add_team, after_answers, alternate, median_ratio, quiet, stack
from fairslot.booking import appointments
from fairslot.domain.idempotency import Key
from fairslot.platform import db
from tests.support.http import request
from tests.support.lambda_context import context
from tests.support.team import TENANT

ROUNDS = 5
CALLS = 80
TEAM = 6


def figures() -> Iterator[Measured]:
    """Measure the whole booking handler."""
    found = booking()
    yield Figure(
        name="booking handler against its database call, p50",
        value=found["ratio"],
        unit="times",
        goal=2.5,
        note=f"{found['handler_ms']:.2f} of {found['call_ms']:.2f} ms",
    )
    moved = found["after_ms"] * 1000
    yield Moved(
        name="publishing and completing the key after the answer",
        saved=moved,
        cost=moved,
        where="the same process before its next request",
    )


def booking() -> dict[str, float]:
    """Return the ratio of the medians, and each median in milliseconds, also of the work after the answer."""
    afterwards: list[float] = []
    with (
        stack() as parts,
        db.connect(parts.postgres.url) as connection,
        after_answers() as finish,
    ):
        add_team(connection, TEAM, duration=15)
        rounds, instants = [], starts()

        def between() -> None:
            begun = time.perf_counter()
            if finish():
                afterwards.append(time.perf_counter() - begun)

        with quiet():
            for _ in range(1 + ROUNDS):
                calls = [(start, booking_request(start)) for start in itertools.islice(instants, CALLS)]
                rounds.append(
                    alternate(
                        calls,
                        lambda call: by_handler(call[1]),
                        lambda call: by_call(connection, call[0]),
                        between=between,
                    )
                )
                parts.sqs.client().purge_queue(QueueUrl=parts.deliveries)
    rounds = rounds[1:]  # imports, connections and caches are not what is measured
    return {
        "ratio": median_ratio(rounds),
        "handler_ms": statistics.median(statistics.median(one) for one, _ in rounds) * 1000,
        "after_ms": statistics.median(afterwards) * 1000,
        "call_ms": statistics.median(statistics.median(other) for _, other in rounds) * 1000,
    }


def starts() -> Iterator[datetime]:
    """Return every quarter of an hour from tomorrow on."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (first + number * timedelta(minutes=15) for number in range(96 * 55))


def booking_request(start: datetime) -> dict[str, Any]:
    """Return a request to book."""
    body = {
        "calendar_id": "cal",
        "start_time": start.isoformat(),
        "contact_email": "customer@example.com",
        "contact_name": "Customer",
    }
    return request("POST", "/api/appointments", body, headers={"x-idempotency-key": os.urandom(8).hex()})


def by_handler(request: dict[str, Any]) -> None:
    """Book as a client does."""
    from booking.app import lambda_handler  # late: only then is the environment there

    answer = lambda_handler(request, context())
    if answer["statusCode"] != 201:  # noqa: PLR2004 - created
        raise SystemExit(json.dumps(answer))


def by_call(connection: db.Connection, start: datetime) -> None:
    """Book in the database alone."""
    appointments.book(
        connection,
        tenant_id=TENANT,
        calendar_id="cal",
        start_time=start,
        contact=appointments.Contact(name="Customer", email="customer@example.com"),
        metadata={},
        key=Key(value=os.urandom(8).hex(), fingerprint=b"f" * 32),
    )


if __name__ == "__main__":
    print(booking())
