"""What Valkey does for us: rate limits and the fast replay of answers. Nothing depends on it.

When it does not answer, requests go on without it and an alarm is raised; it is asked again a second later.
"""

import hashlib
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import Allowance, IdempotencyInProgressError, RateLimitError
from fairslot.domain.idempotency import Key
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from redis import Redis
    from redis.commands.core import Script

_TIMEOUT_SECONDS = 0.25
_REST_SECONDS = 1.0
_FOUND_SECONDS = 86_400
# A sliding window of a minute made of two counters: the minute that began with the first request, and the one
# before it by the share of it that the window still covers. Returns whether the request is let in, how many
# more would be, and in how many seconds there is room for another. With a second argument of 0 it only looks.
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


class _Parts:
    """What was opened for this process, when first needed."""

    client: "Redis | None" = None
    counter: "Script | None" = None
    layers: "dict[str, CachePersistenceLayer]" = {}  # noqa: RUF012 - the process's own, like the rest
    rest_until: float = 0.0


def client() -> "Redis":
    """Return the process's client, with short timeouts and no retries."""
    if _Parts.client is None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        _Parts.client = Redis.from_url(
            settings().redis_url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=10,
        )
    return _Parts.client


def close() -> None:
    """Drop what is open; it is opened again when needed."""
    if _Parts.client is not None:
        _Parts.client.close()
    _Parts.client, _Parts.counter, _Parts.layers, _Parts.rest_until = None, None, {}, 0.0


def count_request(key_id: str, limit: int) -> Allowance:
    """Count a request of a client against its requests a minute (a sliding window over all processes).

    Raises:
        RateLimitError: it has had its share.

    """
    allowance, allowed = _count(f"requests:{key_id}", limit)
    if not allowed:
        raise RateLimitError(allowance)
    return allowance


def count_unknown_key(address: str, limit: int) -> None:
    """Count a key that nobody knows against those that an address may try a minute."""
    _count(_strangers(address), limit)


def check_unknown_keys(address: str, key: bytes, limit: int) -> None:
    """Let a key of which nothing is known here be looked up, unless its address has tried too many.

    One that was found within the last day passes all the same: the address may be that of many.

    Raises:
        RateLimitError: it is not to be looked up.

    """
    allowance, allowed = _count(_strangers(address), limit, by=0)
    if not allowed and not _ask(lambda cache: cache.exists(_found(key))):
        raise RateLimitError(allowance, "Too many unknown API keys from this address.")


def note_key(key: bytes, *, found: bool) -> None:
    """Keep for a day that a key was found, or forget it."""
    if found:
        _ask(lambda cache: cache.set(_found(key), "", ex=_FOUND_SECONDS))
    else:
        _ask(lambda cache: cache.delete(_found(key)))


def replay[T](
    operation: str, key: Key, tenant_id: str, work: Callable[[], dict[str, T]], context: "LambdaContext"
) -> tuple[dict[str, T], bool]:
    """Do a piece of work or return what it returned before for this key; say which by a flag.

    This is only the fast way: the truth is what `work` itself keeps in Postgres. Its record is tied to the
    fingerprint too, so another request under the same key comes to Postgres, which refuses it. What `work`
    raises is not remembered, and a cache that fails before or after it means that it is asked once more,
    which Postgres answers with what was done.

    Raises:
        IdempotencyInProgressError: the same request is being worked on.

    """
    if key.value is None or not _is_in_use():
        return work(), False
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyAlreadyInProgressError,
        IdempotencyInconsistentStateError,
        IdempotencyPersistenceLayerError,
    )

    done: list[bool] = []

    def once(*, call: dict[str, str]) -> dict[str, T]:  # noqa: ARG001 - read by the decorator
        done.append(True)
        return work()

    config = IdempotencyConfig(
        event_key_jmespath="key", expires_after_seconds=key.hours * 3600, raise_on_no_idempotency_key=True
    )
    config.register_lambda_context(context)
    fast = idempotent_function(
        once, data_keyword_argument="call", persistence_store=_layer(operation), config=config
    )
    try:
        answer = fast(call={"key": f"{tenant_id}\n{key.value}\n{key.fingerprint.hex()}"})
    except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
        raise IdempotencyInProgressError from error
    except IdempotencyPersistenceLayerError as error:
        _rest(error)
        return work(), False
    return answer, not done


def is_alive() -> bool:
    """Tell whether Valkey answers."""
    from redis.exceptions import RedisError

    try:
        return bool(client().ping())
    except RedisError:
        return False


def _count(name: str, limit: int, *, by: int = 1) -> tuple[Allowance, bool]:
    """Count something against what is allowed of it a minute; return what is left and whether it may be."""
    counted = _ask(lambda _: _counter()(keys=[name], args=[limit, by]))
    allowed, remaining, reset = counted or (1, limit, 60)
    return Allowance(limit=limit, remaining=remaining, reset=reset), bool(allowed)


def _ask(question: "Callable[[Redis], Any]") -> Any:
    """Return the cache's answer, or None where it has none to give."""
    from redis.exceptions import RedisError

    if not _is_in_use():
        return None
    try:
        return question(client())
    except RedisError as error:
        _rest(error)
        return None


def _strangers(address: str) -> str:
    return f"strangers:{hashlib.sha256(address.encode()).hexdigest()[:32]}"


def _found(key: bytes) -> str:
    """Return the name of a key's mark: a digest of the digest that the database knows it by."""
    return f"found:{hashlib.sha256(key).hexdigest()[:32]}"


def _counter() -> "Script":
    if _Parts.counter is None:
        _Parts.counter = client().register_script(_COUNT)
    return _Parts.counter


def _layer(operation: str) -> "CachePersistenceLayer":
    """Return the persistence layer of one operation: a layer keeps the name of the first that used it."""
    if operation not in _Parts.layers:
        from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer

        with warnings.catch_warnings():
            # Until Powertools 4 the new name stands for the old class, which warns to use the new name.
            warnings.filterwarnings("ignore", "RedisCachePersistenceLayer", DeprecationWarning)
            _Parts.layers[operation] = CachePersistenceLayer(client=cast("Any", client()))
    return _Parts.layers[operation]


def _is_in_use() -> bool:
    return bool(settings().redis_url) and time.monotonic() >= _Parts.rest_until


def _rest(error: Exception) -> None:
    """Leave the cache alone for a moment and raise the alarm."""
    _Parts.rest_until = time.monotonic() + _REST_SECONDS
    logger.warning("the cache does not answer", extra={"error": type(error).__name__})
    metrics.add_metric(name="CacheUnavailable", unit=MetricUnit.Count, value=1)
