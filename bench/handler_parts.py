"""The time that the parts of the booking handler take.

PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.handler_parts
"""

import itertools
import statistics
import time
from typing import Any

import pytest

from bench.booking_handler import CALLS, ROUNDS, TEAM, booking_request, by_handler, starts
from bench.stack import add_team, after_answers, quiet, stack
from fairslot.booking import appointments
from fairslot.platform import db, queue
from fairslot.webhooks import publishing


def parts() -> dict[str, float]:
    """Return the milliseconds of the answer, its database call, publishing after it and the parts of that."""
    import botocore.client  # late, as the handler does
    import botocore.httpsession

    took: dict[str, list[float]] = {"the handler": []}
    with (
        stack() as given,
        db.connect(given.postgres.url) as connection,
        pytest.MonkeyPatch.context() as patch,
        after_answers() as finish,
    ):
        add_team(connection, TEAM, duration=15)
        instants = starts()
        with quiet():
            for start in itertools.islice(instants, CALLS):
                by_handler(booking_request(start))
                finish()
            time_calls(patch, took, "the database call", appointments, "book")
            time_calls(patch, took, "publishing", publishing, "publish")
            time_calls(patch, took, "sending to the queue", queue, "send")
            time_calls(patch, took, "botocore", botocore.client.BaseClient, "_make_api_call")
            time_calls(patch, took, "the queue's answer", botocore.httpsession.URLLib3Session, "send")
            for start in itertools.islice(instants, ROUNDS * CALLS):
                begun = time.perf_counter()
                by_handler(booking_request(start))
                took["the handler"].append(time.perf_counter() - begun)
                finish()
    return {name: statistics.median(times) * 1000 for name, times in took.items()}


def time_calls(
    patch: pytest.MonkeyPatch, took: dict[str, list[float]], name: str, owner: Any, function: str
) -> None:
    """Record the seconds of each call of a function."""
    real, times = getattr(owner, function), took.setdefault(name, [])

    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            times.append(time.perf_counter() - begun)

    patch.setattr(owner, function, timed)


if __name__ == "__main__":
    for name, milliseconds in parts().items():
        print(f"{name:<24}{milliseconds:>6.2f} ms")
