"""The programs that the functions talk to: started together, watched, and stopped in turn."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from local.partner import Partner
from local.processes import Program

_LOOK_SECONDS = 0.5

# Tells a person something: the name of a part, and what.
type Say = Callable[[str, str], None]


async def start(parts: Mapping[str, Program], stops: AsyncExitStack, say: Say) -> None:
    """Start all parts at once and say where each is; `stops` learns how to stop them.

    They begin in this thread, which outlives them: the kernel ends them with it.

    Raises:
        StartError: one did not come up.

    """
    began = time.monotonic()
    for part in parts.values():
        stops.push_async_callback(asyncio.to_thread, part.stop)
        part.begin()
    for name, part in parts.items():
        await asyncio.to_thread(part.finish)
        moved = isinstance(part, Partner) and part.port != part.wanted_port
        why = f", as port {part.wanted_port} is taken" if isinstance(part, Partner) and moved else ""
        say(name, f"on 127.0.0.1:{part.port}{why} ({time.monotonic() - began:.1f} s)")


async def watch(parts: Mapping[str, Program], say: Say, prepare: Callable[[str], Awaitable[None]]) -> None:
    """Start a part again when it ends by itself, and `prepare` it for use; never returns.

    Raises:
        StartError: it does not come back.

    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for name, part in parts.items():
            if part.ended:
                say(name, f"has ended, starting it again; see {part.log}")
                part.begin()
                await asyncio.to_thread(part.finish)
                await prepare(name)
                say(name, "is back")
