"""Requeues the dead letters of the running local stack: `make redrive`, or `python -m local.redrive`.

Environment: FAIRSLOT_DATA (.data), the same as the stack's.
"""

import json
import os
import sys
from pathlib import Path

from fairslot.webhooks import redrive
from local.sqs import SqsStandIn
from local.stack_options import StackOptions


def environment(data: Path) -> dict[str, str] | None:
    """Return the addresses of the stack on this data as variables; None if it is not running."""
    try:
        state = json.loads((data / "stack.json").read_text("utf-8"))
        os.kill(state["pid"], 0)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    queues = state["queues"]
    return {
        **SqsStandIn(data).environment,
        "AWS_ENDPOINT_URL": state["sqs_endpoint"],
        "DATABASE_URL": state["functions_database_url"],
        "DELIVERIES_QUEUE_URL": queues["DeliveriesQueue"],
        "DELIVERIES_DEAD_LETTER_QUEUE_URL": queues["DeliveriesDeadLetterQueue"],
    }


def main() -> None:
    """Requeue them and print the result."""
    data = StackOptions.from_environment(os.environ).data
    found = environment(data)
    if found is None:
        sys.exit(f"no local stack is running on {data}: start it with `make run`, or set FAIRSLOT_DATA")
    os.environ.update(found)
    redrive.main()


if __name__ == "__main__":
    main()
