"""Events for every function that takes them while customers wait: each asks for the function's usual work."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from fairslot.calendars.push_secret import Channel
from fairslot.coach_time.days import extend_days, horizon_slots
from fairslot.domain.slots import hex_of
from fairslot.platform.db import Connection
from tests.support.attempts import attempt_of
from tests.support.deliveries import delivery
from tests.support.endpoints import add_endpoint
from tests.support.http import add_key, booking_body, request
from tests.support.partner_process import partner
from tests.support.pushes import PUSH_SECRET, google_push
from tests.support.sqs_events import batch_event
from tests.support.team import ALWAYS, add_calendar, add_coach

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

type Make = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class HandlerEvents:
    """By module a maker of events, and the variables that the functions need for them."""

    makers: Mapping[str, Make]
    variables: Mapping[str, str]


_TEAM = 6
_ZONE = "America/New_York"


@contextmanager
def handler_events(connection: Connection, sqs: "SQSClient", folder: Path) -> Iterator[HandlerEvents]:
    """Make queues, partners and a team that is always open, for 30,000 bookings; yield the events."""
    _add_open_team(connection)
    queues = {
        f"{name.upper()}_QUEUE_URL": sqs.create_queue(QueueName=f"{name}-{uuid4()}")["QueueUrl"]
        for name in ("deliveries", "results", "fetches", "fetched")
    }
    with partner("calendar_api", folder) as calendar, partner("crm", folder) as crm:
        starts = _starts()
        yield HandlerEvents(
            {
                "admin.app": lambda: request("GET", "/api/webhook-endpoints"),
                "availability.app": lambda: request("GET", "/api/availability", query={"calendar_id": "cal"}),
                "background.connections": lambda: {"token": "not one of ours"},
                "background.maintenance": lambda: {"task": "outbox"},
                "background.permits": lambda: {"delivery_id": str(uuid4())},
                "background.results": lambda: batch_event(_attempt()),
                "background.store": lambda: batch_event(json.dumps(_reading())),
                "background.sync": dict,
                "booking.app": lambda: _booking(next(starts)),
                "calendar_fetch.app": lambda: batch_event(json.dumps(_fetch())),
                "calendar_push.app": _notification,
                "webhook_dispatch.app": lambda: batch_event(delivery().to_json()),
            },
            {
                **queues,
                "CALENDAR_API_URL": str(calendar.base_url),
                "CRM_WEBHOOK_URL": str(crm.base_url),
                "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
                "MAX_REQUESTS_PER_ADDRESS": "100000000",
                "CONNECT_SECRETS": "a secret of a test that is long enough",
                "PUSH_SECRETS": PUSH_SECRET,
            },
        )


def _add_open_team(connection: Connection) -> None:
    for kind in ("crm", "calendar_api"):
        add_endpoint(connection, kind, "appointment.*")
    coaches = [f"coach-{number}" for number in range(1, 1 + _TEAM)]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone=_ZONE, max_per_day=10_000, working_hours=ALWAYS)
    add_calendar(connection, "cal", coaches, duration=15)
    extend_days(connection, now=datetime.now(UTC))
    add_key(connection, rate_limit=10_000_000)


def _starts() -> Iterator[datetime]:
    """Return every quarter of an hour from tomorrow on, once for each coach."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    quarters = [first + number * timedelta(minutes=15) for number in range(96 * 55)]
    return itertools.chain.from_iterable(itertools.repeat(quarters, _TEAM))


def _booking(start: datetime) -> dict[str, Any]:
    key = {"x-idempotency-key": str(uuid4())}
    return request("POST", "/api/appointments", booking_body(start), headers=key)


def _attempt() -> str:
    made = json.loads(delivery().to_json())
    return attempt_of(made, at=datetime.now(UTC)).to_json()


def _fetch() -> dict[str, Any]:
    now = datetime.now(UTC)
    first, end = horizon_slots(ZoneInfo(_ZONE), now)
    return {
        "coach_id": "coach-1",
        "kind": "calendar_api",
        "url": None,
        "time_zone": _ZONE,
        "first_slot": first,
        "slot_count": end - first,
        "requested_at": now.isoformat(),
    }


def _notification() -> dict[str, Any]:
    return google_push(Channel(provider="google", source_id=uuid4(), generation=1))


def _reading() -> dict[str, Any]:
    asked = _fetch()
    width = asked["slot_count"]
    return {
        "coach_id": asked["coach_id"],
        "requested_at": asked["requested_at"],
        "fetched_at": asked["requested_at"],
        "ok": True,
        "first_slot": asked["first_slot"],
        "slot_count": width,
        "free": hex_of((1 << width) - 1, width),
    }
