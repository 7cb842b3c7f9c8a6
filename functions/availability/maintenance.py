"""What has to be done again and again: days, expired rows, and events that did not get out."""

from datetime import timedelta
from functools import partial
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot import db, holds, inbound, outbox, relay, sync
from fairslot.api import clock
from fairslot.observability import logger, metrics

_LEFT_OVER = timedelta(seconds=30)


def keep_slots() -> dict[str, int]:
    """Add the days that came into the horizon; delete what is long over."""
    now = clock()
    coaches = db.run(lambda connection: sync.extend(connection, now=now))
    days, keys = db.run(lambda connection: sync.forget(connection, now=now))
    return {"coaches": coaches, "days_deleted": days, "keys_deleted": keys}


def sweep_outbox() -> dict[str, int]:
    """Send what is not on its way; finish inbound events; give back what expired holds take."""
    now = clock()
    sent = db.run(lambda connection: outbox.sweep(connection, send=relay.send_deliveries, now=now))
    events = db.run(lambda connection: inbound.left_over(connection, before=now - _LEFT_OVER))
    for event_id in events:
        done = db.run(partial(inbound.process, event_id=event_id, now=now))
        relay.publish(done.messages)
        relay.send_fetches(done.fetches)
    holds_expired = db.run(holds.expire)
    return {"sent": sent, "events": len(events), "holds_expired": holds_expired}


TASKS = {"slots": keep_slots, "outbox": sweep_outbox}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Do the task that the schedule names: {"task": "slots"} or {"task": "outbox"}."""
    done = TASKS[event["task"]]()
    metrics.add_metric(name="MaintenanceRuns", unit=MetricUnit.Count, value=1)
    logger.info("maintenance", extra={"task": event["task"], **done})
    return done
