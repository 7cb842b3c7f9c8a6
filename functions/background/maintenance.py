"""Scheduled tasks: days and retention, the outbox, dead letters; and the redrive, on demand only."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.access import stand_in
from fairslot.booking import holds
from fairslot.coach_time import inbound
from fairslot.coach_time.days import delete_old_days, extend_days
from fairslot.coach_time.inbound import act_on
from fairslot.coach_time.read_model import delete_old_changes, fold_all_changes
from fairslot.coach_time.zones import zones_apart
from fairslot.platform import audit, clock, db, gauges, idempotent, time_limit
from fairslot.platform.observability import logger, metrics
from fairslot.webhooks import outbox, publishing, redrive, retention

# An inbound event that is not processed by then was left by a function that died.
_INBOUND_GRACE = timedelta(seconds=30)


def maintain_slots(until: float) -> dict[str, int]:
    """Add the days that came into the horizon, delete what is past its retention, compare the time zones."""
    now = clock.now()
    coaches = db.run(lambda connection: extend_days(connection, now=now))
    _compare_zones(now)
    metrics.add_metric(
        name="FairnessDeviation", unit=MetricUnit.NoUnit, value=db.run(gauges.fairness_deviation)
    )
    days = db.run(lambda connection: delete_old_days(connection, now=now))
    changes = db.run(lambda connection: delete_old_changes(connection, now=now))
    keys = db.run(lambda connection: idempotent.forget_expired(connection, now=now, deadline=until))
    events = db.run(lambda connection: retention.delete_settled(connection, now=now, deadline=until))
    entries = db.run(lambda connection: audit.delete_expired(connection, now=now, deadline=until))
    deleted = {f"{kind}_deleted": number for kind, number in events.items()}
    return {
        "coaches": coaches,
        "days_deleted": days,
        "changes_deleted": changes,
        "keys_deleted": keys,
        "audit_deleted": entries,
        **deleted,
    }


def _compare_zones(now: datetime) -> None:
    """Report zones that the database and the functions know differently: docs/runbooks/zones-apart.md."""
    apart = db.run(lambda connection: zones_apart(connection, now=now))
    if apart:
        logger.warning("zones apart", extra={"zones": apart})
    metrics.add_metric(name="ZonesApart", unit=MetricUnit.Count, value=len(apart))


def sweep_outbox(until: float) -> dict[str, int]:
    """Send what is not queued, look for lost blocks, report stale calendars, process events, expire holds.

    It also keeps the read model of availability up to date, forgets rate counts that are over, and measures
    how things stand.
    """
    now = clock.now()
    sent = db.run(
        lambda connection: outbox.sweep_all(
            connection, send=publishing.send_deliveries, now=now, deadline=until
        )
    )
    db.run(lambda connection: outbox.emit_stale(connection, now=now))
    lookups = db.run(lambda connection: outbox.look_for_blocks(connection, now=now))
    publishing.publish(lookups)
    _count_unconfirmed(now)
    events = db.run(lambda connection: inbound.left_over(connection, before=now - _INBOUND_GRACE))
    for event_id in events:
        _process(event_id, now)
    holds_expired = db.run(holds.expire)
    db.run(fold_all_changes)
    db.run(stand_in.forget)
    _measure(now)
    return {
        "sent": sent,
        "blocks_looked_for": len(lookups),
        "events": len(events),
        "holds_expired": holds_expired,
    }


def _count_unconfirmed(now: datetime) -> None:
    """Count blocks that may be in a calendar under a lost id: docs/runbooks/unconfirmed-blocks.md."""
    number = db.run(lambda connection: outbox.unconfirmed_blocks(connection, now=now))
    metrics.add_metric(name="BlocksUnconfirmed", unit=MetricUnit.Count, value=number)


def _measure(now: datetime) -> None:
    """Measure what has to be looked up, since no request or message tells of it."""
    stands = db.run(lambda connection: gauges.each_minute(connection, now=now))
    waiting = db.run(lambda connection: outbox.waiting(connection, now=now))
    metrics.add_metric(name="DeliveriesPending", unit=MetricUnit.Count, value=stands.deliveries_pending)
    metrics.add_metric(name="DeliveriesNotQueued", unit=MetricUnit.Count, value=waiting)
    metrics.add_metric(name="CalendarsStale", unit=MetricUnit.Count, value=stands.calendars_stale)
    metrics.add_metric(name="CalendarsEnded", unit=MetricUnit.Count, value=stands.calendars_ended)
    metrics.add_metric(name="CalendarAge", unit=MetricUnit.Seconds, value=stands.calendar_age)
    metrics.add_metric(name="EndpointsDisabled", unit=MetricUnit.Count, value=stands.endpoints_disabled)


def _process(event_id: UUID, now: datetime) -> None:
    """Process an inbound event; one that fails does not stop the others."""
    try:
        act_on(event_id, now=now)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others come next
        # Only the type: an exception's text can quote customer data.
        logger.error("event not processed", extra={"error": type(error).__name__, "event_id": str(event_id)})
        metrics.add_metric(name="EventsNotHandled", unit=MetricUnit.Count, value=1)


def mark_dead_letters_failed(until: float) -> dict[str, int]:
    """Mark deliveries that ended as dead letters without a result as failed."""
    return redrive.mark_dead_letters_failed(now=clock.now(), deadline=until)


def redrive_dead_letters(until: float) -> dict[str, int]:
    """Send every dead letter again; no schedule does that."""
    return redrive.redrive(now=clock.now(), deadline=until)


# Each gets an instant of the monotonic clock after which it begins nothing large any more.
TASKS: dict[str, Callable[[float], dict[str, int]]] = {
    "slots": maintain_slots,
    "outbox": sweep_outbox,
    "dead_letters": mark_dead_letters_failed,
    "redrive": redrive_dead_letters,
}
# An alarm hears that a schedule's task has ended: whatever stops it, the count is missing.
RUNS = {"slots": "SlotsRuns", "outbox": "OutboxRuns", "dead_letters": "DeadLettersRuns"}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Run the task that the schedule, or a person, names: {"task": "slots"} and so on."""
    # Half of the time that is left; the task's other steps have the other half.
    until = time.monotonic() + context.get_remaining_time_in_millis() / 2000
    with time_limit.of(context):
        done = TASKS[event["task"]](until)
    if event["task"] in RUNS:
        metrics.add_metric(name=RUNS[event["task"]], unit=MetricUnit.Count, value=1)
    logger.info("maintenance", extra={"task": event["task"], **done})
    return done
