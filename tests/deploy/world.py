"""The deployed system as its users see it: a team, customers, subscribers, and the database behind it."""

import base64
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from redis import Redis
from standardwebhooks.webhooks import Webhook

from fairslot.coach_time.days import extend_days
from fairslot.platform import db, signing_secrets
from tests.support.deployment import Deployment
from tests.support.http import booking_body
from tests.support.queues import message_counts
from tests.support.subscriber_process import Subscribers
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach

CALENDAR = "intro"
_COACHES = 8
_LOOK_SECONDS = 0.1


def wait_for[T](look: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """Look until something is found; fail after so many seconds, long ones: the machine may be busy."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(_LOOK_SECONDS)
    return found


def is_soon(look: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Look until something holds, for so many seconds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


@dataclass
class World:
    """A deployment with everybody around it."""

    deployment: Deployment
    api: httpx.Client
    crm: str
    calendar_api: str
    others: Subscribers
    database: db.Connection
    cache: Redis
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """Send a request that has to be answered with a status; return the body."""
        answer = self.api.request(method, path, json=body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def number(self) -> int:
        """Return a number that was not given yet."""
        return next(self._numbers)

    def free(self, calendar: str = CALENDAR) -> list[str]:
        """Return the times at which a calendar can be booked."""
        query = {"calendar_id": calendar, "days": 30, "limit": 1000}
        return [one["start_time"] for one in self.ask("GET", "/api/availability", params=query)["slots"]]

    def book(self, calendar: str = CALENDAR) -> str:
        """Book for a customer and return the appointment's id."""
        starts = wait_for(lambda: self.free(calendar), "there are bookable starts")
        body = booking_body(starts[0], calendar_id=calendar)
        headers = {"X-Idempotency-Key": str(uuid4())}
        booked = self.ask("POST", "/api/appointments", body, status=201, headers=headers)
        identifier: str = booked["appointment_id"]
        return identifier

    def crm_paths(self, appointment: str) -> list[str]:
        """Return the paths on which the CRM was told of an appointment."""
        log = httpx.get(f"{self.crm}/webhooks/log").json()["webhooks"]
        return [one["path"] for one in log if one["body"]["appointment_id"] == appointment]

    def blocks(self, coach: str) -> list[dict[str, Any]]:
        """Return what is blocked in a coach's calendar at the partner."""
        found: list[dict[str, Any]] = httpx.get(f"{self.calendar_api}/blocks?coach_id={coach}").json()[
            "blocks"
        ]
        return found

    def external_coach(self) -> str:
        """Add a coach whose calendar the partner keeps, and a calendar of the same name for it alone.

        By the database: the API has no external calendars.
        """
        name = f"x{self.number()}"
        add_coach(self.database, name, time_zone="UTC", working_hours=ALWAYS, kind="calendar_api")
        add_calendar(self.database, name, [name])
        extend_days(self.database, now=datetime.now(UTC))
        return name

    def caldav_coach(self) -> str:
        """Add a coach whose calendar has a password, at a server that nobody finds."""
        name = f"x{self.number()}"
        add_coach(self.database, name, time_zone="UTC", working_hours=ALWAYS)
        source_id = uuid4()
        locked = self.deployment.account.client("kms").encrypt(
            KeyId=self.deployment.id_of("WebhookKey"),
            Plaintext=b'{"username": "coach", "password": "secret"}',
            EncryptionContext=signing_secrets.for_calendar(source_id),
        )
        self.database.execute(
            "INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, url, credentials)"
            " VALUES (%s, %s, %s, 'caldav', 'https://calendar.invalid/', %s)",
            (source_id, TENANT, name, base64.b64encode(locked["CiphertextBlob"]).decode()),
        )
        extend_days(self.database, now=datetime.now(UTC))
        return name

    def subscribe(self, behaviour: str, *types: str, **members: Any) -> str:
        """Make an endpoint with a secret of its own and return its id."""
        name = f"s{self.number()}"
        body = {"url": f"{self.others.url}/{behaviour}/{name}", "event_types": types or ["appointment.*"]}
        made = self.ask("POST", "/api/webhook-endpoints", body | members, status=201)
        self.others.learn(name, made["secret"])
        identifier: str = made["endpoint_id"]
        return identifier

    def endpoints(self) -> set[str]:
        """Return the subscribers' endpoints."""
        page = self.ask("GET", "/api/webhook-endpoints", params={"limit": 200})["data"]
        return {one["endpoint_id"] for one in page if one["kind"] == "standard"}

    def name_of(self, endpoint: str) -> str:
        """Return the name of an endpoint's subscriber."""
        url: str = self.ask("GET", f"/api/webhook-endpoints/{endpoint}")["url"]
        return url.rpartition("/")[2]

    def count(self, queue: str) -> int:
        """Return how many messages can be received from a queue."""
        return message_counts(self.deployment.account.client("sqs"), self.deployment.id_of(queue))[0]

    def hang_up(self) -> None:
        """End every connection to the database and the cache but our own."""
        self.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename LIKE 'fairslot%' AND pid <> pg_backend_pid()"
        )
        self.cache.client_kill_filter(_type="normal", skipme=True)

    def unsubscribe(self, endpoint: str) -> None:
        """Delete an endpoint."""
        self.ask("DELETE", f"/api/webhook-endpoints/{endpoint}", status=204)

    def tell(self, coach: str, source: dict[str, Any] | None = None) -> httpx.Response:
        """Tell that a coach cannot come; signed with a source's secret if one is given, else with the key."""
        start = datetime.now(UTC) + timedelta(days=20)
        event = {"event_type": "coach.unavailable", "coach_id": coach, "start_time": start.isoformat()}
        event["end_time"] = (start + timedelta(hours=1)).isoformat()
        path, identifier = "/api/webhooks/calendar", str(uuid4())
        if source is None:
            return self.api.post(path, json=event, headers={"X-Idempotency-Key": identifier})
        text, now = json.dumps(event), datetime.now(UTC)
        headers = {
            "webhook-id": identifier,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(source["secret"]).sign(identifier, now, text),
        }
        request = self.api.build_request(
            "POST", path, content=text, headers=headers, params={"source": source["source_id"]}
        )
        del request.headers["X-API-Key"]
        return self.api.send(request)


def team_document() -> dict[str, Any]:
    """Return the document of a team whose coaches always work."""
    names = [f"c{number}" for number in range(_COACHES)]
    coach = {"name": "Someone", "time_zone": "UTC", "working_hours": ALWAYS, "limits": {"per_day": 50}}
    calendar = {"name": "Intro", "slot_duration": 30, "team": {name: {} for name in names}}
    return {"coaches": dict.fromkeys(names, coach), "calendars": {CALENDAR: calendar}}
