"""Drive the running stack over HTTP and check what has to hold: `SECONDS=30 make load`.

The stack is the one of `make run` with the same FAIRSLOT_DATA. 90% of the requests are pages of availability,
8% bookings and 2% changes; half of them go to one calendar, the others to eight. The calendars are new ones.
Prints the rates and times of each kind, errors, and each process's memory at the start, at half time and at
the end, then waits until everything is delivered and checks the data. The exit code is 1 if a request failed,
a process grew in the second half or a check did not hold.

Environment, with defaults:
    SECONDS (600): how long
    CLIENTS (16): how many requests at a time
    FAIRSLOT_DATA (.data)
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping

from bench.load import checks, processes
from bench.load.clients import Load
from bench.load.target import Target, TargetError, add_calendars, find


def main(environment: Mapping[str, str]) -> int:
    """Make a run; return the exit code."""
    seconds, clients = float(environment.get("SECONDS") or 600), int(environment.get("CLIENTS") or 16)
    try:
        target = find(environment)
        calendars = add_calendars(target)
    except TargetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{clients} clients on {target.url} for {seconds:.0f} s", flush=True)
    load = Load(target, calendars)
    looks = asyncio.run(drive(load, clients=clients, seconds=seconds, target=target))
    print(f"{load.traffic}\n\n{processes.memory_table(looks)}\n", flush=True)
    wrong = processes.grown(*looks[1:])
    for one in wrong:
        print(f"FAILED  {one}")
    begun = time.monotonic()
    failed = bool(wrong or load.traffic.errors)
    for name, found in checks.Checks(target, calendars, load.history, load.traffic).run():
        failed |= bool(found)
        print(checks.report(name, found), flush=True)
    print(f"checked in {time.monotonic() - begun:.0f} s; {'FAILED' if failed else 'all is well'}")
    return int(failed)


async def drive(
    load: Load, *, clients: int, seconds: float, target: Target
) -> list[dict[int, processes.Process]]:
    """Make the load; return the processes of the stack at its start, half time and end."""

    def look() -> dict[int, processes.Process]:
        return processes.look(target.state["pid"], target.names)

    async def half_time() -> dict[int, processes.Process]:
        await asyncio.sleep(seconds / 2)
        return await asyncio.to_thread(look)

    start = look()
    half, _ = await asyncio.gather(half_time(), load.run(clients=clients, seconds=seconds))
    return [start, half, look()]


if __name__ == "__main__":
    sys.exit(main(os.environ))
