"""Rate limits in Valkey: requests of a key, and unknown keys of an address, each in a minute.

Without Valkey nothing is counted, and every request of a valid key is allowed. See
docs/decisions/0040-rate-limit-script.md, docs/decisions/0075-unknown-keys-by-address.md,
docs/decisions/0092-one-question-to-the-cache.md and docs/decisions/0114-api-keys.md.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from fairslot.domain.errors import Allowance, RateLimitError
from fairslot.platform import cache

if TYPE_CHECKING:
    from redis import Redis

_KNOWN_SECONDS = 86_400
# A sliding window of a minute from two counters: that of the minute which began with the first request, and
# that of the minute before, weighted by the share of it that the window still covers. Returns whether the
# request is allowed, how many more are, and in how many seconds there is room for another. With a second
# argument of 0 it counts nothing. A second key has the version of the tenant's API keys: unless it is the
# third argument (or that is empty) nothing is done and -1 is returned. A third key is set, if the request is
# allowed and it is not there yet, to the fourth argument, for as many seconds as the fifth says; then 1 is
# returned, too.
_COUNT = """
    if KEYS[2] and ARGV[3] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[3] then
        return {-1}
    end
    local limit, minute = tonumber(ARGV[1]), 60
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1000000
    local kept = redis.call('HMGET', KEYS[1], 'begun', 'count', 'before')
    local begun, count, before = tonumber(kept[1]) or now, tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
    if now - begun >= 2 * minute then
        begun, count, before = now, 0, 0
    elseif now - begun >= minute then
        begun, count, before = begun + minute, 0, count
    end
    local left = begun + minute - now
    local used = count + math.floor(before * left / minute)
    local allowed = used < limit
    if allowed and ARGV[2] ~= '0' then
        used = used + 1
        redis.call('HSET', KEYS[1], 'begun', begun, 'count', count + 1, 'before', before)
        redis.call('EXPIRE', KEYS[1], 2 * minute)
    end
    local reset = before > 0 and left % (minute / before) or left
    local taken = allowed and KEYS[3] and redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5], 'NX')
    return {allowed and 1 or 0, math.max(0, limit - used), math.max(1, math.ceil(reset)), taken and 1 or 0}
"""


# What was published late must not hide a later version.
_PUBLISH = """
    if tonumber(ARGV[1]) > (tonumber(redis.call('GET', KEYS[1])) or -1) then
        redis.call('SET', KEYS[1], ARGV[1])
    end
    return 1
"""


class Remembered(Protocol):
    """An API key, as of a version of its tenant's keys; unless `fresh` an earlier request looked it up."""

    fresh: bool
    version: int | None

    def renew(self) -> None:
        """Look it up anew. Raises AuthenticationError."""


