"""One logger and one set of metrics for every function; neither opens anything at import."""

import logging
import os

from aws_lambda_powertools import Logger, Metrics

# It writes every address at INFO, and the address of a feed or a subscriber can be a password.
logging.getLogger("httpx").setLevel(logging.WARNING)

logger = Logger(
    service=os.environ.get("POWERTOOLS_SERVICE_NAME", "fairslot"),
    level=os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"),
)
metrics = Metrics(
    namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Fairslot"),
    service=os.environ.get("POWERTOOLS_SERVICE_NAME", "fairslot"),
)
