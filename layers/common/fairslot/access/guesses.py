"""Credentials that an address tries and nobody has: counted over all processes, before they are looked up.

See docs/decisions/0075-unknown-keys-by-address.md, docs/decisions/0119-limits-by-address.md and
docs/decisions/0122-changes-are-counted-without-valkey.md.
"""

import hashlib
from datetime import timedelta

from fairslot.access import limits, stand_in
from fairslot.domain.errors import Allowance, RateLimitError
from fairslot.platform import cache
from fairslot.platform.settings import settings

# What a credential costs its address, of what the setting allows of wrong ones. A right one that was not
# heard of for a day costs something, too: it is looked up.
_WRONG, _RIGHT = 10, 1
_KNOWN = timedelta(days=1)


class Address:
    """Where a request comes from, as a digest, and whether it asks for a change (`changing`).

    While Valkey does not answer, Postgres counts what is tried, and refuses it only for changes: reads stay
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
            UnavailableError: nothing can be counted, and it asks for a change.

        """
        if key is not None and self._is_known(key):
            return False
        counted = self._count(0, in_postgres=self._changing)
        if counted is None:
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
        self._count(_RIGHT, in_postgres=self._changing)

    def count_wrong(self) -> None:
        """Count a credential that was looked up and is refused."""
        self._count(_WRONG, in_postgres=True)

    def count_malformed(self) -> None:
        """Count what can be no credential; it reaches Postgres in no case."""
        self._count(_WRONG, in_postgres=False)

    def _is_known(self, key: bytes) -> bool:
        known = cache.ask(lambda client: client.exists(_known_key(key)))
        if known is None and self._changing and settings().redis_url:
            return stand_in.is_known_key(key, within=_KNOWN)
        return bool(known)

    def _count(self, by: int, *, in_postgres: bool) -> tuple[Allowance, bool] | None:
        budget = settings().max_unknown_keys_per_minute * _WRONG
        return limits.count(f"unknown_keys:{self.digest}", budget, by=by, in_postgres=in_postgres)


def remember_key(key: bytes) -> None:
    """Remember for a day that a key was found."""
    cache.ask(lambda client: client.set(_known_key(key), "", ex=_KNOWN))


def forget_key(key: bytes) -> None:
    """Forget that a key was found."""
    cache.ask(lambda client: client.delete(_known_key(key)))


def _known_key(key: bytes) -> str:
    """Return the name of a key's mark: a digest of the digest that the database has of it."""
    return f"known_keys:{hashlib.sha256(key).hexdigest()[:32]}"
