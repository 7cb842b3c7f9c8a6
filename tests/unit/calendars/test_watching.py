"""What becomes of a request about a channel, whatever the provider does."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from fairslot.calendars import watching
from fairslot.calendars.interface import CalendarError, Watch
from fairslot.calendars.push_secret import Channel
from fairslot.calendars.watching import carry_out
from fairslot.messages.watches import Action, WatchAnswer, WatchRequest

SOURCE = UUID(int=1)
UNTIL = datetime(2026, 12, 6, tzinfo=UTC)
MADE = Watch(channel_id="one", resource_id="r", expires_at=UNTIL)


class Provider:
    """A provider that answers, fails or hangs."""

    def __init__(self, outcome: Watch | Exception | None = MADE, *, hangs: bool = False) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._outcome = outcome
        self._hangs = hangs

    async def watch(self, channel: Channel, *, address: str) -> Watch:
        """Note it."""
        done = await self._do(f"watch {address}", channel)
        assert done is not None
        return done

    async def renew(self, watch: Watch) -> Watch | None:
        """Note it."""
        return await self._do("renew", watch)

    async def stop(self, watch: Watch) -> None:
        """Note it."""
        await self._do("stop", watch)

    async def _do(self, what: str, given: object) -> Watch | None:
        self.asked.append((what, given))
        if self._hangs:
            await asyncio.Event().wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def asked(action: Action = "watch", **more: Any) -> WatchRequest:
    """Make a request."""
    given: dict[str, Any] = {
        "action": action,
        "source_id": SOURCE,
        "generation": 3,
        "calendar_kind": "microsoft",
        "address": "https://here/calendar-push/microsoft",
    }
    named = {} if action == "watch" else {"channel_id": "one", "resource_id": "r", "expires_at": UNTIL}
    return WatchRequest(**given | named | more)


def done(monkeypatch: pytest.MonkeyPatch, provider: Provider, request: WatchRequest) -> WatchAnswer:
    """Carry a request out."""

    async def opened(_: WatchRequest) -> Provider:
        return provider

    monkeypatch.setattr(watching, "_open_microsoft", opened)
    return asyncio.run(carry_out(request, seconds=0.2))


def test_a_channel_is_made_for_the_source_and_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has what the provider calls it, and until when it lasts."""
    provider = Provider()
    answer = done(monkeypatch, provider, asked())
    channel = Channel(provider="microsoft", source_id=SOURCE, generation=3)
    assert provider.asked == [("watch https://here/calendar-push/microsoft", channel)]
    assert (answer.action, answer.source_id, answer.generation) == ("watch", SOURCE, 3)
    assert (answer.channel_id, answer.resource_id, answer.expires_at) == ("one", "r", UNTIL)
    assert answer.error is None


@pytest.mark.parametrize("action", ["renew", "stop"])
def test_a_channel_is_named(monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    """What is stopped is named in the answer, without an end."""
    provider = Provider(MADE if action == "renew" else None)
    answer = done(monkeypatch, provider, asked(action))
    assert provider.asked == [(action, MADE)]
    assert (answer.channel_id, answer.error) == ("one", None)
    assert answer.expires_at == (UNTIL if action == "renew" else None)


def test_a_subscription_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that another one is asked for at once."""
    answer = done(monkeypatch, Provider(None), asked("renew"))
    assert (answer.error, answer.gone, answer.channel_id) == ("not_found", True, "one")


@pytest.mark.parametrize("action", ["watch", "renew", "stop"])
def test_a_failure_is_an_answer(monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    """With how long the provider asks to wait."""
    provider = Provider(CalendarError("rate_limited", after=70))
    answer = done(monkeypatch, provider, asked(action))
    assert (answer.error, answer.after, answer.gone, answer.expires_at) == ("rate_limited", 70, False, None)


def test_a_provider_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time that there is."""
    assert done(monkeypatch, Provider(hangs=True), asked()).error == "timeout"


def test_a_kind_that_tells_nothing_is_refused() -> None:
    """No such request is made, and none of an old message is carried out."""
    for action in ("watch", "renew", "stop"):
        answer = asyncio.run(carry_out(asked(action, calendar_kind="caldav"), seconds=1))
        assert answer.error == "unknown_kind"
