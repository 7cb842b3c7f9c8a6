"""The database connection of an execution environment, retries, and the meaning of its errors.

The connection is opened on first use, in autocommit mode and without prepared statements: each use case is
one statement, which is its own transaction, and RDS Proxy can share the server's sessions.

No wait for the server outlasts the time limit of the work at hand. The server's own timeouts do not help
while its processes are frozen, and the kernel still acknowledges packets for them.
"""

import math
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
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
    SlugTakenError,
    UnavailableError,
    ValidationError,
)
from fairslot.platform import iam, time_limit
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from psycopg.abc import PQGen

type Connection = psycopg.Connection[dict[str, Any]]

_ATTEMPTS = 5
_IDLE_SECONDS = 2.0
_CHECK_SECONDS = 1.0
_CONNECT_SECONDS = 3
_LEAST_CONNECT_SECONDS = 2  # libpq takes a shorter timeout for this one
# The pause after a server did not accept a connection in time.
_REST_SECONDS = 1.0
_RETRIED = {"40P01", "40001", "FS426"}
_KEYS = "changes_key"  # another transaction answered the idempotency key meanwhile
_HOLDS_EXPIRED = "FS426"
_TIMED_OUT = {"57014", "55P03", "25P03", "25P04"}  # a statement, a lock, an idle and a long transaction
_READ_ONLY = "25006"  # the server has become a replica, and the address leads to another one
_PLAIN: dict[str, type[FairslotError]] = {
    "FS411": HoldExpiredError,
    "FS412": HoldLimitError,
    "FS422": IdempotencyKeyReusedError,
}
_BY_CONSTRAINT: dict[str, type[SlotUnavailableError | EndpointExistsError | SlugTakenError]] = {
    "coach_appointments_no_overlap": SlotUnavailableError,
    "webhook_endpoints_live": EndpointExistsError,
    "calendars_slug": SlugTakenError,
}
_WITH_DETAIL: dict[str, Callable[[str, str | None], FairslotError]] = {
    "FS404": lambda what, _: NotFoundError(f"There is no such {what}."),
    "FS409": lambda _, reason: SlotUnavailableError(reason),
    "FS410": IllegalTransitionError,
}
_INVALID = {
    "off_grid": ("start_time", "start_time is not on the calendar's interval grid."),
    "in_the_past": ("start_time", "start_time is in the past."),
    "not_what_is_held": ("hold_id", "The hold is for another calendar or start_time."),
    "not_as_held": ("requires", "The hold was made with other requires; leave requires out."),
    "nobody_meets": (
        "requires",
        "No coach of the calendar meets requires; ask for less, or another calendar.",
    ),
    "same_coach": ("coach_id", "The appointment is already with this coach."),
    "unknown_kind": ("kind", "The calendar has no such kind of hours."),
    "alone_in_team": ("coach_id", "Nobody else is in the team to pay for an adjustment."),
}


class _Session:
    """The process's connection, when it was last used, and until when no other is opened."""

    connection: Connection | None = None
    used_at: float = 0.0
    rest_until: float = 0.0


class _Bounded(psycopg.Connection[dict[str, Any]]):
    """A connection that waits within the time limit of the work at hand and is closed when that is over.

    Every wait for the server goes through `wait`. It is not known what an interrupted statement has done, and
    its answer may still come: the connection must not be used for another statement.
    """

    def wait[T](self, gen: "PQGen[T]", interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an operation; OperationalError once the time limit is over."""
        left = time_limit.left()
        if left <= 0:
            self.close()
            raise psycopg.OperationalError("the time limit is over")
        try:
            bound = left if timeout is None else min(left, timeout)
            return super().wait(gen, interval, None if math.isinf(bound) else bound)
        except psycopg.OperationalError:
            if time_limit.left() <= 0:
                self.close()
            raise


def address() -> str:
    """Return where the database is; where IAM lets in, with a token that is good for connecting now."""
    url = settings().database_url
    if settings().database_auth == "password":
        return url
    given = conninfo_to_dict(url)
    token = iam.database_token(str(given["host"]), int(given.get("port") or 5432), str(given["user"]))
    return make_conninfo(url, password=token)


def connect(url: str) -> Connection:
    """Open a connection as every use case expects it.

    Raises:
        psycopg.OperationalError: the server refuses it, or does not accept it in time.

    """
    left = time_limit.left()
    if left < _LEAST_CONNECT_SECONDS:
        raise psycopg.errors.ConnectionTimeout("not enough time left to connect")
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


def run[T](work: Callable[[Connection], T], *, idempotent: bool = True) -> T:
    """Do a piece of work on the connection, and retry it where that is safe.

    A deadlock, a serialization failure or a lost race for an idempotency key is retried with jitter. After a
    broken connection the work may be done already: it is retried only if it is `idempotent` or had not begun.
    Nothing is retried if the server accepts no connection in time, or once the time limit is over.

    Raises:
        FairslotError: the database's error, translated.

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
            retriable = is_retried(error) or ((idempotent or not begun) and broken)
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


def number(connection: Connection, statement: bytes, values: Mapping[str, Any]) -> int:
    """Return the number `n` that a statement answers with."""
    row = connection.execute(statement, values).fetchone()
    return int(row["n"]) if row else 0


def translate(error: psycopg.Error) -> FairslotError | psycopg.Error:
    """Translate a database error by its SQLSTATE and constraint; return any other as it is."""
    said = error.diag.message_primary or ""
    state = error.sqlstate or ""
    if state == "FS400":
        place, message = _INVALID[said]
        return ValidationError(message, [(f"body.{place}", said)])
    if state in _WITH_DETAIL:
        return _WITH_DETAIL[state](said, error.diag.message_detail)
    if state in _PLAIN:
        return _PLAIN[state]()
    if error.diag.constraint_name in _BY_CONSTRAINT:
        return _BY_CONSTRAINT[error.diag.constraint_name]()
    # Among these are the classes 53 (no space, no memory), 57 (shutting down) and 58 (the system).
    if is_retried(error) or state in _TIMED_OUT | {_READ_ONLY} or isinstance(error, psycopg.OperationalError):
        return UnavailableError()
    return error


def is_retried(error: psycopg.Error) -> bool:
    """Return whether the same work may succeed when it is done again in a new transaction."""
    return error.sqlstate in _RETRIED or error.diag.constraint_name == _KEYS


def _has_broken(error: psycopg.Error) -> bool:
    """Drop an unusable connection; return whether a new one may help."""
    connection = _Session.connection
    is_good = connection is not None and not (connection.broken or connection.closed)
    if is_good and error.sqlstate != _READ_ONLY:
        return False
    _drop()
    # A server that accepts no connection in time would not accept the next one either.
    return isinstance(error, psycopg.OperationalError) and not isinstance(
        error, psycopg.errors.ConnectionTimeout
    )


def _usable() -> Connection:
    """Return the connection, tested first if it was idle: the execution environment may have been frozen."""
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
    """Open the process's connection, unless the server failed to accept one a moment ago."""
    if time.monotonic() < _Session.rest_until:
        raise psycopg.errors.ConnectionTimeout("the database accepted no connection a moment ago")
    try:
        return connect(address())
    except psycopg.errors.ConnectionTimeout:
        _Session.rest_until = time.monotonic() + _REST_SECONDS
        raise
