"""Asking the chosen coach's calendars once more before a booking: docs/decisions/0139.

The database says whose, and about which slots; a function with internet and no database asks them. Nothing is
locked meanwhile.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import psycopg

from fairslot.domain.errors import SlotUnavailableError
from fairslot.domain.slots import Window
from fairslot.messages.contract import MessageError
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import Reading
from fairslot.platform import aws, clock, time_limit
from fairslot.platform.db import Connection
from fairslot.platform.observability import logger
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

MOST_SECONDS = 3.0  # of all that is asked for one booking
_LEAST_SECONDS = 0.2
_CONNECT_SECONDS = 1.0
_KEPT_SECONDS = 2.0  # of the time limit, for the booking itself
_TO_BE_ASKED = "FS428"
_SQL = queries("recheck")


def having_asked[T](connection: Connection, book: Callable[[], T]) -> T:
    """Book; where the calendars of who is chosen have to be asked first, do that and book again.

    Raises:
        SlotUnavailableError: the time for asking is over before somebody was found.

    """
    end = time.monotonic() + min(MOST_SECONDS, time_limit.left() - _KEPT_SECONDS)
    while True:
        try:
            return book()
        except psycopg.Error as error:
            if error.sqlstate != _TO_BE_ASKED:
                raise
            left = end - time.monotonic()
            if left < _LEAST_SECONDS:
                raise SlotUnavailableError from error
            _ask(connection, json.loads(error.diag.message_detail or "{}"), left)


def _ask(connection: Connection, asked: Mapping[str, Any], seconds: float) -> None:
    """Ask a coach's calendars about some slots, and store what they say, or that they say nothing."""
    begun = clock.now()
    rows = connection.execute(_SQL["sources"], {"coach": asked["coach_id"]}).fetchall()
    window = Window(asked["first_slot"], asked["slot_count"])
    requests = [_request(row, window, begun.isoformat()) for row in rows if row["ended"] is None]
    readings = {reading.source_id: reading for reading in _readings(requests, seconds)}
    for row in rows:
        reading = readings.get(row["source_id"])
        free = None if reading is None or reading.free is None else reading.free
        values = {
            "coach": row["coach_id"],
            "source": row["source_id"],
            "generation": row["generation"],
            "checked_at": begun if reading is None else reading.fetched_at,
            "first": window.first_slot,
            "count": window.slot_count,
            "free": None if free is None else format(free.bits, f"0{window.slot_count}b"),
        }
        connection.execute(_SQL["store"], values)


def _request(row: Mapping[str, Any], window: Window, at: str) -> FetchRequest:
    return FetchRequest(
        coach_id=row["coach_id"],
        kind=row["kind"],
        url=row["url"],
        time_zone=row["time_zone"],
        source_id=row["source_id"],
        generation=row["generation"],
        calendar_ref=row["calendar_ref"],
        credentials=row["credentials"],
        first_slot=window.first_slot,
        slot_count=window.slot_count,
        requested_at=at,
    )


def _readings(requests: Sequence[FetchRequest], seconds: float) -> list[Reading]:
    """Return what the fetching function says of these requests in time; nothing where it does not answer."""
    function = settings().calendar_fetch_function
    if not requests or not function:
        return []
    from botocore.exceptions import BotoCoreError, ClientError  # late: few calendars ask

    event = {"requests": [one.to_json() for one in requests], "seconds": seconds}
    try:
        answer = _lambda(math.ceil(seconds)).invoke(FunctionName=function, Payload=json.dumps(event))
        if "FunctionError" in answer:
            logger.warning("calendars not asked", extra={"error": answer["FunctionError"]})
            return []
        return [Reading.from_json(one) for one in json.loads(answer["Payload"].read())["readings"]]
    except (BotoCoreError, ClientError, MessageError, ValueError, KeyError, TypeError) as error:
        # Only the type: a text can quote what was sent.
        logger.warning("calendars not asked", extra={"error": type(error).__name__})
        return []


@cache
def _lambda(seconds: int) -> Any:
    return aws.client("lambda", connect_seconds=_CONNECT_SECONDS, read_seconds=float(seconds), attempts=1)


def clear_cache() -> None:
    """Make the next call open a new client, with the environment of then."""
    _lambda.cache_clear()
