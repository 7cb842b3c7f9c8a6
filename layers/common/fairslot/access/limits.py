"""Rate limits in Valkey: requests of a key, and unknown keys of an address, each in a minute.

Without Valkey nothing is counted, and every request is allowed. See docs/decisions/0040-rate-limit-script.md
and docs/decisions/0075-unknown-keys-by-address.md.
"""

import hashlib

from fairslot.domain.errors import Allowance, RateLimitError
from fairslot.platform import cache

_KNOWN_SECONDS = 86_400
# A sliding window of a minute from two counters: that of the minute which began with the first request, and
# that of the minute before, weighted by the share of it that the window still covers. Returns whether the
# request is allowed, how many more are, and in how many seconds there is room for another. With a second
# argument of 0 it counts nothing.
_COUNT = """
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
    return {allowed and 1 or 0, math.max(0, limit - used), math.max(1, math.ceil(reset))}
"""


def count_request(key_id: str, limit: int) -> Allowance:
    """Count a request of a client against its requests a minute (a sliding window over all processes).

    Raises:
        RateLimitError: the client is over its limit.

    """
    allowance, allowed = _count(f"requests:{key_id}", limit)
    if not allowed:
        raise RateLimitError(allowance)
    return allowance


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
    counted = cache.ask(lambda client: client.register_script(_COUNT)(keys=[name], args=[limit, by]))
    allowed, remaining, reset = counted or (1, limit, 60)
    return Allowance(limit=limit, remaining=remaining, reset=reset), bool(allowed)


def _unknown_keys(address: str) -> str:
    return f"unknown_keys:{hashlib.sha256(address.encode()).hexdigest()[:32]}"


def _known_key(key: bytes) -> str:
    """Return the name of a key's mark: a digest of the digest that the database has of it."""
    return f"known_keys:{hashlib.sha256(key).hexdigest()[:32]}"
