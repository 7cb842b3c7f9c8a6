"""Sends again what was on the queues when their stand-in was killed; SQS itself loses nothing.

Without it a delivery whose message is gone waits until it is overdue (REDELIVER_AFTER_SECONDS), which has to
be longer than a message may wait behind others. Here it is known what is lost, and when.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import psycopg

from fairslot.platform.settings import Settings

_PAUSE_SECONDS = 1.0
# What was committed while the queues were away is swept once it is past its grace.
_GRACE_SECONDS = Settings.model_fields["outbox_grace_seconds"].default + 1.0
# As old as can be: the next sweep takes it for overdue, also where a retry was planned for later.
_MARK = """
UPDATE webhook_deliveries SET published_at = 'epoch', next_attempt_at = NULL
 WHERE status = 'pending' AND published_at < %s
"""


async def send_again(
    database_url: str, *, before: datetime, sweep: Callable[[], Awaitable[None]], note: Callable[[str], None]
) -> None:
    """Have every delivery sent again that was sent `before` and has not ended, by `sweep`, the outbox's own.

    Twice: a result that was on its way may have planned another attempt of a message that is gone.
    """
    for wait in (0.0, _GRACE_SECONDS):
        await asyncio.sleep(wait)
        while True:
            try:
                await asyncio.to_thread(_mark, database_url, before)
                break
            except psycopg.Error as error:
                note(f"deliveries that the queues lost are not sent again yet: {error}")
                await asyncio.sleep(_PAUSE_SECONDS)
        await sweep()


def _mark(database_url: str, before: datetime) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(_MARK, [before])
