"""Set a team up and look after it: webhook endpoints, deliveries, the secret of inbound events."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from admin import deliveries, endpoints, inbound_secret
from fairslot.http import api
from fairslot.platform.observability import logger, metrics

app = api.resolver()
app.include_router(endpoints.router)
app.include_router(deliveries.router)
app.include_router(inbound_secret.router)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an API Gateway event."""
    return api.serve(app, event, context)
