"""The one connection of an execution environment, and what its errors mean.

The connection is opened when first needed, is in autocommit mode and never prepares statements: each
use case is one statement, which is its own transaction, and RDS Proxy can share the server's sessions.
"""

import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from fairslot.errors import (
    ConflictError,
    FairslotError,
    HoldExpiredError,
    HoldLimitError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    NotFoundError,
    SlotUnavailableError,
    UnavailableError,
    ValidationError,
)
from fairslot.queries import queries
from fairslot.settings import settings

type Connection = psycopg.Connection[dict[str, Any]]

_ATTEMPTS = 5
_IDLE_SECONDS = 2.0
_AGAIN = {"40P01", "40001", "FS425", "FS426"}
_HOLDS_EXPIRED = "FS426"
_TIMED_OUT = {"57014", "55P03", "25P03", "25P04"}  # of a statement, a lock, an idle and a long transaction
_PLAIN: dict[str, type[FairslotError]] = {
    "FS411": HoldExpiredError,
    "FS412": HoldLimitError,
    "FS422": IdempotencyKeyReusedError,
}
_SAYS_WHAT: dict[str, Callable[[str, str | None], FairslotError]] = {
    "FS404": lambda what, _: NotFoundError(f"There is no such {what}."),
    "FS409": lambda _, reason: SlotUnavailableError(reason),
    "FS410": IllegalTransitionError,
}
_INVALID = {
    "off_grid": ("start_time", "start_time is not on the calendar's interval grid."),
    "in_the_past": ("start_time", "start_time is in the past."),
    "not_what_is_held": ("hold_id", "The hold is for another calendar or start_time."),
    "same_coach": ("coach_id", "The appointment is with this coach already."),
}


class _Session:
    """The process's connection and when it was last used."""

    connection: Connection | None = None
    used_at: float = 0.0


def connect(url: str) -> Connection:
    """Open a connection as every use case expects it."""
    return psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        row_factory=dict_row,
        connect_timeout=3,
        keepalives_idle=30,
        tcp_user_timeout=10_000,
        application_name="fairslot",
    )


def close() -> None:
    """Drop the connection; the next use opens a new one."""
    connection, _Session.connection = _Session.connection, None
    if connection is not None:
        connection.close()


def run[T](work: Callable[[Connection], T], *, again: bool = True) -> T:
    """Do a piece of work on the connection, and once more where that is right.

    A deadlock, a serialization failure or a lost race for an idempotency key is tried again with jitter. A
    broken connection is tried again only with `again`, or where the work was not begun: else it may be done.

    Raises:
        FairslotError: what the database said, in our terms.

    """
    expired = False
    for attempt in range(_ATTEMPTS):
        begun = False
        try:
            connection = _usable()
            if expired:
                connection.execute(queries("holds")["expire"], {"now": None})
                expired = False
            begun = True
            result = work(connection)
        except psycopg.Error as error:
            broken = _Session.connection is None or _Session.connection.broken or _Session.connection.closed
            if broken:
                close()
            retriable = error.sqlstate in _AGAIN or (
                (again or not begun) and broken and isinstance(error, psycopg.OperationalError)
            )
            if not retriable or attempt == _ATTEMPTS - 1:
                raise translate(error) from error
            if error.sqlstate == _HOLDS_EXPIRED:
                expired = True
            else:
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter is no secret
        else:
            _Session.used_at = time.monotonic()
            return result
    raise UnavailableError


def translate(error: psycopg.Error) -> FairslotError | psycopg.Error:
    """Say a database error in our terms, by its SQLSTATE and constraint; else return it as it is."""
    said = error.diag.message_primary or ""
    state = error.sqlstate or ""
    if state == "FS400":
        place, message = _INVALID[said]
        return ValidationError(message, [(f"body.{place}", said)])
    if state in _SAYS_WHAT:
        return _SAYS_WHAT[state](said, error.diag.message_detail)
    if state in _PLAIN:
        return _PLAIN[state]()
    if error.diag.constraint_name == "coach_appointments_no_overlap":
        return SlotUnavailableError()
    if error.diag.constraint_name == "webhook_endpoints_live":
        return ConflictError("There is an endpoint with this address already.")
    if state in _AGAIN | _TIMED_OUT or isinstance(error, psycopg.OperationalError):
        return UnavailableError()
    return error


def _usable() -> Connection:
    """Return the connection, looked at first if it was left alone: a sandbox may have been frozen."""
    connection = _Session.connection
    if connection is not None and time.monotonic() - _Session.used_at > _IDLE_SECONDS:
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            close()
    if _Session.connection is None:
        _Session.connection = connect(settings().database_url)
    return _Session.connection
