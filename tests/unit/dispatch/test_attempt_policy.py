"""What follows from an attempt: the table of cases, and that a delivery always comes to an end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from fairslot.dispatch.attempt_policy import Health, health, verdict, verdict_on_held, wait
from fairslot.dispatch.result import Result
from fairslot.platform.settings import settings
from tests.support.mock_partner import delivery

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)
REFUSED = Result(error="http_503", status_code=503)
LAST = 13
type Kind = Literal["standard", "crm", "calendar_api"]


@pytest.mark.parametrize(
    ("result", "attempt", "outcome", "is_dead_letter"),
    [
        (Result(status_code=200), 1, "delivered", False),
        (Result(status_code=200), LAST, "delivered", False),
        (REFUSED, 1, "retrying", False),
        (REFUSED, LAST - 1, "retrying", False),
        (REFUSED, LAST, "failed", True),
        (Result(error="timeout"), LAST + 5, "failed", True),
        # A further attempt would change nothing: nobody needs the dead letter.
        (Result(error="http_410", final=True, status_code=410), 1, "failed", False),
        # The subscriber has the event; only what we wanted to know of it is missing.
        (Result(error="answer_lost", taken=True), LAST - 1, "retrying", False),
        (Result(error="answer_lost", taken=True), LAST, "delivered", False),
    ],
)
def test_an_attempt_has_one_outcome(
    result: Result, attempt: int, outcome: str, *, is_dead_letter: bool
) -> None:
    """Success delivers, a failure is tried again until the last attempt, and what is final ends at once."""
    found = verdict(delivery("standard"), result, attempt=attempt, now=NOW)
    assert (found.outcome, found.is_dead_letter) == (outcome, is_dead_letter)


def test_who_was_held_back_is_given_up_in_time() -> None:
    """The wait counts: an attempt whose successor would come too late is the last."""
    limit = timedelta(seconds=settings().webhook_give_up_seconds)
    longest = timedelta(seconds=wait(3, 0.0) * 2)
    early, late = NOW - limit + longest, NOW - limit
    assert verdict(replace(delivery("crm"), since=early), REFUSED, attempt=3, now=NOW).outcome == "retrying"
    assert verdict(replace(delivery("crm"), since=late), REFUSED, attempt=3, now=NOW).outcome == "failed"
    assert verdict_on_held(late + timedelta(seconds=60), 60, now=NOW).outcome == "held"
    given_up = verdict_on_held(late + timedelta(seconds=59), 59.5, now=NOW)
    assert (given_up.outcome, given_up.is_dead_letter, given_up.delay) == ("failed", True, 60)


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        ("standard", Result(error="timeout"), Health("silent")),
        ("crm", Result(error="connection"), Health("silent")),
        ("standard", Result(error="secret_unavailable"), Health("unknown")),
        ("standard", Result(status_code=204), Health("healthy")),
        ("standard", Result(error="http_404", status_code=404), Health("failing")),
        ("crm", Result(error="http_404", status_code=404), Health("healthy")),
        ("crm", Result(error="http_500", status_code=500), Health("failing")),
        ("standard", Result(error="http_410", final=True, status_code=410), Health("healthy")),
        ("standard", Result(error="http_503", status_code=503), Health("failing")),
        ("standard", Result(error="http_503", status_code=503, retry_after=9), Health("healthy", pause=9)),
        ("standard", Result(error="http_429", status_code=429, retry_after=9), Health("healthy", pause=9)),
        ("crm", Result(error="http_503", status_code=503, retry_after=9), Health("failing")),
        ("calendar_api", Result(error="already_blocked", final=True, status_code=409), Health("healthy")),
    ],
)
def test_an_attempt_tells_of_the_endpoint(kind: Kind, result: Result, expected: Health) -> None:
    """A partner's 4xx is about one call; a subscriber's wish to be left alone is no failure."""
    assert health(delivery(kind), result) == expected


@pytest.mark.parametrize(
    "result", [REFUSED, Result(error="timeout"), Result(error="answer_lost", taken=True)]
)
def test_every_delivery_comes_to_an_end(result: Result) -> None:
    """However it goes wrong, it does not go on for ever."""
    outcomes = [
        verdict(delivery("standard"), result, attempt=attempt, now=NOW).outcome
        for attempt in range(1, LAST + 1)
    ]
    assert outcomes[:-1] == ["retrying"] * (LAST - 1)
    assert outcomes[-1] in {"failed", "delivered"}
