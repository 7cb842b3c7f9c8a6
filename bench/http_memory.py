"""The memory of the functions that bookings over HTTP keep busy, on the stack that is measured anyway."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.figures import Figure
from bench.load.processes import look
from bench.load.target import Target
from bench.memory import EVENTS

FUNCTIONS = ("booking.app", "webhook_dispatch.app", "background.results")


class Memory:
    """The memory of each function's largest process: when it is made, and at each further look, in MiB."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seen: list[dict[str, tuple[float, int]]] = []
        self.look()

    def look(self) -> None:
        """Look at the processes of now."""
        found: dict[str, tuple[float, int]] = {}
        for pid, process in look(self._target.state["pid"], self._target.names).items():
            largest, count = found.get(process.name, (0.0, 0))
            found[process.name] = max(largest, _peak(pid)), count + 1
        self._seen.append(found)

    def figures(self, events: Mapping[str, int]) -> Iterator[Figure]:
        """Return the memory after EVENTS events a process; `events` is how many each function had in all.

        Where a process had fewer, what the second half of them added goes on.
        """
        half, end = self._seen[-2:]
        for name in FUNCTIONS:
            (before, _), (peak, processes) = half[name], end[name]
            each = events[name] / processes
            missing = max(0.0, EVENTS / each - 1)
            yield Figure(
                name=f"memory of {name.removesuffix('.app')} over {EVENTS:,} events",
                value=peak + 2 * max(0.0, peak - before) * missing,
                unit="MiB",
                goal=100,
                note=f"{peak:.1f} after {each:,.0f} in each of {processes}, {before:.1f} after half of them",
            )


def _peak(pid: int) -> float:
    """Return the most that a process had resident; 0 if it is gone."""
    try:
        lines = (Path("/proc") / str(pid) / "status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
