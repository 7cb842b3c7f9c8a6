"""Resends what was on the queues when their stand-in was killed; SQS itself loses nothing.

Without this, a delivery whose message is lost waits until it is overdue (REDELIVER_AFTER_SECONDS), which must
be longer than a message may wait behind others. Here it is known what was lost, and when.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import psycopg

from fairslot.platform.settings import Settings

_PAUSE_SECONDS = 1.0
# What was committed while the queues were down is swept once it is past its grace.
_GRACE_SECONDS = Settings.model_fields["outbox_grace_seconds"].default + 1.0
# The oldest instant, so that the next sweep finds it overdue, even if its retry was planned for later.
_MARK_OVERDUE = """
UPDATE webhook_deliveries SET published_at = 'epoch', next_attempt_at = NULL
 WHERE status = 'pending' AND published_at < %s
"""


async def resend(
    database_url: str, *, before: datetime, sweep: Callable[[], Awaitable[None]], log: Callable[[str], None]
) -> None:
    """Resend every pending delivery that was published `before`; `sweep` is the outbox's own.

    Twice: a result that was on its way may have planned another attempt of a message that is lost.
    """
    for wait in (0.0, _GRACE_SECONDS):
        await asyncio.sleep(wait)
        while True:
            try:
                await asyncio.to_thread(_mark_overdue, database_url, before)
                break
            except psycopg.Error as error:
                log(f"lost deliveries are not resent yet, trying again: {error}")
                await asyncio.sleep(_PAUSE_SECONDS)
        await sweep()


def _mark_overdue(database_url: str, before: datetime) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(_MARK_OVERDUE, [before])
