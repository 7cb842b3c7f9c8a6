"""The processor time of each kind of process of the local stack, for each booking over HTTP.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.http_parts [SECONDS]

Eight clients book as fast as they are answered. The deliveries that follow are counted too, so what is moved
out of a booking's answer stays in the sum. It depends much less on other programs than a rate does.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.http import BOOKING_CLIENTS
from bench.load.clients import BOOKING, Load
from bench.load.processes import look, spent
from bench.load.target import add_calendars, find
from tests.support.stack import start, stop

SECONDS = 20.0
# All processes have started then.
WARM_UP_SECONDS = 12.0
# What is still to be delivered has its time.
REST_SECONDS = 3.0


def parts(seconds: float = SECONDS) -> dict[str, float]:
    """Return the microseconds for each booking, by kind of process."""
    with tempfile.TemporaryDirectory() as folder:
        stack = start(Path(folder) / "data", {})
        try:
            target = find({"FAIRSLOT_DATA": str(stack.data)})
            load = Load(target, add_calendars(target), {BOOKING: 100})
            asyncio.run(load.run(clients=BOOKING_CLIENTS, seconds=WARM_UP_SECONDS))
            time.sleep(REST_SECONDS)
            load.traffic.answered.clear()
            before, own = look(target.state["pid"], target.names), time.process_time()
            asyncio.run(load.run(clients=BOOKING_CLIENTS, seconds=seconds))
            own = time.process_time() - own
            time.sleep(REST_SECONDS)
            found = spent(before, look(target.state["pid"], target.names)) | {"the clients": own}
        finally:
            stop(stack)
    booked = len(load.traffic.answered[BOOKING])
    return {name: took / booked * 1e6 for name, took in found.items()}


def main(seconds: float = SECONDS) -> None:
    """Print the parts, the largest first."""
    found = parts(seconds)
    for name, took in sorted(found.items(), key=lambda one: -one[1]):
        print(f"{name:<28}{took:>8.0f} µs")
    print(f"{'together':<28}{sum(found.values()):>8.0f} µs")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
