"""The booking handler against its database call alone, turn by turn in one run, and what its parts take.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.handlers

The handler is called in this process with API Gateway's event, on real Postgres, Valkey and queues over HTTP;
the database call has a connection of the same kind, a key of its own and the same calendar.
"""

import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.stack import add_team, alternate, median_ratio, quiet, stack
from fairslot.booking import appointments
from fairslot.domain.idempotency import Key
from fairslot.platform import db, queue
from fairslot.webhooks import publishing
from tests.support.http import request
from tests.support.lambda_context import context
from tests.support.team import TENANT

ROUNDS = 5
CALLS = 80
TEAM = 6


def booking() -> dict[str, float]:
    """Return the ratio of both medians, and each in milliseconds."""
    with stack() as parts, db.connect(parts.postgres.url) as connection:
        add_team(connection, TEAM, duration=15)
        rounds, instants = [], starts()
        with quiet():
            for _ in range(1 + ROUNDS):
                calls = [(start, asked(start)) for start in itertools.islice(instants, CALLS)]
                rounds.append(
                    alternate(
                        calls, lambda call: by_handler(call[1]), lambda call: by_call(connection, call[0])
                    )
                )
                parts.sqs.client().purge_queue(QueueUrl=parts.deliveries)
    rounds = rounds[1:]  # imports, connections and caches are not what is measured
    return {
        "ratio": median_ratio(rounds),
        "handler_ms": statistics.median(statistics.median(one) for one, _ in rounds) * 1000,
        "call_ms": statistics.median(statistics.median(other) for _, other in rounds) * 1000,
    }


def parts() -> dict[str, float]:
    """Return the milliseconds of the handler, of its database call, its publishing and the parts of that."""
    import botocore.client  # late, as the handler does
    import botocore.httpsession

    took: dict[str, list[float]] = {"the handler": []}
    with (
        stack() as given,
        db.connect(given.postgres.url) as connection,
        pytest.MonkeyPatch.context() as patch,
    ):
        add_team(connection, TEAM, duration=15)
        instants = starts()
        with quiet():
            for start in itertools.islice(instants, CALLS):
                by_handler(asked(start))
            time_calls(patch, took, "the database call", appointments, "book")
            time_calls(patch, took, "publishing", publishing, "publish")
            time_calls(patch, took, "sending to the queue", queue, "send")
            time_calls(patch, took, "botocore", botocore.client.BaseClient, "_make_api_call")
            time_calls(patch, took, "the queue's answer", botocore.httpsession.URLLib3Session, "send")
            for start in itertools.islice(instants, ROUNDS * CALLS):
                begun = time.perf_counter()
                by_handler(asked(start))
                took["the handler"].append(time.perf_counter() - begun)
    return {name: statistics.median(times) * 1000 for name, times in took.items()}


def time_calls(
    patch: pytest.MonkeyPatch, took: dict[str, list[float]], name: str, owner: Any, function: str
) -> None:
    """Keep the seconds of each call of a function."""
    real, times = getattr(owner, function), took.setdefault(name, [])

    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            times.append(time.perf_counter() - begun)

    patch.setattr(owner, function, timed)


def starts() -> Iterator[datetime]:
    """Return every quarter of an hour from tomorrow on."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (first + number * timedelta(minutes=15) for number in range(96 * 55))


def asked(start: datetime) -> dict[str, Any]:
    """Return a request to book."""
    body = {
        "calendar_id": "cal",
        "start_time": start.isoformat(),
        "contact_email": "customer@example.com",
        "contact_name": "Customer",
    }
    return request("POST", "/api/appointments", body, headers={"x-idempotency-key": os.urandom(8).hex()})


def by_handler(asked: dict[str, Any]) -> None:
    """Book as a client does."""
    from booking.app import lambda_handler  # late: only then is the environment there

    answer = lambda_handler(asked, context())
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
    for name, milliseconds in parts().items():
        print(f"{name:<24}{milliseconds:>6.2f} ms")
