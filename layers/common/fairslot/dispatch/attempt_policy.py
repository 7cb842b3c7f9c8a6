"""What follows from an attempt: the outcome, the delay to the next one, and the endpoint's health."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Literal

import httpx

from fairslot.dispatch.backoff import delay_seconds
from fairslot.dispatch.result import Result
from fairslot.messages.attempts import Outcome
from fairslot.messages.deliveries import CALENDAR_EVENT, Delivery
from fairslot.platform.settings import settings

# From the kernel: a generator seeded at import would be the same in every restored snapshot.
_random = SystemRandom().random

# Why a coach's calendar was not asked at all.
_NOT_ASKED = frozenset(
    {"secret_unavailable", "permit_unchecked", "superseded", "unknown_kind", "invalid_url", "blocked_address"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of an attempt; `delay` is the whole seconds until the next one.

    `is_dead_letter`: there is no next one, and the message goes to the dead-letter queue.
    """

    outcome: Outcome
    delay: int
    is_dead_letter: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What an attempt says about the endpoint.

    `silent`: no response. `failing`: an error of the endpoint itself. `healthy`: any other response; `pause`
    is then the seconds that it asked for by Retry-After, 0 for none. `unknown`: nothing was sent.
    """

    state: Literal["silent", "failing", "healthy", "unknown"]
    pause: float = 0.0


def verdict(delivery: Delivery, result: Result, *, attempt: int, now: datetime) -> Verdict:
    """Return what follows from attempt number `attempt`, counted from 1.

    The last attempt ends a delivery: as delivered where the subscriber has the event, else as failed. The
    last is number `webhook_max_attempts`, or the one whose successor would be later than
    `webhook_give_up_seconds` after the delivery was first received, once it was held back.
    """
    delay = wait(attempt, result.retry_after)
    if result.error is None:
        return Verdict(outcome="delivered", delay=delay)
    is_last = attempt >= settings().webhook_max_attempts or _is_late(delivery.since, delay, now)
    if is_last and result.taken:
        return Verdict(outcome="delivered", delay=delay)
    if result.final or is_last:
        return Verdict(outcome="failed", delay=delay, is_dead_letter=not result.final)
    return Verdict(outcome="retrying", delay=delay)


def verdict_on_held(since: datetime, seconds: float, *, now: datetime) -> Verdict:
    """Return what follows for a delivery that was held back and may be attempted in `seconds`.

    It fails where that is later than `webhook_give_up_seconds` after `since`.
    """
    delay = math.ceil(seconds)
    if _is_late(since, delay, now):
        return Verdict(outcome="failed", delay=delay, is_dead_letter=True)
    return Verdict(outcome="held", delay=delay)


def wait(attempt: int, retry_after: float) -> int:
    """Return the whole seconds from a failed attempt to the next, by the settings' schedule and jitter."""
    return delay_seconds(
        attempt=attempt,
        schedule=[float(part) for part in settings().webhook_schedule_seconds.split(",")],
        jitter=settings().webhook_jitter,
        retry_after=retry_after,
        random=_random,
    )


def health(delivery: Delivery, result: Result) -> Health:
    """Return what an attempt says about the endpoint, for its circuit breaker.

    A partner's 4xx and `Retry-After` are about one call. A subscriber's 429 or 503 with `Retry-After` is
    about everything that is sent to it, and no failure.
    """
    if result.error in {"timeout", "connection"}:
        return Health("silent")
    if delivery.kind == CALENDAR_EVENT:
        return _health_of_calendar(result)
    if result.status_code is None:
        return Health("unknown")
    status, is_subscriber = result.status_code, delivery.kind == "standard"
    if is_subscriber and result.retry_after > 0 and status in {429, 503}:
        return Health("healthy", pause=result.retry_after)
    if is_subscriber:
        is_failing = not httpx.codes.is_success(status) and status != httpx.codes.GONE
    else:
        is_failing = status >= httpx.codes.INTERNAL_SERVER_ERROR
    return Health("failing" if is_failing else "healthy")


def _health_of_calendar(result: Result) -> Health:
    """Return what an attempt says about a coach's calendar: a success has an answer, a refusal a word."""
    was_asked = bool(result.answer) if result.error is None else result.error not in _NOT_ASKED
    if not was_asked:
        return Health("unknown")
    if result.status_code is not None and result.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Health("failing")
    return Health("healthy", pause=result.retry_after if result.error == "rate_limited" else 0.0)


def _is_late(since: datetime | None, delay: int, now: datetime) -> bool:
    limit = timedelta(seconds=settings().webhook_give_up_seconds)
    return since is not None and now + timedelta(seconds=delay) - since > limit
