"""The one connection of an execution environment, and what its errors mean.

The connection is opened when first needed, is in autocommit mode and never prepares statements: each
use case is one statement, which is its own transaction, and RDS Proxy can share the server's sessions.

No wait for the server outlasts the budget of the work at hand, whatever became of the server: its own
timeouts say nothing while its processes stand still, and the kernel goes on acknowledging for them.
"""

import math
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from fairslot.domain.errors import (
    EndpointExistsError,
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
from fairslot.platform import time_limit
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from psycopg.abc import PQGen

type Connection = psycopg.Connection[dict[str, Any]]

_ATTEMPTS = 5
_IDLE_SECONDS = 2.0
_CHECK_SECONDS = 1.0
_CONNECT_SECONDS = 3
_LEAST_CONNECT_SECONDS = 2  # libpq's own rule: a shorter timeout is taken for this
# So long a server that did not take a connection in time is left alone.
_REST_SECONDS = 1.0
_AGAIN = {"40P01", "40001", "FS425", "FS426"}
_HOLDS_EXPIRED = "FS426"
_TIMED_OUT = {"57014", "55P03", "25P03", "25P04"}  # of a statement, a lock, an idle and a long transaction
_TAKES_NO_WRITES = "25006"  # it has become a replica: the address leads elsewhere by now
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
    """The process's connection, when it was last used, and until when none is opened."""

    connection: Connection | None = None
    used_at: float = 0.0
    rest_until: float = 0.0


class _Bounded(psycopg.Connection[dict[str, Any]]):
    """A connection that waits as long as the work at hand may, and is closed when that was not enough.

    Every wait of a connection for its server goes through `wait`. What a statement that was cut off has done
    is not known, and its answer may still come: the connection must not be used for another.
    """

    def wait[T](self, gen: "PQGen[T]", interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an operation; OperationalError when the time is up."""
        left = time_limit.left()
        if left <= 0:
            self.close()
            raise psycopg.OperationalError("no time is left for the database")
        try:
            bound = left if timeout is None else min(left, timeout)
            return super().wait(gen, interval, None if math.isinf(bound) else bound)
        except psycopg.OperationalError:
            if time_limit.left() <= 0:
                self.close()
            raise


def connect(url: str) -> Connection:
    """Open a connection as every use case expects it.

    Raises:
        psycopg.OperationalError: the server refuses it, or does not take it in time.

    """
    left = time_limit.left()
    if left < _LEAST_CONNECT_SECONDS:
        raise psycopg.errors.ConnectionTimeout("no time is left to connect")
    return _Bounded.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        row_factory=dict_row,
        connect_timeout=int(min(left, _CONNECT_SECONDS)),
        keepalives_idle=30,
        tcp_user_timeout=10_000,
        application_name="fairslot",
    )


def close() -> None:
    """Drop the connection; the next use opens a new one."""
    _Session.rest_until = 0.0
    _drop()


def _drop() -> None:
    connection, _Session.connection = _Session.connection, None
    if connection is not None:
        connection.close()


def run[T](work: Callable[[Connection], T], *, again: bool = True) -> T:
    """Do a piece of work on the connection, and once more where that is right.

    A deadlock, a serialization failure or a lost race for an idempotency key is tried again with jitter. A
    broken connection is tried again only with `again`, or where the work was not begun: else it may be done.
    Where the server takes no connection in time, or the time is up, nothing is tried again.

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
            broken = _has_broken(error)
            retriable = error.sqlstate in _AGAIN or ((again or not begun) and broken)
            if not retriable or attempt == _ATTEMPTS - 1 or time_limit.left() <= 0:
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
        return EndpointExistsError()
    # Among these are the classes 53 (no space, no memory), 57 (shutting down) and 58 (the system).
    if state in _AGAIN | _TIMED_OUT | {_TAKES_NO_WRITES} or isinstance(error, psycopg.OperationalError):
        return UnavailableError()
    return error


def _has_broken(error: psycopg.Error) -> bool:
    """Drop a connection that is of no use any more; tell whether another one may be of more."""
    connection = _Session.connection
    is_good = connection is not None and not (connection.broken or connection.closed)
    if is_good and error.sqlstate != _TAKES_NO_WRITES:
        return False
    _drop()
    # A server that takes no connection in time would not take the next one either.
    return isinstance(error, psycopg.OperationalError) and not isinstance(
        error, psycopg.errors.ConnectionTimeout
    )


def _usable() -> Connection:
    """Return the connection, looked at first if it was left alone: a sandbox may have been frozen."""
    connection = _Session.connection
    if connection is not None and time.monotonic() - _Session.used_at > _IDLE_SECONDS:
        try:
            with time_limit.within(_CHECK_SECONDS):
                connection.execute("SELECT 1")
        except psycopg.Error:
            _drop()
    if _Session.connection is None:
        _Session.connection = _opened()
    return _Session.connection


def _opened() -> Connection:
    """Open the process's connection; a server that just now did not take one in time is not asked at once."""
    if time.monotonic() < _Session.rest_until:
        raise psycopg.errors.ConnectionTimeout("the database did not answer a moment ago")
    try:
        return connect(settings().database_url)
    except psycopg.errors.ConnectionTimeout:
        _Session.rest_until = time.monotonic() + _REST_SECONDS
        raise
