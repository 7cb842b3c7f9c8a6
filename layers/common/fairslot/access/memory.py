"""What a process remembers of those who call."""

import time
from collections import OrderedDict

_AT_MOST = 10_000


class Memory[K, T]:
    """Values by key, each for a limited time, and 10,000 at most: the oldest go first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[K, tuple[float, T]] = OrderedDict()

    def get(self, key: K) -> T | None:
        until, value = self._entries.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def keep(self, key: K, value: T, seconds: float) -> None:
        self._entries[key] = (time.monotonic() + seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > _AT_MOST:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()