class RequestCount:
    """The count of one request against its client's requests a minute, over all processes; made once.

    It is made alone, or by the command that takes the request's idempotency key. The same command tells
    whether the tenant's API keys have changed since the client's was looked up; if so, or without an answer,
    it is looked up anew.
    """

    def __init__(
        self, tenant_id: str, key_id: str, limit: int, *, remembered: Remembered | None = None
    ) -> None:
        # A cluster runs a script on keys of one slot only: what is in braces decides the slot.
        self._slot = f"{{{tenant_id}}}"
        self._name = f"requests:{self._slot}:{key_id}"
        self._tenant_id = tenant_id
        self._limit = limit
        self._allowed = True
        self._remembered = remembered
        self.allowance: Allowance | None = None

    @property
    def records(self) -> str:
        """How the names of this tenant's idempotency records begin."""
        return f"idempotent:{self._slot}"

    def check(self) -> Allowance:
        """Return what is left; count the request if it is not counted yet.

        Raises:
            RateLimitError: the client is over its limit.
            AuthenticationError: the client's key is not valid any more.

        """
        if self.allowance is None:
            counted = cache.ask(self._count)
            if counted is None and self._remembered is not None and not self._remembered.fresh:
                self._remembered.renew()
            self.allowance, self._allowed = _read(counted or (1, self._limit, 60), self._limit)
        if not self._allowed:
            raise RateLimitError(self.allowance)
        return self.allowance

    def take(self, client: "Redis", record: str, value: str, seconds: int) -> bool:
        """Count the request and set a record that is not there yet; return whether it was set.

        Raises:
            RateLimitError: the client is over its limit; the record is left as it is.
            AuthenticationError: the client's key is not valid any more; the record is left as it is.
            RedisError: Valkey failed; nothing is counted.

        """
        counted = self._count(client, record, value, seconds)
        self.allowance, self._allowed = _read(counted, self._limit)
        self.check()
        return bool(counted[3])

    def _count(self, client: "Redis", record: str | None = None, *rest: str | int) -> Sequence[int]:
        """Count the request, with what is known of the client's key now."""
        known = self._remembered
        # What was looked up for this request needs no comparison.
        version = "" if known is None or known.fresh else str(known.version)
        names = [self._name, _version(self._tenant_id), *([record] if record else [])]
        run = cache.script(_COUNT)
        counted: Sequence[int] = run(keys=names, args=[self._limit, 1, version, *rest], client=client)
        if counted[0] < 0 and known is not None:
            known.renew()
            counted = run(keys=names, args=[self._limit, 1, "", *rest], client=client)
        return counted


def publish_version(tenant_id: str, version: int) -> bool:
    """Tell every process the version of a tenant's API keys, so that none takes what it remembers of another.

    Returns whether Valkey has it; without Valkey no process takes what it remembers.
    """
    told = cache.ask(
        lambda client: cache.script(_PUBLISH)(keys=[_version(tenant_id)], args=[version], client=client)
    )
    return bool(told)


def count_unknown_key(address: str, limit: int) -> None:
    """Count an unknown key, or an invalid signature, against those that an address may try in a minute."""
    _count(_unknown_keys(address), limit)


def check_unknown_keys(address: str, key: bytes | None, limit: int) -> None:
    """Allow a key, or a signature (None), to be looked up unless its address has tried too many unknown ones.

    A key that was found within the last day is always allowed: many customers may share the address.

    Raises:
        RateLimitError: it must not be looked up.

    """
    allowance, allowed = _count(_unknown_keys(address), limit, by=0)
    if allowed or (key is not None and cache.ask(lambda client: client.exists(_known_key(key)))):
        return
    raise RateLimitError(
        allowance, "Too many unknown API keys or invalid signatures from this address; wait and try again."
    )


def remember_key(key: bytes) -> None:
    """Remember for a day that a key was found."""
    cache.ask(lambda client: client.set(_known_key(key), "", ex=_KNOWN_SECONDS))


def forget_key(key: bytes) -> None:
    """Forget that a key was found."""
    cache.ask(lambda client: client.delete(_known_key(key)))


def _count(name: str, limit: int, *, by: int = 1) -> tuple[Allowance, bool]:
    """Count against a limit a minute; return what is left of it and whether it allows this."""
    counted = cache.ask(lambda client: cache.script(_COUNT)(keys=[name], args=[limit, by], client=client))
    return _read(counted or (1, limit, 60), limit)


def _read(counted: Sequence[int], limit: int) -> tuple[Allowance, bool]:
    allowed, remaining, reset = counted[:3]
    return Allowance(limit=limit, remaining=remaining, reset=reset), bool(allowed)


def _version(tenant_id: str) -> str:
    return f"key_version:{{{tenant_id}}}"


def _unknown_keys(address: str) -> str:
    return f"unknown_keys:{hashlib.sha256(address.encode()).hexdigest()[:32]}"


def _known_key(key: bytes) -> str:
    """Return the name of a key's mark: a digest of the digest that the database has of it."""
    return f"known_keys:{hashlib.sha256(key).hexdigest()[:32]}"
