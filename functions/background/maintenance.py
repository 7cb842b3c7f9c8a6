"""What has to be done again and again: days, expired rows, and events that did not get out."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.booking import holds
from fairslot.coach_time import inbound
from fairslot.coach_time.days import delete_old_days, extend_days
from fairslot.coach_time.inbound import act_on
from fairslot.coach_time.zones import zones_apart
from fairslot.http.api import clock
from fairslot.platform import db, deadline, idempotent
from fairslot.platform.observability import logger, metrics
from fairslot.webhooks import outbox, publishing, redrive, retention

_LEFT_OVER = timedelta(seconds=30)


def keep_slots(begin_until: float) -> dict[str, int]:
    """Add the days that came into the horizon; delete what is long over or settled; compare the zones."""
    now = clock()
    coaches = db.run(lambda connection: extend_days(connection, now=now))
    _compare_zones(now)
    days = db.run(lambda connection: delete_old_days(connection, now=now))
    keys = db.run(lambda connection: idempotent.delete_expired(connection, now=now))
    events = db.run(lambda connection: retention.delete_settled(connection, now=now, deadline=begin_until))
    deleted = {f"{kind}_deleted": number for kind, number in events.items()}
    return {"coaches": coaches, "days_deleted": days, "keys_deleted": keys, **deleted}


def _compare_zones(now: datetime) -> None:
    """Tell of zones whose days calendars and coaches count differently: docs/runbooks/zones-apart.md."""
    apart = db.run(lambda connection: zones_apart(connection, now=now))
    if apart:
        logger.warning("zones apart", extra={"zones": apart})
    metrics.add_metric(name="ZonesApart", unit=MetricUnit.Count, value=len(apart))


def sweep_outbox(begin_until: float) -> dict[str, int]:
    """Send what is not on its way, look for blocks, tell of stale calendars, finish events, end holds."""
    now = clock()
    sent = db.run(
        lambda connection: outbox.sweep_all(
            connection, send=publishing.send_deliveries, now=now, deadline=begin_until
        )
    )
    stale = db.run(lambda connection: outbox.tell_stale(connection, now=now))
    publishing.publish(stale)
    lost = db.run(lambda connection: outbox.look_for_blocks(connection, now=now))
    publishing.publish(lost)
    _count_unconfirmed(now)
    events = db.run(lambda connection: inbound.left_over(connection, before=now - _LEFT_OVER))
    for event_id in events:
        _finish(event_id, now)
    holds_expired = db.run(holds.expire)
    return {
        "sent": sent,
        "blocks_looked_for": len(lost),
        "events": len(events),
        "holds_expired": holds_expired,
    }


def _count_unconfirmed(now: datetime) -> None:
    """Tell of blocks that may stand in calendars without our knowing: docs/runbooks/unconfirmed-blocks.md."""
    number = db.run(lambda connection: outbox.unconfirmed_blocks(connection, now=now))
    metrics.add_metric(name="BlocksUnconfirmed", unit=MetricUnit.Count, value=number)


def _finish(event_id: UUID, now: datetime) -> None:
    """Act on a kept event; one that cannot be acted on does not keep the others from their turn."""
    try:
        act_on(event_id, now=now)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others come next
        # The type alone: an exception's text can quote a row of a customer's.
        logger.error("event not acted on", extra={"error": type(error).__name__, "event_id": str(event_id)})
        metrics.add_metric(name="EventsNotHandled", unit=MetricUnit.Count, value=1)


def bury_dead_letters(deadline: float) -> dict[str, int]:
    """Mark what ended as a dead letter without a result as failed."""
    return redrive.mark_dead_letters_failed(now=clock(), deadline=deadline)


def send_dead_letters(deadline: float) -> dict[str, int]:
    """Send every dead letter again; no schedule does that."""
    return redrive.redrive(now=clock(), deadline=deadline)


# Each gets an instant of the monotonic clock at which to begin nothing large any more.
TASKS: dict[str, Callable[[float], dict[str, int]]] = {
    "slots": keep_slots,
    "outbox": sweep_outbox,
    "dead_letters": bury_dead_letters,
    "redrive": send_dead_letters,
}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Do the task that the schedule, or a person, names: {"task": "slots"} and so on."""
    # Half of the time that is left: what else there is to do has the other half.
    begin_until = time.monotonic() + context.get_remaining_time_in_millis() / 2000
    with deadline.of(context):
        done = TASKS[event["task"]](begin_until)
    metrics.add_metric(name="MaintenanceRuns", unit=MetricUnit.Count, value=1)
    logger.info("maintenance", extra={"task": event["task"], **done})
    return done
