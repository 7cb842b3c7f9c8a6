"""A deployment whose functions are called as Lambda calls them, and a coach whose provider tells."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import background.results
import background.store
import background.sync
import calendar_fetch.app
import calendar_push.app
from fairslot.calendars.push import validation_answer
from fairslot.domain.slots import slot_of
from fairslot.platform.db import Connection
from tests.support.google import CLIENT, GoogleAccount, at
from tests.support.graph import OPERATOR, Coach
from tests.support.lambda_context import context
from tests.support.pushes import push_event
from tests.support.queues import Queues
from tests.support.sqs_events import received_event
from tests.support.tables import one_row

type Handler = Callable[[dict[str, Any], Any], Any]

SECONDS = 20
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Account:
    """A coach's account at one of the stand-ins."""

    kind: Literal["google", "microsoft"]
    source_id: UUID
    credentials: dict[str, str]
    settings: dict[str, str]
    add: Callable[[datetime], object]
    channels: Callable[[], int]


def google_account(given: GoogleAccount) -> Account:
    """Return an account at Google."""
    client, known = given.google.client, {"email": given.email}
    return Account(
        kind="google",
        source_id=given.source_id,
        credentials={"refresh_token": given.refresh_token},
        settings={
            "GOOGLE_CLIENT_ID": CLIENT.client_id,
            "GOOGLE_CLIENT_SECRET": CLIENT.client_secret,
            "GOOGLE_ACCOUNTS_URL": given.google.base_url.removesuffix("/calendar/v3"),
            "GOOGLE_API_URL": given.google.base_url,
        },
        add=lambda start: given.add(**at(start)),
        channels=lambda: len(client.get("/control/channels", params=known).json()["channels"]),
    )


def microsoft_account(given: Coach) -> Account:
    """Return an account at Microsoft."""
    return Account(
        kind="microsoft",
        source_id=given.source_id,
        credentials={"refresh_token": given.given["refresh_token"]},
        settings={
            "MICROSOFT_CLIENT_ID": OPERATOR.client_id,
            "MICROSOFT_CLIENT_SECRET": OPERATOR.client_secret,
            "MICROSOFT_ACCOUNTS_URL": given.standin.url,
            "MICROSOFT_API_URL": given.standin.api,
        },
        add=lambda start: given.add(start, start + HOUR),
        channels=lambda: given.subscriptions,
    )


@dataclass
class Door:
    """Where the provider posts to: handshakes are answered at once, notifications kept for the function."""

    url: str
    coming: Queue[dict[str, Any]] = field(default_factory=Queue)


@contextmanager
def door() -> Iterator[Door]:
    """Listen for notifications."""

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            proof = validation_answer(dict(parse_qsl(parts.query)))
            if proof is None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                listening.coming.put(push_event(parts.path, body, headers=headers, query=parts.query))
            content = (proof or "").encode()
            self.send_response(202 if proof is None else 200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        listening = Door(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class World:
    """The deployment."""

    connection: Connection
    queues: Queues
    urls: dict[str, str]
    door: Door
    account: Account

    def plan(self) -> dict[str, int]:
        """Do what the schedule does."""
        done: dict[str, int] = background.sync.lambda_handler({}, context())
        return done

    def work(self, queue: str, handler: Handler) -> int:
        """Have a function work off its queue; return how many messages there were."""
        found = self.queues.sqs.receive_message(
            QueueUrl=self.urls[queue], MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        if found:
            assert handler(received_event(found), context(60)) == {"batchItemFailures": []}
        for one in found:
            self.queues.sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=one["ReceiptHandle"])
        return len(found)

    def read(self) -> tuple[int, int]:
        """Carry out what is asked about calendars, and store it; return how many messages there were."""
        asked = self.work("FETCHES_QUEUE_URL", calendar_fetch.app.lambda_handler)
        return asked, self.work("FETCHED_QUEUE_URL", background.store.lambda_handler)

    def told(self) -> int:
        """Take in the next notification of the provider; return the status."""
        event = self.door.coming.get(timeout=SECONDS)
        status: int = calendar_push.app.lambda_handler(event, context())["statusCode"]
        return status

    def act(self) -> int:
        """Do what notifications ask for; return how many there were."""
        return self.work("RESULTS_QUEUE_URL", background.results.lambda_handler)

    def is_free(self, start: datetime) -> bool:
        """Tell whether a slot is free as far as the calendar is known."""
        statement = "SELECT substring(free FROM %s - first_slot + 1 FOR 1) = B'1' AS free FROM source_answers"
        return bool(one_row(self.connection, statement, (slot_of(start),))["free"])

    def a_minute_later(self) -> None:
        """Let the last reading be a minute ago."""
        self.connection.execute(
            "UPDATE calendar_sources SET requested_at = requested_at - interval '1 minute'"
        )


def locked(credentials: dict[str, str]) -> str:
    """Lock credentials up as the tests' key does: written backwards."""
    return json.dumps(credentials)[::-1]


def tomorrow() -> datetime:
    """Return an hour of tomorrow."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
