"""The rate limits of changes while Valkey does not answer: counted in Postgres, which a change needs anyway.

Reads are not counted then. See docs/decisions/0122-changes-are-counted-without-valkey.md.
"""

from collections.abc import Sequence
from datetime import timedelta

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import UnavailableError
from fairslot.platform import clock, db
from fairslot.platform.db import Connection
from fairslot.platform.observability import metrics
from fairslot.platform.queries import queries

_SQL = queries("rate_counts")
_KEYS = queries("api_keys")


def count(
    name: str, limit: int, *, by: int, address: str | None = None, address_limit: int | None = None
) -> Sequence[int]:
    """Count a request as the script in Valkey does, and return what that returns.

    Raises:
        UnavailableError: Postgres cannot count either.

    """
    values = {"name": name, "limit": limit, "by": by, "address": address, "address_limit": address_limit}
    try:
        (row,) = db.run(lambda connection: connection.execute(_SQL["count"], values).fetchall())
    except UnavailableError:
        # Changes are refused for want of a counter: somebody has to know. Of a request it counts once.
        if "CountersUnavailable" not in metrics.metric_set:
            metrics.add_metric(name="CountersUnavailable", unit=MetricUnit.Count, value=1)
        raise
    return row["allowed"], row["remaining"], row["reset"], 0, row["of_address"]


def is_known_key(digest: bytes, *, within: timedelta) -> bool:
    """Tell whether this is a valid key that was found lately, as far as its last use is noted."""
    now = clock.now()
    values = {"hash": digest, "now": now, "since": now - within}
    (row,) = db.run(lambda connection: connection.execute(_KEYS["was_used"], values).fetchall())
    return bool(row["was_used"])


def forget(connection: Connection) -> None:
    """Forget what no limit needs any more."""
    connection.execute(_SQL["forget"])
