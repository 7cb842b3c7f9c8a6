"""The client of Valkey. Nothing depends on Valkey: without it requests go on and an alarm is raised.

After a failure it is not used for a second.
"""

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.platform import iam
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import CredentialProvider, Redis
    from redis.commands.core import Script

_TIMEOUT_SECONDS = 0.25
_REST_SECONDS = 1.0


class _Process:
    """What this process has open, and until when it leaves Valkey alone."""

    client: "Redis | None" = None
    rest_until: float = 0.0


def client() -> "Redis":
    """Return the process's client, with short timeouts and no retries."""
    if _Process.client is None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        _Process.client = Redis.from_url(
            settings().redis_url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=10,
            credential_provider=_credentials(),
        )
    return _Process.client


def _credentials() -> "CredentialProvider | None":
    """Return who makes a token for each connection; None where the URL says all."""
    from redis import CredentialProvider

    if not settings().redis_iam:
        return None
    user, _, cache = settings().redis_iam.partition("@")

    class Signed(CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            return user, iam.cache_token(cache, user)

    return Signed()


def close() -> None:
    """Close the client; it is opened again when needed."""
    script.cache_clear()
    if _Process.client is not None:
        _Process.client.close()
    _Process.client, _Process.rest_until = None, 0.0


def is_in_use() -> bool:
    """Tell whether Valkey is configured and not left alone after a failure."""
    return bool(settings().redis_url) and time.monotonic() >= _Process.rest_until


def is_alive() -> bool:
    """Tell whether Valkey answers."""
    from redis.exceptions import RedisError

    try:
        return bool(client().ping())
    except RedisError:
        return False


@lru_cache
def script(text: str) -> "Script":
    """Return a script, which is known by its digest; the digest is made once."""
    return client().register_script(text)


def ask(question: "Callable[[Redis], Any]") -> Any:
    """Return what Valkey answers, or None when it is not in use or fails."""
    from redis.exceptions import RedisError

    if not is_in_use():
        return None
    try:
        return question(client())
    except RedisError as error:
        rest(error)
        return None


def rest(error: Exception) -> None:
    """Leave Valkey alone for a moment after an error, and raise the alarm."""
    _Process.rest_until = time.monotonic() + _REST_SECONDS
    logger.warning("the cache does not answer", extra={"error": type(error).__name__})
    metrics.add_metric(name="CacheUnavailable", unit=MetricUnit.Count, value=1)
