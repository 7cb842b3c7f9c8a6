"""The programs that the functions talk to: started together, restarted when they end, stopped in turn."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from local.partner import Partner
from local.processes import Program, StartError

_LOOK_SECONDS = 0.5
_RESTARTS = 10
_RETRY_SECONDS = 1.0

# Prints a line on the terminal: the name of a program, and what happened to it.
type Say = Callable[[str, str], None]


async def start(programs: Mapping[str, Program], stops: AsyncExitStack, say: Say) -> None:
    """Start all programs at once and say where each listens; `stops` learns how to stop them.

    They are launched in this thread, which outlives them: the kernel ends them with it.

    Raises:
        StartError: one did not start.

    """
    began = time.monotonic()
    for program in programs.values():
        stops.push_async_callback(asyncio.to_thread, program.stop)
        program.launch()
    for name, program in programs.items():
        await asyncio.to_thread(program.wait_until_ready)
        moved = isinstance(program, Partner) and program.port != program.wanted_port
        why = f", as port {program.wanted_port} is taken" if isinstance(program, Partner) and moved else ""
        say(name, f"listening on 127.0.0.1:{program.port}{why} ({time.monotonic() - began:.1f} s)")


async def watch(programs: Mapping[str, Program], say: Say, prepare: Callable[[str], Awaitable[None]]) -> None:
    """Restart a program when it ends by itself, and `prepare` it for use; never returns.

    Raises:
        StartError: it failed to restart `_RESTARTS` times in a row.

    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for name, program in programs.items():
            if program.ended:
                say(name, f"ended unexpectedly, restarting it (log: {program.log})")
                await _restart(name, program, say, prepare)
                say(name, "running again")


async def _restart(name: str, program: Program, say: Say, prepare: Callable[[str], Awaitable[None]]) -> None:
    """Restart a program; it may end again at any moment, also while it is prepared."""
    for attempt in range(1, _RESTARTS + 1):
        try:
            if program.ended:
                program.launch()
            await asyncio.to_thread(program.wait_until_ready)
            await prepare(name)
        except StartError as error:
            if attempt == _RESTARTS:
                raise
            say("trouble", f"{error}; trying again ({attempt} of {_RESTARTS - 1})")
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return
