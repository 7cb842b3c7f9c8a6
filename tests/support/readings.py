"""Readings of external calendars as tests write them."""

import json
from typing import Any

from fairslot.coach_time import sync
from fairslot.messages.readings import Reading
from fairslot.platform.db import Connection


def store(connection: Connection, message: dict[str, Any]) -> bool:
    """Store a reading, given as a message of FetchedQueue; `requested_at` may be left out."""
    body = {"requested_at": message["fetched_at"], **message}
    return sync.store(connection, Reading.from_json(json.dumps(body)))
