"""What is measured of requests, and noted with it for whoever searches the logs: docs/watching.md."""

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.http.routing import Contract
from fairslot.messages.correlation import correlation_id
from fairslot.platform.observability import metrics

_CONFLICT = 409


def count(contract: Contract | None, answer: Mapping[str, Any], *, request_id: str, seconds: float) -> None:
    """Count an answer; where the route is `measured`, also what became of the request, and how long it took.

    For `Bookings` these are BookingsMade, BookingsReplayed, BookingsRefused, BookingsLatency and, by the
    error's code, BookingsRefusedSlotUnavailable and the like.
    """
    status: int = answer["statusCode"]
    _add(f"Answers{status // 100}xx")
    if status == _CONFLICT:
        _add("Conflicts")
    metrics.add_metadata(key="request_id", value=request_id)
    metrics.add_metadata(key="status", value=status)
    if contract is None:
        return
    metrics.add_metadata(key="route", value=f"{contract.method} {contract.path}")
    if contract.measured is None:
        return
    metrics.add_metric(
        name=f"{contract.measured}Latency", unit=MetricUnit.Milliseconds, value=round(seconds * 1000, 1)
    )
    # What failed on our side is among the answers with 5xx.
    if status < 400:  # noqa: PLR2004 - the classes of HTTP
        is_replay = "Idempotent-Replayed" in answer["headers"]
        _add(f"{contract.measured}{'Replayed' if is_replay else 'Made'}")
    elif status < 500:  # noqa: PLR2004
        code: str = json.loads(answer["body"])["error"]
        _add(f"{contract.measured}Refused")
        _add(f"{contract.measured}Refused{refused_name(code)}")
        metrics.add_metadata(key="error", value=code)


def refused_name(code: str) -> str:
    """Return an error's code as a part of a metric's name: SLOT_UNAVAILABLE is SlotUnavailable."""
    return code.title().replace("_", "")


def note_change(answer: Mapping[str, Any] | None) -> None:
    """Note which change of an appointment the request made, from its answer; a repeated deletion has none."""
    change = correlation_id(answer, answer.get("version")) if answer else None
    if change is not None:
        metrics.add_metadata(key="correlation_id", value=change)


def _add(name: str) -> None:
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
