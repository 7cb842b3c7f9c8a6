"""Serves ministack's queues so that a message reaches at once whoever waits for it.

Run as a script by the Python of `.tools/ministack`, with the port as its argument. As it comes,
a waiting receiver looks for messages ten times a second; SQS itself does not keep it waiting.
Should ministack change inside, the receivers wait as before and nothing else is lost.
"""

import asyncio
import sys
from typing import Any

from hypercorn.asyncio import serve  # type: ignore[import-not-found]
from hypercorn.config import Config  # type: ignore[import-not-found]
from ministack.app import app  # type: ignore[import-not-found]
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


def main() -> None:
    """Serve until a signal comes."""
    sqs.asyncio = sqs.esm_wake = Bell()
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main()
