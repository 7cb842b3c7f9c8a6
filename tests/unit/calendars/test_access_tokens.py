"""Access tokens: kept until they expire, refreshed by one at a time, and rotated."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from fairslot.calendars import access_tokens
from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import Grant

SOURCE = UUID(int=2)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test begins as a new process."""
    access_tokens.clear_cache()
    yield
    access_tokens.clear_cache()


class Provider:
    """Grants tokens of an hour, and keeps with which refresh tokens it was asked."""

    def __init__(self, *, rotates: bool = False) -> None:
        self.asked: list[str] = []
        self.now = 1_000.0
        self.rotates = rotates
        self.error: CalendarError | None = None

    async def refresh(self, refresh_token: str) -> Grant:
        # Others get their turn here, as they do while an answer is waited for.
        await asyncio.sleep(0)
        self.asked.append(refresh_token)
        if self.error is not None:
            raise self.error
        number = len(self.asked)
        return Grant(
            access_token=f"access-{number}",
            seconds=3600,
            refresh_token=f"refresh-{number}" if self.rotates else None,
        )

    def token(self, refresh_token: str = "refresh-0", source_id: UUID = SOURCE) -> SourceToken:
        return SourceToken(
            source_id=source_id,
            refresh_token=refresh_token,
            refresh=self.refresh,
            clock=lambda: self.now,
        )


def get(token: SourceToken, *, fresh: bool = False) -> str:
    """Get a token in an event loop of its own, as each invocation has one."""
    return asyncio.run(token.get(fresh=fresh))


def test_a_token_is_kept_until_a_minute_before_it_expires() -> None:
    """Across invocations of one process."""
    provider = Provider()
    assert get(provider.token()) == "access-1"
    provider.now += 3600 - 60.5
    assert get(provider.token()) == "access-1"
    provider.now += 1
    assert get(provider.token()) == "access-2"


def test_those_who_come_together_ask_once() -> None:
    """One refreshes, and the others wait for it."""
    provider = Provider()

    async def together() -> list[str]:
        return list(await asyncio.gather(*(provider.token().get() for _ in range(20))))

    assert asyncio.run(together()) == ["access-1"] * 20
    assert len(provider.asked) == 1


def test_those_who_were_refused_together_ask_once() -> None:
    """The first replaces the token that was refused; the others take what it got."""
    provider = Provider()

    async def together() -> list[str]:
        tokens = [provider.token() for _ in range(20)]
        await asyncio.gather(*(token.get() for token in tokens))
        return list(await asyncio.gather(*(token.get(fresh=True) for token in tokens)))

    assert asyncio.run(together()) == ["access-2"] * 20


def test_a_source_does_not_wait_for_another() -> None:
    """Each has its own."""
    provider = Provider()
    assert get(provider.token(source_id=UUID(int=5))) == "access-1"
    assert get(provider.token(source_id=UUID(int=6))) == "access-2"


def test_a_rotated_refresh_token_is_used_and_handed_back() -> None:
    """Until it is the one that is given: what was stored may be behind for a while."""
    provider = Provider(rotates=True)
    token = provider.token()
    handed_back = [token.replaced]
    for fresh in (False, True):
        get(token, fresh=fresh)
        handed_back.append(token.replaced)
    assert (provider.asked, handed_back) == (["refresh-0", "refresh-1"], [None, "refresh-1", "refresh-2"])
    # A message that was written before it was stored.
    provider.now += 7200
    get(provider.token())
    assert provider.asked[-1] == "refresh-2"
    assert provider.token("refresh-3").replaced is None


def test_a_refresh_token_that_stays_is_not_handed_back() -> None:
    """Google's does."""
    provider = Provider()
    token = provider.token()
    get(token)
    assert token.replaced is None


def test_a_source_that_is_connected_again_begins_anew() -> None:
    """What the old grant gave is not used for the new one."""
    provider = Provider()
    get(provider.token("old grant"))
    assert get(provider.token("new grant")) == "access-2"
    assert provider.asked == ["old grant", "new grant"]


def test_a_failure_is_not_kept() -> None:
    """The next one asks again, and a refused token is not used meanwhile."""
    provider = Provider()
    token = provider.token()
    get(token)
    provider.error = CalendarError("timeout")
    with pytest.raises(CalendarError, match="timeout"):
        get(token, fresh=True)
    provider.error = None
    assert get(provider.token()) == "access-3"


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were used last stay."""
    monkeypatch.setattr(access_tokens, "_MOST_KEPT", 2)
    provider = Provider()
    for number in (1, 2, 3):
        get(provider.token(source_id=UUID(int=number)))
    get(provider.token(source_id=UUID(int=2)))
    get(provider.token(source_id=UUID(int=3)))
    assert len(provider.asked) == 3
    get(provider.token(source_id=UUID(int=1)))
    assert len(provider.asked) == 4
