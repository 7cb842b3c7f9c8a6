"""The stand-in of Google Calendar as a process, and accounts at it."""

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.event_ids import PROPERTY, event_id, key_of
from fairslot.calendars.fetch import Limits
from fairslot.calendars.google import Google
from fairslot.calendars.google_channels import GoogleChannels
from fairslot.calendars.interface import CalendarError, Event, EventKey
from fairslot.calendars.oauth import GOOGLE, Client, OAuth, Provider
from fairslot.calendars.push_secret import PushSecrets
from fairslot.domain.slots import Window, slot_of
from tests.support.google_contract import Contract
from tests.support.partner_process import partner

LIMITS = Limits(attempts=1, answer_seconds=5)
CLIENT = Client(client_id="fairslot", client_secret="a secret")
DAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(slot_of(DAY), 8)
FREE = 0b11111111
_numbers = itertools.count(1)


class GoogleStandIn:
    """A running stand-in."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        base = str(client.base_url).rstrip("/")
        self.base_url = f"{base}/calendar/v3"
        self.provider = Provider(
            authorize_url=f"{base}/o/oauth2/v2/auth",
            token_url=f"{base}/token",
            revoke_url=f"{base}/revoke",
            asking=GOOGLE.asking,
            includes=GOOGLE.includes,
        )
        self.oauth = OAuth(self.provider, CLIENT, limits=LIMITS)

    def account(self, **members: Any) -> "GoogleAccount":
        """Make an account that has given its consent."""
        email = members.pop("email", f"coach-{next(_numbers)}@example.com")
        made = self.control("accounts", email=email, **members)
        return GoogleAccount(self, email, made["refresh_token"], made["access_token"])

    def control(self, what: str, **body: Any) -> Any:
        """Ask for what only a test may ask for."""
        answer = self.client.post(f"/control/{what}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def next(self, effect: str, method: str, path: str = "/events", **more: Any) -> None:
        """Set what becomes of the next request of a kind: lost, late, or refused with a status."""
        self.control("next", effect=effect, method=method, path=path, **more)

    def refuse(self, method: str, status: int, reason: str, path: str = "/events") -> None:
        """Refuse the next request of a kind for one of Google's reasons."""
        error = {"code": status, "errors": [{"domain": "global", "reason": reason}]}
        self.next("refused", method, path, status=status, body={"error": error})

    def late(self) -> list[int]:
        """Let those requests in that are late; return their statuses."""
        statuses: list[int] = self.control("late")["statuses"]
        return statuses

    def calls(self) -> list[str]:
        """Return what was called, method and path."""
        calls: list[str] = self.client.get("/control/calls").json()["calls"]
        return calls


class GoogleAccount:
    """A coach's account at the stand-in, with a source of ours for its primary calendar."""

    def __init__(self, google: GoogleStandIn, email: str, refresh_token: str, access_token: str) -> None:
        self.google = google
        self.email = email
        self.source_id = uuid4()
        self.refresh_token = refresh_token
        self._access_token = access_token

    @property
    def token(self) -> SourceToken:
        """The source's token, by its refresh token."""
        return SourceToken(
            source_id=self.source_id, refresh_token=self.refresh_token, refresh=self.google.oauth.refresh
        )

    def calendar(self, *, source_id: UUID | None = None, **more: Any) -> Google:
        """Open the calendar as we read and write it, held to Google's description of both."""
        return Google(
            token=self.token,
            source_id=source_id or self.source_id,
            base_url=self.google.base_url,
            limits=LIMITS,
            transport=Contract(),
            **more,
        )

    def channels(self, secrets: PushSecrets) -> GoogleChannels:
        """Open what makes the calendar's channels."""
        return GoogleChannels(
            token=self.token,
            secrets=secrets,
            base_url=self.google.base_url,
            limits=LIMITS,
            transport=Contract(),
        )

    def control(self, what: str, **more: Any) -> Any:
        """Ask for what only a test may ask for, of this account."""
        return self.google.control(what, email=self.email, **more)

    def add(self, **event: Any) -> dict[str, Any]:
        """Add an event as the coach, or anybody who invites the coach, would."""
        added: dict[str, Any] = self.control("events", event=event)
        return added

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request below the primary calendar as a client of the coach's would."""
        headers = {"Authorization": f"Bearer {self._access_token}"}
        url = f"{self.google.base_url}/calendars/primary/{path}"
        return self.google.client.request(method, url, headers=headers, **more)

    def events(self) -> list[dict[str, Any]]:
        """Return all events that stand in the calendar."""
        answer = self.google.client.get("/control/events", params={"email": self.email})
        return [one for one in answer.json()["events"] if one["status"] != "cancelled"]

    def mine(self) -> list[dict[str, Any]]:
        """Return the events of ours that stand in the calendar."""
        return [one for one in self.events() if _is_ours(one)]


def run[T](doing: Coroutine[Any, Any, T]) -> T:
    """Do it in an event loop of its own, as each invocation has one."""
    return asyncio.run(doing)


def refusal(doing: Coroutine[Any, Any, object]) -> tuple[str, float, str | None]:
    """Return reason, seconds to wait, and what has ended."""
    with pytest.raises(CalendarError) as raised:
        run(doing)
    return raised.value.reason, raised.value.after, raised.value.ended


def at(start: datetime, length: timedelta = HOUR) -> dict[str, Any]:
    """Return an event's start and end as Google writes them."""
    return {"start": {"dateTime": start.isoformat()}, "end": {"dateTime": (start + length).isoformat()}}


def event(account: GoogleAccount, start: datetime = DAY, generation: int = 1) -> Event:
    """Make the event of one appointment."""
    key = EventKey(appointment_id=UUID(int=1), source_id=account.source_id, generation=generation)
    return Event(key=key, start=start, end=start + HOUR, title="Booked: Intro call")


def starts(account: GoogleAccount) -> list[datetime]:
    """Return when the events of ours begin that stand in the calendar."""
    return [datetime.fromisoformat(one["start"]["dateTime"]) for one in account.mine()]


def _is_ours(event: dict[str, Any]) -> bool:
    key = key_of(event.get("extendedProperties", {}).get("private", {}).get(PROPERTY))
    return key is not None and event["id"] == event_id(key)


@contextmanager
def google(data: Path) -> Iterator[GoogleStandIn]:
    """Run the stand-in, without faults but those that are asked for."""
    with partner("google", data) as client:
        yield GoogleStandIn(client)
