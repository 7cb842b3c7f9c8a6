"""Google's channels: what is asked for, what comes back, and that they end no source."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from fairslot.calendars.fetch import Limits
from fairslot.calendars.google_channels import GoogleChannels
from fairslot.calendars.interface import CalendarError, Watch
from fairslot.calendars.push_secret import Channel, PushSecrets
from tests.support.environment import clear_caches

BASE = "http://127.0.0.1:9/calendar/v3"
LIMITS = Limits(attempts=1, answer_seconds=5)
SECRETS = PushSecrets(["a secret of the deployment, 32 characters"])
CHANNEL = Channel(provider="google", source_id=UUID(int=2), generation=3)
ADDRESS = "https://push.example/calendar-push/google"
MADE = {
    "kind": "api#channel",
    "id": "the-id",
    "resourceId": "resource",
    "expiration": "1796083200000",
}
OLD = Watch(channel_id="old", resource_id="resource", expires_at=datetime(2026, 12, 1, tzinfo=UTC))


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


class Tokens:
    """Gives a token."""

    async def get(self, *, fresh: bool = False) -> str:
        return "token"


class Provider(httpx.MockTransport):
    """Gives one answer after the other, and keeps the requests."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        super().__init__(self._answer)
        self.answers = list(answers)
        self.requests: list[tuple[str, Any]] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((str(request.url).removeprefix(BASE), json.loads(request.content)))
        status, body = self.answers.pop(0)
        content = json.dumps(body).encode() if body is not None else b""
        return httpx.Response(status, stream=httpx.ByteStream(content))

    @property
    def channels(self) -> GoogleChannels:
        return GoogleChannels(
            token=Tokens(),
            secrets=SECRETS,
            calendar_id="team@group.example",
            base_url=BASE,
            limits=LIMITS,
            transport=self,
        )

    def watch(self, old: Watch | None = None) -> Watch:
        return asyncio.run(self.channels.watch(CHANNEL, address=ADDRESS, old=old))

    def refusal(self) -> CalendarError:
        with pytest.raises(CalendarError) as raised:
            self.watch()
        return raised.value


def test_a_channel_is_made_for_a_week_with_a_secret_of_its_own() -> None:
    """What comes back is where it ends, and what stops it."""
    provider = Provider((200, MADE))
    assert provider.watch() == Watch(
        channel_id="the-id", resource_id="resource", expires_at=datetime(2026, 12, 1, tzinfo=UTC)
    )
    ((path, body),) = provider.requests
    assert path == "/calendars/team%40group.example/events/watch"
    assert (body["type"], body["address"], body["params"]) == ("web_hook", ADDRESS, {"ttl": "604800"})
    assert SECRETS.channel("google", body["token"]) == CHANNEL
    assert str(UUID(body["id"])) == body["id"]


def test_each_channel_has_another_id() -> None:
    """Google refuses an id that it has seen."""
    provider = Provider((200, MADE), (200, MADE))
    provider.watch()
    provider.watch()
    first, second = (body["id"] for _, body in provider.requests)
    assert first != second


def test_the_old_channel_is_stopped_when_the_new_one_stands() -> None:
    """In this order, so that no change goes unsaid between them."""
    provider = Provider((200, MADE), (204, None))
    provider.watch(OLD)
    assert [path.rpartition("/")[2] for path, _ in provider.requests] == ["watch", "stop"]
    assert provider.requests[1] == ("/channels/stop", {"id": "old", "resourceId": "resource"})


def test_an_old_channel_that_cannot_be_stopped_is_left_to_end() -> None:
    """The new one is not lost with it."""
    assert Provider((200, MADE), (503, {})).watch(OLD).channel_id == "the-id"


def test_without_a_new_channel_the_old_one_stays() -> None:
    """It still tells."""
    provider = Provider((503, {}))
    with pytest.raises(CalendarError, match="http_503"):
        provider.watch(OLD)
    ((path, _),) = provider.requests
    assert path.endswith("/watch")


def test_a_channel_that_has_ended_is_stopped() -> None:
    """404, as Google answers then; anything else is an error."""
    asyncio.run(Provider((404, {})).channels.stop(OLD))
    with pytest.raises(CalendarError, match="http_500"):
        asyncio.run(Provider((500, {})).channels.stop(OLD))


@pytest.mark.parametrize(
    "made",
    [
        {},
        MADE | {"expiration": None},
        MADE | {"expiration": "soon"},
        MADE | {"expiration": "9" * 40},
        MADE | {"id": 7},
        {name: value for name, value in MADE.items() if name != "resourceId"},
    ],
)
def test_what_is_no_channel_is_an_error(made: dict[str, Any]) -> None:
    """Without an end nobody would know when to make the next."""
    assert Provider((200, made)).refusal().reason == "invalid_body"


@pytest.mark.parametrize(
    ("status", "error_reason", "reason"),
    [
        (400, "pushNotSupportedForRequestedResource", "http_400"),
        (401, "push.webhookUrlUnauthorized", "unauthorized"),
        (403, "insufficientPermissions", "forbidden"),
        (404, "notFound", "not_found"),
    ],
)
def test_a_refused_channel_ends_no_source(status: int, error_reason: str, reason: str) -> None:
    """A calendar without push is read as often as the others were before."""
    body = {"error": {"code": status, "errors": [{"reason": error_reason}]}}
    error = Provider((status, body), (status, body)).refusal()
    assert (error.reason, error.ended) == (reason, None)
