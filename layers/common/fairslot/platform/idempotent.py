"""Changes that happen once for an idempotency key: those made in Python, and calls of database functions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import audit
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

# Rows per statement, each of which is a transaction of its own.
PORTION = 1_000

_SQL = queries("idempotent")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What work did: the answer that is stored for the key, the audit's entries, and messages to publish.

    Without entries nothing was changed.
    """

    answer: dict[str, Any]
    entries: Sequence[Entry]
    messages: list[dict[str, Any]] = field(default_factory=list)


type Work = Callable[[], Effect]


def once(
    connection: Connection, *, tenant_id: str, key: Key, now: datetime | None, work: Work
) -> ChangeResult:
    """Do the work in one transaction with its entries in the audit, unless its key has an answer.

    The answer is stored as it is: nothing that is shown only once belongs in it. What no request asked for
    has no entries.

    Raises:
        IdempotencyKeyReusedError: the key was used for another request.

    """
    values = {"tenant": tenant_id, "key": key.value, "fingerprint": key.fingerprint, "now": now}
    with connection.transaction():
        row = connection.execute(_SQL["find"], values).fetchone()
        if row and row["answer"] is not None:
            return ChangeResult(answer=row["answer"], replayed=True)
        audit.act_for(connection, key)
        done = work()
        if key.origin is not None:
            audit.write(connection, tenant_id=tenant_id, entries=done.entries, now=now)
        connection.execute(
            _SQL["store"], {**values, "keep": timedelta(hours=key.hours), "answer": Jsonb(done.answer)}
        )
    return ChangeResult(answer=done.answer, replayed=False, messages=done.messages)


def find(connection: Connection, *, tenant_id: str, key: Key) -> dict[str, Any] | None:
    """Return the answer that is stored for a key, None without one; it waits for nobody.

    Raises:
        IdempotencyKeyReusedError: the key was used for another request.

    """
    values = {"tenant": tenant_id, "key": key.value, "fingerprint": key.fingerprint, "now": None}
    row = connection.execute(_SQL["find"], values).fetchone()
    return row["answer"] if row else None


def call(
    connection: Connection, aggregate: str, statement: str, values: Mapping[str, Any], key: Key
) -> ChangeResult:
    """Call a database procedure that changes something, stores its answer for the key itself, and commits.

    In a transaction of the caller's, the function that the procedure calls is called instead: then the
    caller's commit makes the change durable.
    """
    given = {
        **values,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "keep": timedelta(hours=key.hours),
        "origin": audit.origin(key),
    }
    text = queries(aggregate)[statement]
    if connection.info.transaction_status != TransactionStatus.IDLE:
        text = without_commit(text)
        if key.origin is not None:
            audit.act_for(connection, key)
    row = connection.execute(text, given).fetchone()
    if row is None:
        raise NotFoundError
    return ChangeResult(**row["done"])


def without_commit(text: bytes) -> bytes:
    """Return the call of the function that a call of a committing procedure is about."""
    return text.replace(b"CALL engine.commit_", b"SELECT engine.").replace(
        b", p_origin => %(origin)s, done => NULL)", b") AS done"
    )


def forget_expired(connection: Connection, *, now: datetime, deadline: float) -> int:
    """Forget the keys whose time is over, with their answers; return how many.

    Ends early when `deadline` (monotonic clock) has passed; the next run goes on.
    """
    forgotten, rows = 0, PORTION
    while rows == PORTION and (time.monotonic() < deadline or not forgotten):
        row = connection.execute(_SQL["forget_expired"], {"now": now, "portion": PORTION}).fetchone()
        rows = row["n"] if row else 0
        forgotten += rows
    return forgotten
