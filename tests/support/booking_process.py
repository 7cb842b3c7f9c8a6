"""A client of the booking engine as a process of its own, to be frozen or robbed of its database.

It is run as `python -m tests.support.booking_process`:

    … hang      books in an open transaction, and commits at a line of input
    … book      books with nothing around it
    … load N    changes with keys, each until answered, till a line comes

The database is DATABASE_URL's. Each line of output is a JSON object.
"""

import json
import select
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from fairslot.booking import appointments, holds
from fairslot.domain.errors import FairslotError, UnavailableError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.domain.slots import instant_of, slot_from
from fairslot.platform import db
from fairslot.platform.settings import settings
from tests.support.bookings import book
from tests.support.team import TENANT

CALENDARS = ("cal", "long")


def say(**values: Any) -> None:
    """Print a line."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def hang() -> None:
    """Book, wait for a line, commit, and say whether that was still possible."""
    with db.connect(settings().database_url) as connection:
        try:
            with connection.transaction():
                say(pid=connection.info.backend_pid, booked=book(connection).answer)
                sys.stdin.readline()
            say(committed=True)
        except psycopg.Error as error:
            say(committed=False, error=type(db.translate(error)).__name__)


def book_once() -> None:
    """Say which backend will book, and then what was booked."""
    with db.connect(settings().database_url) as connection:
        say(pid=connection.info.backend_pid)
        say(booked=book(connection).answer)


class Load:
    """Changes without end, each of them repeated under its key until it is answered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a test's choices
        self.seed = seed
        self.appointments: list[UUID] = []
        self.first = slot_from(datetime.now(UTC) + timedelta(hours=30))

    def run(self) -> None:
        """Make changes until there is input."""
        number = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            key = Key(value=f"{self.seed}-{number}", fingerprint=b"f" * 32)
            number += 1
            kind, change = self._change()
            try:
                answer = self._until_answered(change, key)
            except FairslotError as error:
                say(key=key.value, refused=error.code)
                continue
            if kind == "book":
                self.appointments.append(UUID(answer["appointment_id"]))
            say(key=key.value, kind=kind, answer=answer)

    def _until_answered(self, change: Callable[..., ChangeResult], key: Key) -> dict[str, Any]:
        while True:
            try:
                return db.run(partial(change, key=key)).answer
            except UnavailableError:
                continue

    def _change(self) -> tuple[str, Callable[..., ChangeResult]]:
        start = instant_of(self.first + self.random.randrange(400))
        kind = self.random.choice(["book", "book", "book", "hold", "cancel", "reschedule"])
        own: dict[str, Any] = {"tenant_id": TENANT}
        if kind in ("cancel", "reschedule") and self.appointments:
            own["appointment_id"] = self.random.choice(self.appointments)
            if kind == "cancel":
                self.appointments.remove(own["appointment_id"])
                return kind, partial(appointments.cancel, **own, by="customer", reason=None)
            return kind, partial(appointments.reschedule, **own, start_time=start, any_coach=True)
        own |= {"calendar_id": self.random.choice(CALENDARS), "start_time": start}
        if kind == "hold":
            return kind, partial(holds.hold, **own, client_id=str(self.seed), minutes=1)
        contact = appointments.Contact(name="Customer", email="customer@example.com")
        return "book", partial(appointments.book, **own, contact=contact, metadata={})


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["hang"]:
            hang()
        case ["book"]:
            book_once()
        case ["load", seed]:
            Load(int(seed)).run()


if __name__ == "__main__":
    main()
