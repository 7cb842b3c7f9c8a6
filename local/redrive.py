"""Send the dead letters of the local stack again: `python -m local.redrive`, or `make redrive`.

Environment: FAIRSLOT_DATA (.data), as for the stack, which has to be running.
"""

import json
import os
import sys
from pathlib import Path

from fairslot.webhooks import redrive
from local.sqs import SqsStandIn
from local.stack_options import StackOptions


def environment(data: Path) -> dict[str, str] | None:
    """Return the variables that lead to database and queues of the stack on this data, if one runs."""
    try:
        state = json.loads((data / "stack.json").read_text("utf-8"))
        os.kill(state["pid"], 0)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    queues = state["queues"]
    return {
        **SqsStandIn(data).environment,
        "AWS_ENDPOINT_URL": state["sqs_endpoint"],
        "DATABASE_URL": state["database_url"],
        "DELIVERIES_QUEUE_URL": queues["DeliveriesQueue"],
        "DELIVERIES_DEAD_LETTER_QUEUE_URL": queues["DeliveriesDeadLetterQueue"],
    }


def main() -> None:
    """Send them again and say what was done."""
    data = StackOptions.from_environment(os.environ).data
    found = environment(data)
    if found is None:
        sys.exit(f"no stack runs on {data}: `make run` starts one, FAIRSLOT_DATA says where else to look")
    os.environ.update(found)
    redrive.main()


if __name__ == "__main__":
    main()
