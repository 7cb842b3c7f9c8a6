"""Coaches with a mailbox at the stand-in of Microsoft Graph, and an address that is told of changes."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx

from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.fetch import Limits
from fairslot.calendars.microsoft import MicrosoftCalendar
from fairslot.calendars.microsoft_application import Application
from fairslot.calendars.oauth import Client, OAuth, microsoft
from fairslot.calendars.push import Notice, microsoft_notices, validation_answer
from fairslot.calendars.push_secret import PushSecrets
from local.partners.microsoft_store import Settings
from tests.support.partner_process import partner

BERLIN = ZoneInfo("Europe/Berlin")
LIMITS = Limits(attempts=1, answer_seconds=5)
OPERATOR = Client(client_id="fairslot", client_secret="operator")
SECRETS = PushSecrets(["a secret of more than 32 characters"])
_numbers = itertools.count(1)


@dataclass
class Coach:
    """A coach with an empty mailbox of their own."""

    standin: "Standin"
    address: str
    zone: ZoneInfo
    given: dict[str, str]
    source_id: UUID = field(default_factory=uuid4)

    @property
    def token(self) -> SourceToken:
        """The source's token, by what the coach consented to."""
        oauth = OAuth(microsoft().at(self.standin.url), OPERATOR, limits=LIMITS)
        return SourceToken(
            source_id=self.source_id, refresh_token=self.given["refresh_token"], refresh=oauth.refresh
        )

    def calendar(self, **more: Any) -> MicrosoftCalendar:
        """Open the coach's calendar."""
        opened: dict[str, Any] = {
            "token": self.token,
            "source_id": self.source_id,
            "zone": self.zone,
            "limits": LIMITS,
        }
        return MicrosoftCalendar(**opened | {"base_url": self.standin.api} | more)

    def add(self, start: datetime, end: datetime, zone: str = "UTC", **more: Any) -> dict[str, Any]:
        """Add an event that is not ours."""
        event = {"subject": "Private", "start": written(start, zone), "end": written(end, zone)} | more
        added: dict[str, Any] = self.standin.control("events", address=self.address, event=event)
        return added

    def act(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Do something as the coach, with a token of their own."""
        headers = {"Authorization": f"Bearer {self.given['access_token']}"}
        return self.standin.client.request(method, f"/v1.0/me/{path}", headers=headers, **more)

    @property
    def events(self) -> list[dict[str, Any]]:
        """All that stands in the mailbox."""
        found: list[dict[str, Any]] = self._shown["events"]
        return found

    @property
    def subscriptions(self) -> int:
        """How many subscriptions to the mailbox there are."""
        found: int = self._shown["subscriptions"]
        return found

    @property
    def _shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.standin.client.get(f"/control/mailboxes/{self.address}").json()
        return shown


class Standin:
    """The stand-in, which runs."""

    first_settings = asdict(Settings())

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.url = str(client.base_url).rstrip("/")
        self.api = f"{self.url}/v1.0"

    def coach(self, zone: ZoneInfo = BERLIN, **more: Any) -> Coach:
        """Add a coach."""
        address = f"coach-{next(_numbers)}@example.com"
        return Coach(self, address, zone, self.control("mailboxes", address=address, zone=zone.key, **more))

    def control(self, path: str, /, **body: Any) -> Any:
        """Set something."""
        answer = self.client.post(f"/control/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def once(self, effect: str, method: str = "GET", path: str = "", **more: Any) -> None:
        """Let the next such request fail."""
        self.control("next", effect=effect, method=method, path=path, **more)

    def calm(self) -> None:
        """Let no request fail that has not yet."""
        self.control("calm")

    @property
    def calls(self) -> list[str]:
        """What was called."""
        found: list[str] = self.client.get("/control/calls").json()
        return found

    def application(self, **more: Any) -> Application:
        """Return the operator's application."""
        provider = microsoft("example.com").at(self.url)
        known: dict[str, Any] = {"provider": provider, "client_id": OPERATOR.client_id}
        proof = {} if "certificate" in more else {"client_secret": OPERATOR.client_secret}
        return Application(**known | proof | {"limits": LIMITS} | more)


@contextmanager
def graph_standin(data: Path) -> Iterator[Standin]:
    """Yield the stand-in, as a process of its own."""
    with partner("microsoft", data) as client:
        yield Standin(client)


def written(instant: datetime, zone: str = "UTC") -> dict[str, str]:
    """Write a time on the clocks of a zone."""
    local = instant.astimezone(UTC if zone == "UTC" else ZoneInfo(zone)).replace(tzinfo=None)
    return {"dateTime": local.isoformat(), "timeZone": zone}


@dataclass
class Told:
    """An address that Graph posts to: it proves itself, and keeps the notices that are verified."""

    url: str
    notices: list[Notice] = field(default_factory=list)
    # Answers the token with something else.
    lies: bool = False


@contextmanager
def told() -> Iterator[Told]:
    """Yield an address that listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            proof = validation_answer(dict(parse_qsl(urlsplit(self.path).query)))
            if proof is None:
                address.notices += microsoft_notices(body, SECRETS)
                self._answer(202, "")
            else:
                self._answer(200, "lies" if address.lies else proof)

        def _answer(self, status: int, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = Told(f"http://127.0.0.1:{server.server_port}/calendar-push/microsoft")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
