"""Rate limits in Valkey, each in a minute: requests of a caller, and requests of an address.

While Valkey does not answer, changes are counted in Postgres (stand_in.py) and reads are not; an alarm tells
of it. What an address tries that is no credential is counted in guesses.py. See
docs/decisions/0040-rate-limit-script.md, docs/decisions/0092-one-question-to-the-cache.md,
docs/decisions/0114-api-keys.md, docs/decisions/0119-limits-by-address.md and
docs/decisions/0122-changes-are-counted-without-valkey.md.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.access import stand_in
from fairslot.domain.errors import Allowance, RateLimitError
from fairslot.platform import cache
from fairslot.platform.observability import metrics
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from redis import Redis

# A sliding window of a minute from two counters: that of the minute which began with the first request, and
# that of the minute before, weighted by the share of it that the window still covers. Returns whether the
# request is allowed, how many more are, in how many seconds there is room for another, whether the record was
# set, and whether it was the third key that did not allow it. The second argument is how much is counted, if
# it is allowed. A second key has the version of the tenant's API keys: unless it is the third argument (or
# that is empty) nothing is done and -1 is returned. A third key is counted, too, against the fourth argument;
# only if both allow it is either counted. A fourth key is set, if the request is allowed and it is not there
# yet, to the fifth argument, for as many seconds as the sixth says.
_COUNT = """
    if KEYS[2] and ARGV[3] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[3] then
        return {-1}
    end
    local minute, by = 60, tonumber(ARGV[2])
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1000000
    local function window(name, limit)
        local kept = redis.call('HMGET', name, 'begun', 'count', 'before')
        local begun, count, before = tonumber(kept[1]) or now, tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
        if now - begun >= 2 * minute then
            begun, count, before = now, 0, 0
        elseif now - begun >= minute then
            begun, count, before = begun + minute, 0, count
        end
        local left = begun + minute - now
        local used = count + math.floor(before * left / minute)
        local reset = before > 0 and left % (minute / before) or left
        local function add()
            redis.call('HSET', name, 'begun', begun, 'count', count + by, 'before', before)
            redis.call('EXPIRE', name, 2 * minute)
        end
        return used < limit, limit - used, math.max(1, math.ceil(reset)), add
    end
    local allowed, remaining, reset, add = window(KEYS[1], tonumber(ARGV[1]))
    if not allowed then
        return {0, 0, reset, 0, 0}
    end
    if KEYS[3] then
        local also, _, later, add_also = window(KEYS[3], tonumber(ARGV[4]))
        if not also then
            return {0, 0, later, 0, 1}
        end
        add_also()
    end
    if by > 0 then
        add()
    end
    local taken = KEYS[4] and redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[6], 'NX')
    return {1, math.max(0, remaining - by), reset, taken and 1 or 0, 0}
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
    """The count of one request against those of its client and of its address; made once, over all processes.

    `address` is a digest; it counts for each tenant by itself. The count is made alone, or by the command
    that takes the request's idempotency key. The same command tells whether the tenant's API keys have
    changed since the client's was looked up; if so, or without an answer, it is looked up anew. `changing`:
    the request is counted also where Valkey does not answer.
    """

    def __init__(
        self,
        tenant_id: str,
        key_id: str,
        limit: int,
        *,
        address: str,
        changing: bool,
        remembered: Remembered | None = None,
    ) -> None:
        # A cluster runs a script on keys of one slot only: what is in braces decides the slot.
        self._slot = f"{{{tenant_id}}}"
        self._name = f"requests:{self._slot}:{key_id}"
        self._address = f"addresses:{self._slot}:{address}"
        self._tenant_id = tenant_id
        self._limit = limit
        self._changing = changing
        self._address_limit = settings().max_requests_per_address
        self._refusal: RateLimitError | None = None
        self._remembered = remembered
        self.allowance: Allowance | None = None

    @property
    def records(self) -> str:
        """How the names of this tenant's idempotency records begin."""
        return f"idempotent:{self._slot}"

    def check(self) -> Allowance:
        """Return what is left; count the request if it is not counted yet.

        Raises:
            RateLimitError: the client, or its address, is over its limit.
            AuthenticationError: the client's key is not valid any more.
            UnavailableError: a change cannot be counted.

        """
        if self.allowance is None:
            counted = cache.ask(self._count)
            return self._note(self._count_without_valkey() if counted is None else counted)
        if self._refusal is not None:
            raise self._refusal
        return self.allowance

    def take(self, client: "Redis", record: str, value: str, seconds: int) -> bool:
        """Count the request and set a record that is not there yet; return whether it was set.

        Raises:
            RateLimitError: the client, or its address, is over its limit; the record is left as it is.
            AuthenticationError: the client's key is not valid any more; the record is left as it is.
            RedisError: Valkey failed; nothing is counted.

        """
        counted = self._count(client, record, value, seconds)
        self._note(counted)
        return bool(counted[3])

    def _count_without_valkey(self) -> Sequence[int]:
        """Look the client's key up anew, and count the request in Postgres if it is a change."""
        tell_unavailable()
        if self._remembered is not None and not self._remembered.fresh:
            self._remembered.renew()
        if not (self._changing and settings().redis_url):
            return 1, self._limit, 60, 0, 0
        return stand_in.count(
            self._name, self._limit, by=1, address=self._address, address_limit=self._address_limit
        )

    def _note(self, counted: Sequence[int]) -> Allowance:
        """Keep what was counted and return what is left. Raises RateLimitError."""
        by_address = bool(counted[4])
        limit = self._address_limit if by_address else self._limit
        self.allowance, allowed = _read(counted, limit)
        if not allowed:
            message = "Too many requests from this address; wait for the seconds of Retry-After."
            self._refusal = RateLimitError(self.allowance, message if by_address else None)
            raise self._refusal
        return self.allowance

    def _count(self, client: "Redis", record: str | None = None, *rest: str | int) -> Sequence[int]:
        """Count the request, with what is known of the client's key now."""
        known = self._remembered
        # What was looked up for this request needs no comparison.
        version = "" if known is None or known.fresh else str(known.version)
        names = [self._name, _version(self._tenant_id), self._address, *([record] if record else [])]
        rest = (self._address_limit, *rest)
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


def count(name: str, limit: int, *, by: int, in_postgres: bool) -> tuple[Allowance, bool] | None:
    """Count so much against a limit a minute, if it allows it; 0 only asks.

    Returns what is left of it and whether it allows this; None where Valkey does not answer, unless it is
    counted in Postgres then.

    Raises:
        UnavailableError: Postgres cannot count either.

    """
    counted = cache.ask(lambda client: cache.script(_COUNT)(keys=[name], args=[limit, by], client=client))
    if counted is None:
        tell_unavailable()
        if in_postgres and settings().redis_url:
            counted = stand_in.count(name, limit, by=by)
    return None if counted is None else _read(counted, limit)


def tell_unavailable() -> None:
    """Count that Valkey could not count this request, once, where there should be a Valkey."""
    if settings().redis_url and "RateLimitUnavailable" not in metrics.metric_set:
        metrics.add_metric(name="RateLimitUnavailable", unit=MetricUnit.Count, value=1)


def _read(counted: Sequence[int], limit: int) -> tuple[Allowance, bool]:
    allowed, remaining, reset = counted[:3]
    return Allowance(limit=limit, remaining=remaining, reset=reset), bool(allowed)


def _version(tenant_id: str) -> str:
    return f"key_version:{{{tenant_id}}}"
