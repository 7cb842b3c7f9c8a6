"""Changes that Python makes of several statements: done once for an idempotency key, in one transaction."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("answers")

type Work = Callable[[], tuple[dict[str, Any], list[dict[str, Any]]]]


def once(
    connection: Connection, *, tenant_id: str, key: Key, now: datetime | None, work: Work
) -> ChangeResult:
    """Do the work unless its key has an answer; it returns that answer and the messages for the queue.

    The answer is kept as it is: nothing that may be shown once only belongs into it.

    Raises:
        IdempotencyKeyReusedError: the key came with another request before.

    """
    values = {"tenant": tenant_id, "key": key.value, "fingerprint": key.fingerprint, "now": now}
    with connection.transaction():
        row = connection.execute(_SQL["known"], values).fetchone()
        if row and row["answer"] is not None:
            return ChangeResult(answer=row["answer"], replayed=True, messages=[])
        answer, messages = work()
        connection.execute(
            _SQL["remember"], {**values, "keep": timedelta(hours=key.hours), "answer": Jsonb(answer)}
        )
    return ChangeResult(answer=answer, replayed=False, messages=messages)


def call(
    connection: Connection, aggregate: str, statement: str, values: Mapping[str, Any], key: Key
) -> ChangeResult:
    """Call one of the database's changing functions."""
    given = {
        **values,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "keep": timedelta(hours=key.hours),
    }
    row = connection.execute(queries(aggregate)[statement], given).fetchone()
    if row is None:
        raise NotFoundError
    return ChangeResult(**row["done"])
