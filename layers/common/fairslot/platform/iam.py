"""Passwords that IAM takes instead of one that could be stolen: signed here, for a quarter of an hour.

A token is made for each connection, from the credentials that the function has at that moment; no service is
called for it. A connection outlives its token.
"""

from typing import TYPE_CHECKING

from fairslot.domain.errors import UnavailableError
from fairslot.platform.aws import session

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 900


def database_token(host: str, port: int, user: str) -> str:
    """Return the password of a database role for one connection.

    Amazon RDS User Guide, "Connecting to your DB instance using IAM authentication".
    """
    return _signed("rds-db", f"{host}:{port}", {"Action": "connect", "DBUser": user})


def cache_token(cache: str, user: str) -> str:
    """Return the password of a user of a serverless cache for one connection, which ends after twelve hours.

    Amazon ElastiCache User Guide, "Authenticating with IAM".
    """
    question = {"Action": "connect", "User": user, "ResourceType": "ServerlessCache"}
    return _signed("elasticache", cache, question)


def _signed(service: str, place: str, question: "Mapping[str, str]") -> str:
    """Return a presigned request (AWS Signature Version 4) without its scheme."""
    from botocore.auth import SigV4QueryAuth  # late: with the credentials, 150 ms of a cold start
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(method="GET", url=f"https://{place}/", params=dict(question))
    credentials = session().get_credentials()
    if credentials is None:
        raise UnavailableError("There are no credentials to sign with.")
    signer = SigV4QueryAuth(
        credentials.get_frozen_credentials(), service, session().get_config_variable("region"), _SECONDS
    )
    signer.add_auth(request)
    return str(request.url).removeprefix("https://")
