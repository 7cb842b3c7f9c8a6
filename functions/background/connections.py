"""Tell what a link to connect a calendar is about, and store what it was used for: asked from outside."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.messages.connections import LinkQuestion
from fairslot.messages.contract import to_json
from fairslot.platform import clock, db, time_limit
from fairslot.platform.observability import logger, metrics
from fairslot.team import connections


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a LinkQuestion with a LinkAnswer's members; a calendar that is connected is read at once."""
    question, now = LinkQuestion.from_json(to_json(event)), clock.now()
    with time_limit.of(context):
        given = question.credentials
        if given is None:
            metrics.add_metric(name="CalendarsConnected", unit=MetricUnit.Count, value=0)
            return _told(db.run(lambda connection: connections.look(connection, question.token, now=now)))
        link = db.run(
            lambda connection: connections.use(
                connection, question.token, given, request_id=context.aws_request_id, now=now
            )
        )
        if link["state"] == "open":
            logger.info("calendar connected", extra={"source_id": link["source_id"], "kind": link["kind"]})
            coaches = [link["coach_id"]]
            # Lost here, the request comes with the schedule.
            send_fetches(
                db.run(
                    lambda connection: sync.request(connection, tenant_id=None, coach_ids=coaches, now=now)
                )
            )
    metrics.add_metric(name="CalendarsConnected", unit=MetricUnit.Count, value=int(link["state"] == "open"))
    return _told(link)


def _told(link: dict[str, Any]) -> dict[str, Any]:
    """Return what the outside is told: not whose it is."""
    return {name: value for name, value in link.items() if name not in {"tenant_id", "coach_id"}}
