"""Two made-up releases after the baseline, what a database looks like, and clients at work."""

import json
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

import psycopg

from fairslot.platform import db
from fairslot.platform.migrate import Schema
from fairslot.webhooks import outbox
from local.postgres_account import installation
from tests.support.attempts import attempt_of
from tests.support.bookings import book, cancel, hold, release_hold
from tests.support.clock import HALF, NOW

# A release expands: a column, an index, a signature that stands beside the old one.
EXPANDS = (
    "0003_channels.sql",
    """
    ALTER TABLE coach_appointments ADD COLUMN channel text NOT NULL DEFAULT 'web' CHECK (channel <> '');
    ALTER TABLE webhook_deliveries ADD COLUMN channel text;
    ALTER TABLE webhook_endpoints ADD COLUMN region text NOT NULL DEFAULT 'eu';
    CREATE INDEX coach_appointments_by_channel ON coach_appointments (channel, start_time);
    """,
)
BESIDE = (
    "90_channels.sql",
    """
    CREATE OR REPLACE FUNCTION engine.mark_published(p_deliveries uuid[], p_now timestamptz, p_channel text)
        RETURNS void LANGUAGE sql
        AS $$ UPDATE webhook_deliveries SET channel = p_channel WHERE delivery_id = ANY (p_deliveries) $$;
    CREATE OR REPLACE FUNCTION engine.channels() RETURNS bigint LANGUAGE sql STABLE
        RETURN (SELECT count(*) FROM coach_appointments WHERE channel = 'web');
    """,
)
# The next one contracts: what only the one before used goes.
CONTRACTS = (
    "0004_regions.sql",
    """
    ALTER TABLE webhook_endpoints DROP COLUMN region;
    ALTER TABLE calendars ADD COLUMN channel text;
    UPDATE calendars SET channel = 'web';
    """,
)


def edited(functions: list[tuple[str, str]], note: str) -> list[tuple[str, str]]:
    """Return the functions as another release has them: the text of every one is another."""
    return [(name, text.replace(" AS $$\n", f" AS $$\n-- {note}\n")) for name, text in functions]


def releases() -> list[Schema]:
    """Return the schema that there is and those of two made-up releases after it."""
    first = Schema.current()
    second = first.followed_by(EXPANDS, functions=[*edited(first.functions, "the second"), BESIDE])
    third = second.followed_by(CONTRACTS, functions=edited(first.functions, "the third"))
    return [first, second, third]


def dump(url: str) -> str:
    """Return a database's schema as pg_dump writes it, without what differs from run to run."""
    text = subprocess.run(
        [installation() / "bin" / "pg_dump", "--schema-only", "--no-owner", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return "\n".join(
        line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))
    )


def patiently[T](work: Callable[[], T]) -> T:
    """Do a piece of work as `db.run` does: what asks to be called again is."""
    for _ in range(50):
        try:
            return work()
        except psycopg.Error as error:
            if not db.is_retried(error):  # as `db.run` asks
                raise
    raise AssertionError("asked again and again")


class Client:
    """A thread that books, holds, cancels and delivers with the code of now until it is told to stop."""

    def __init__(self, url: str, start: datetime) -> None:
        self.rounds = 0
        self.error: BaseException | None = None
        self._start = start
        self._stop = threading.Event()
        self._connection = db.connect(url)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End it; raise what it met, if it met anything."""
        self._stop.set()
        self._thread.join()
        self._connection.close()
        if self.error is not None:
            raise AssertionError(f"after {self.rounds} rounds") from self.error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._round()
                self.rounds += 1
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.error = error

    def _round(self) -> None:
        connection = self._connection
        done = patiently(lambda: book(connection, self._start))
        self._deliver(done.messages)
        start, client = self._start + HALF, str(self._start)
        held = patiently(lambda: hold(connection, start=start, client=client))
        patiently(lambda: release_hold(connection, held))
        self._deliver(patiently(lambda: cancel(connection, done)).messages)

    def _deliver(self, messages: list[dict[str, object]]) -> None:
        sent: list[str] = []
        patiently(lambda: outbox.publish(self._connection, messages=messages, send=sent.extend, now=NOW))
        for body in sent:
            message = json.loads(body)
            attempt = attempt_of(message, revision=message["revision"], receipt_handle="r")
            patiently(partial(outbox.record, self._connection, attempt=attempt))
