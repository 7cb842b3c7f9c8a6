"""Changes that Python makes of several statements: done once for an idempotency key, in one transaction."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fairslot.bookings import Change
from fairslot.db import Connection
from fairslot.idempotency import Key
from fairslot.queries import queries

_SQL = queries("answers")

type Work = Callable[[], tuple[dict[str, Any], list[dict[str, Any]]]]


def once(connection: Connection, *, tenant_id: str, key: Key, now: datetime | None, work: Work) -> Change:
    """Do the work unless its key has an answer; it returns that answer and the messages for the queue.

    The answer is kept as it is: nothing that may be shown once only belongs into it.

    Raises:
        IdempotencyKeyReusedError: the key came with another request before.

    """
    values = {"tenant": tenant_id, "key": key.value, "fingerprint": key.fingerprint, "now": now}
    with connection.transaction():
        row = connection.execute(_SQL["known"], values).fetchone()
        if row and row["answer"] is not None:
            return Change(answer=row["answer"], replayed=True, messages=[])
        answer, messages = work()
        connection.execute(
            _SQL["remember"], {**values, "keep": timedelta(hours=key.hours), "answer": Jsonb(answer)}
        )
    return Change(answer=answer, replayed=False, messages=messages)
