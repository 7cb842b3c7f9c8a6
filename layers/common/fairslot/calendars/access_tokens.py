"""Access tokens of sources: kept until they expire, refreshed by one request at a time."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import time
from uuid import UUID
from weakref import WeakKeyDictionary

from fairslot.calendars.oauth import Grant

# Nothing is begun with a token that is about to expire.
_SPARE_SECONDS = 60.0
_MOST_KEPT = 10_000

# Gives an access token for the refresh token; what needs none takes it all the same.
type Refresh = Callable[[str], Awaitable[Grant]]
type _Key = tuple[UUID, bytes]


@dataclass(slots=True)
class _Kept:
    """What is kept of a source: the token, until when it is used, and the refresh token to use next."""

    refresh_token: str = field(repr=False)
    access_token: str | None = field(default=None, repr=False)
    until: float = 0.0


class _Memory:
    """The tokens of this process; of each source the last, and of the sources those used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        # A lock belongs to one event loop, and each invocation has its own.
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, asyncio.Lock]] = (
            WeakKeyDictionary()
        )

    def of(self, key: _Key, refresh_token: str) -> _Kept:
        kept = self._kept.setdefault(key, _Kept(refresh_token))
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return kept

    def add(self, source_id: UUID, kept: _Kept) -> None:
        """Have what is kept be found by its next refresh token too, which is given once it was stored."""
        self._kept[(source_id, _digest(kept.refresh_token))] = kept

    def replaced(self, key: _Key, refresh_token: str) -> str | None:
        kept = self._kept.get(key)
        return None if kept is None or kept.refresh_token == refresh_token else kept.refresh_token

    def lock(self, key: _Key) -> asyncio.Lock:
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        return locks.setdefault(key, asyncio.Lock())

    def clear(self) -> None:
        self._kept.clear()


_memory = _Memory()


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()


def replaced(source_id: UUID, refresh_token: str) -> str | None:
    """Return the refresh token that a source's stored one was replaced by, None: it was not."""
    return _memory.replaced((source_id, _digest(refresh_token)), refresh_token)


def clear_cache() -> None:
    """Forget all tokens."""
    _memory.clear()


class SourceToken:
    """The access token of one source, as `AccessToken`.

    A refresh token that the provider replaced is used from then on, and handed back by `replaced` until it is
    the one that is given.
    """

    def __init__(
        self,
        *,
        source_id: UUID,
        refresh_token: str,
        refresh: Refresh,
        clock: Callable[[], float] = time,
    ) -> None:
        """Take the source, its stored refresh token, and what asks the provider.

        The clock is the wall's: the other one stands still while Lambda freezes the process.
        """
        self._given = refresh_token
        # A source that was connected again begins anew.
        self._key = (source_id, _digest(refresh_token))
        self._refresh = refresh
        self._clock = clock
        self._last: str | None = None

    @property
    def replaced(self) -> str | None:
        """The refresh token to store, None where the stored one stays."""
        return _memory.replaced(self._key, self._given)

    async def get(self, *, fresh: bool = False) -> str:
        """Return an access token; with `fresh` another than the last, which was refused.

        Raises CalendarError.
        """
        async with _memory.lock(self._key):
            kept = _memory.of(self._key, self._given)
            token = kept.access_token
            is_refused = fresh and token == self._last
            if token is None or is_refused or self._clock() >= kept.until:
                token = await self._renew(kept)
        self._last = token
        return token

    async def _renew(self, kept: _Kept) -> str:
        kept.access_token = None
        grant = await self._refresh(kept.refresh_token)
        kept.access_token = grant.access_token
        kept.until = self._clock() + grant.seconds - _SPARE_SECONDS
        if grant.refresh_token:
            kept.refresh_token = grant.refresh_token
            _memory.add(self._key[0], kept)
        return grant.access_token
