"""Serves ministack, with immediate delivery to waiting receivers and keys that survive a kill.

Run as a script by the Python of `.tools/ministack`. Arguments: the port, and a file that it removes when all
state is saved. Ministack itself polls for messages ten times a second while a receiver waits, where SQS
delivers at once. And it saves its state only on a clean shutdown: messages that a kill loses are resent from
the outbox, but what was encrypted with a lost key could never be decrypted.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve  # type: ignore[import-not-found]
from hypercorn.config import Config  # type: ignore[import-not-found]
from ministack.app import app  # type: ignore[import-not-found]
from ministack.core import persistence  # type: ignore[import-not-found]
from ministack.services import sqs  # type: ignore[import-not-found]


class ReceiverWakeup:
    """Replaces the queue service's `asyncio` and the event that it sets on each message."""

    def __init__(self) -> None:
        self._asleep: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        """Wake every receiver; each then looks for a message of its own queue."""
        for sleeper in self._asleep:
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until a message comes."""
        sleeper = asyncio.get_running_loop().create_future()
        self._asleep.add(sleeper)
        try:
            await asyncio.wait([sleeper], timeout=seconds)
        finally:
            self._asleep.discard(sleeper)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


async def persist_keys() -> None:
    """Save the keys within half a second of a change; never returns."""
    saved = None
    while True:
        await asyncio.sleep(0.5)
        kms = sys.modules.get("ministack.services.kms")  # loaded on first use
        if kms is not None and (state := repr(kms.get_state())) != saved:
            persistence.save_state("kms", kms.get_state())
            saved = state


async def main() -> None:
    """Serve until a signal comes."""
    sqs.asyncio = sqs.esm_wake = ReceiverWakeup()
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    persisting = asyncio.create_task(persist_keys())
    await serve(app, config)
    persisting.cancel()


if __name__ == "__main__":
    asyncio.run(main())
    Path(sys.argv[2]).unlink(missing_ok=True)
