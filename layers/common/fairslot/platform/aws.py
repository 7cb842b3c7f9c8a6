"""Clients of AWS services, by botocore: boto3 would add to every cold start, and nothing that we use."""

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from fairslot import __version__

if TYPE_CHECKING:
    from botocore.session import Session

# The layer has the descriptions of these services only: SERVICES in its Makefile.
type Service = Literal["kms", "lambda", "sqs"]


def client(service: Service, *, connect_seconds: float, read_seconds: float, attempts: int) -> Any:
    """Return a client of a service with its timeouts, and how often it tries a call in all."""
    from botocore.config import Config  # late: 150 ms of a cold start

    return session().create_client(
        service,
        config=Config(
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # Its own, which names the features of each call, is a twelfth of what sending to a queue takes.
            user_agent=f"fairslot/{__version__}",
        ),
    )


@cache
def session() -> "Session":
    """Return the process's session: its region and its credentials."""
    from botocore.session import get_session

    return get_session()
