"""Whether the local stack delivers faster than it books: both in one run, with its own settings.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.backlog

Clients book over HTTP as fast as they get responses; each booking makes two deliveries, to stand-ins with
their usual latency and faults. The run begins with a backlog that slow partners made.
"""

import tempfile
from pathlib import Path

from tests.support import booking_load
from tests.support.stack import start, stop

CLIENTS = 8
BACKLOG = 600
SECONDS = 30.0


def main() -> None:
    """Print the result of a run."""
    with tempfile.TemporaryDirectory() as folder:
        stack = start(Path(folder) / "data", {})
        try:
            booking_load.add_team(stack)
            print(booking_load.run(stack, clients=CLIENTS, backlog=BACKLOG, seconds=SECONDS))
        finally:
            stop(stack)


if __name__ == "__main__":
    main()
