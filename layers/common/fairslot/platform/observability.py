"""The logger and the metrics of every function; neither opens anything at import."""

import logging
import os

from aws_lambda_powertools import Logger, Metrics

# httpx logs every URL at INFO, and the URL of a feed or a subscriber can hold a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)

logger = Logger(
    service=os.environ.get("POWERTOOLS_SERVICE_NAME", "fairslot"),
    level=os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"),
)
metrics = Metrics(
    namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Fairslot"),
    service=os.environ.get("POWERTOOLS_SERVICE_NAME", "fairslot"),
)
