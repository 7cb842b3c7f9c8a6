"""Powertools' idempotency records in Valkey, in as few round trips before the answer as can be.

The first command, which takes the record, counts the request too. The last one, which stores the answer, is
sent after the answer: until then the record says `in progress`, and who comes meanwhile is answered from
Postgres. See docs/decisions/0092-one-question-to-the-cache.md
"""

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer

from fairslot.access.limits import RequestCount
from fairslot.platform import after_answer, cache

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
    from redis import Redis


class _CountingClient:
    """The commands that Powertools needs; the first one that takes a record counts the request."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self.counting: RequestCount | None = None

    def get(self, name: str) -> Any:
        return self._client.get(name)

    def set(self, name: str, value: str, ex: int, *, nx: bool = False) -> Any:
        counting, self.counting = self.counting, None
        if nx and counting is not None:
            return counting.take(self._client, name, value, ex)
        return self._client.set(name, value, ex=ex, nx=nx)

    def delete(self, name: str) -> Any:
        return self._client.delete(name)


with warnings.catch_warnings():
    # Until Powertools 4 the new name is an alias of the old class, which warns to use the new name.
    warnings.filterwarnings("ignore", "RedisCachePersistenceLayer", DeprecationWarning)

    class _Records(CachePersistenceLayer):
        """Powertools' own layer, which completes a record after the answer."""

        def _update_record(self, data_record: "DataRecord") -> None:
            after_answer.run(lambda: cache.ask(lambda _: self._complete(data_record)))

        def _complete(self, data_record: "DataRecord") -> None:
            super()._update_record(data_record)


def records(client: "Redis", counting: RequestCount) -> CachePersistenceLayer:
    """Return the records of a client, which count the current request with the first that is taken."""
    counting_client, layer = _layer(client)
    counting_client.counting = counting
    return layer


@lru_cache(maxsize=1)
def _layer(client: "Redis") -> tuple[_CountingClient, CachePersistenceLayer]:
    counting_client = _CountingClient(client)
    return counting_client, _Records(client=cast("Any", counting_client))
