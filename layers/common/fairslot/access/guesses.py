"""Credentials that an address tries and nobody has: counted over all processes, before they are looked up.

See docs/decisions/0075-unknown-keys-by-address.md and docs/decisions/0119-limits-by-address.md.
"""

import hashlib

from fairslot.access import limits
from fairslot.access.memory import Memory
from fairslot.domain.errors import Allowance, RateLimitError, UnavailableError
from fairslot.platform import cache
from fairslot.platform.settings import settings

# What a credential costs its address, of what the setting allows of wrong ones. A right one that was not
# heard of for a day costs something, too: it is looked up.
_WRONG, _RIGHT = 10, 1
_KNOWN_SECONDS = 86_400
_MINUTE = 60.0
# Addresses, as digests, of which this process has just refused a credential.
_refused = Memory[str, bool]()


class Address:
    """Where a request comes from, as a digest, and whether it asks for a change (`changing`).

    While nothing can be counted each process goes by what it has refused itself: to an address of which it
    has refused a credential in the last minute, changes are closed unless it knows the caller. Reads stay
    open.
    """

    def __init__(self, digest: str, *, changing: bool) -> None:
        self.digest = digest
        self._changing = changing

    def check(self, key: bytes | None = None) -> bool:
        """Allow a key, or a signature or a token (None), to be looked up; return whether it is a new one.

        A key that was found within the last day is not new, and always allowed: many customers may share the
        address.

        Raises:
            RateLimitError: its address has tried too many wrong ones.
            UnavailableError: nothing can be counted, and it may be one more wrong one.

        """
        if key is not None and cache.ask(lambda client: client.exists(_known_key(key))):
            return False
        counted = self._count(0)
        if counted is None:
            limits.tell_unavailable()
            if self._changing and settings().redis_url and _refused.get(self.digest):
                raise UnavailableError("Unknown callers can change nothing now; try again later.")
            return True
        allowance, allowed = counted
        if not allowed:
            raise RateLimitError(
                allowance,
                "Too many unknown API keys or invalid signatures from this address; wait and try again.",
            )
        return True

    def count_right(self) -> None:
        """Count a look-up that found a key which was new."""
        self._count(_RIGHT)

    def count_wrong(self) -> None:
        """Count a credential that is refused."""
        _refused.keep(self.digest, True, _MINUTE)  # noqa: FBT003
        self._count(_WRONG)

    def _count(self, by: int) -> tuple[Allowance, bool] | None:
        budget = settings().max_unknown_keys_per_minute * _WRONG
        return limits.count(f"unknown_keys:{self.digest}", budget, by=by)


def remember_key(key: bytes) -> None:
    """Remember for a day that a key was found."""
    cache.ask(lambda client: client.set(_known_key(key), "", ex=_KNOWN_SECONDS))


def forget_key(key: bytes) -> None:
    """Forget that a key was found."""
    cache.ask(lambda client: client.delete(_known_key(key)))


def clear_cache() -> None:
    """Forget whom this process has refused."""
    _refused.clear()


def _known_key(key: bytes) -> str:
    """Return the name of a key's mark: a digest of the digest that the database has of it."""
    return f"known_keys:{hashlib.sha256(key).hexdigest()[:32]}"
