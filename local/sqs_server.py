"""Serves ministack so that a message reaches at once whoever waits for it, and no key is lost.

Run as a script by the Python of `.tools/ministack`, with the port as its argument and a file that it
removes when all is saved. As it comes, a waiting receiver looks for messages ten times a second; SQS
itself does not keep it waiting. And it saves its state only when it is stopped in good order; messages
that a kill loses are sent again from the outbox, but what a lost key locked up nobody opens again.
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


class Bell:
    """Stands in the queue service for its `asyncio` and for the event that it sets on each message."""

    def __init__(self) -> None:
        self._asleep: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        """Wake every receiver; each then looks whether the message is its own."""
        for sleeper in self._asleep:
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the bell rings."""
        sleeper = asyncio.get_running_loop().create_future()
        self._asleep.add(sleeper)
        try:
            await asyncio.wait([sleeper], timeout=seconds)
        finally:
            self._asleep.discard(sleeper)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


async def keep_keys() -> None:
    """Save the keys within half a second of a change; never returns."""
    saved = None
    while True:
        await asyncio.sleep(0.5)
        kms = sys.modules.get("ministack.services.kms")  # there once somebody used it
        if kms is not None and (state := repr(kms.get_state())) != saved:
            persistence.save_state("kms", kms.get_state())
            saved = state


async def main() -> None:
    """Serve until a signal comes."""
    sqs.asyncio = sqs.esm_wake = Bell()
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    keeper = asyncio.create_task(keep_keys())
    await serve(app, config)
    keeper.cancel()


if __name__ == "__main__":
    asyncio.run(main())
    Path(sys.argv[2]).unlink(missing_ok=True)
