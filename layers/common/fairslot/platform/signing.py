"""Sign requests as Standard Webhooks 1.0 specifies.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"


class SecretError(ValueError):
    """The secret is not `whsec_` and base64."""

    def __init__(self) -> None:
        """Do not quote the secret."""
        super().__init__(type(self).__doc__)


def headers(secrets: Sequence[str], *, message_id: str, timestamp: int, content: bytes) -> Mapping[str, str]:
    """Return the three headers of a request; `timestamp` is the attempt's, in Unix seconds.

    With several secrets there is a signature by each: the receiver may know only one. Raises SecretError.
    """
    signed = f"{message_id}.{timestamp}.".encode() + content
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise SecretError from None
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
