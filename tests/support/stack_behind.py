"""The local stack, with differences that a proof needs: `python -m tests.support.stack_behind`.

Its functions reach queues and keys by the port QUEUES_THROUGH, while they are at the port QUEUES_AT, and
providers' stand-ins by the ports GOOGLE_THROUGH and so on, where those are given; and to its schedules a
minute is a second.
"""

import os
import sys
from pathlib import Path

from local import schedules, stack, supervisor
from local.calendar_standins import CalendarStandins
from local.sqs import SqsStandIn


class Behind(SqsStandIn):
    """The queues at a port that the caller knows, and another port for the functions."""

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        super().__init__(data_dir, log=log)
        self.port = int(os.environ["QUEUES_AT"])

    @property
    def environment(self) -> dict[str, str]:
        """What the functions find."""
        through = f"http://127.0.0.1:{os.environ['QUEUES_THROUGH']}"
        return super().environment | {"AWS_ENDPOINT_URL": through}


class CalendarsBehind(CalendarStandins):
    """Providers' stand-ins, which are at their own ports."""

    @property
    def urls(self) -> dict[str, str]:
        """Where everybody finds them."""
        through = {kind: os.environ.get(f"{kind.upper()}_THROUGH") for kind in self.programs}
        return super().urls | {kind: f"http://127.0.0.1:{port}" for kind, port in through.items() if port}


if __name__ == "__main__":
    supervisor.SqsStandIn = Behind  # type: ignore[attr-defined]
    supervisor.CalendarStandins = CalendarsBehind  # type: ignore[attr-defined]
    schedules._UNITS["minute"] = 1  # noqa: SLF001
    sys.exit(stack.main())
