"""The local stack, with two differences that a proof needs: `python -m tests.support.stack_behind`.

Its functions reach queues and keys by the port QUEUES_THROUGH, while they are at the port QUEUES_AT; and to
its schedules a minute is a second.
"""

import os
import sys
from pathlib import Path

from local import schedules, stack, supervisor
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


if __name__ == "__main__":
    supervisor.SqsStandIn = Behind  # type: ignore[attr-defined]
    schedules._UNITS["minute"] = 1  # noqa: SLF001
    sys.exit(stack.main())
