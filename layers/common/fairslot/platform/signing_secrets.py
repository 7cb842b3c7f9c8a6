"""Signing secrets: made here, shown once, and kept only as ciphertext of the deployment's KMS key.

A ciphertext is base64 text of what KMS returned. Its encryption context says what the secret is for: KMS
opens it for nothing else, and a role can be held to one kind of context.
"""

import base64
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from fairslot.domain.errors import UnavailableError
from fairslot.platform import time_limit
from fairslot.platform.settings import settings

PREFIX = "whsec_"
# Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES = 24
REMEMBER_SECONDS = 300.0
# Beside the newest; each costs every message a ciphertext and every attempt a signature.
MOST_EARLIER = 2
TOO_MANY = (
    f"{MOST_EARLIER + 1} secrets are good at the moment, each until the time that was promised. Wait for the"
    " first of `previous_secrets_until`, or rotate with `overlap_hours` 0, which leaves only the new one."
)
_REMEMBER_AT_MOST = 1_000
_CONNECT_SECONDS = 1.0
_READ_SECONDS = 2.0
_ATTEMPTS = 2
# Both attempts time out, with the longest pause of botocore's standard mode between them.
_LONGEST_CALL_SECONDS = _ATTEMPTS * (_CONNECT_SECONDS + _READ_SECONDS) + 1.0

_known: dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, str]] = {}


def make() -> str:
    """Return a new secret as Standard Webhooks writes it: `whsec_` and the base64 of 24 random bytes."""
    import secrets  # late, as boto3: most requests make none

    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def for_endpoint(endpoint_id: UUID) -> dict[str, str]:
    """Return the encryption context of an endpoint's secrets, which the dispatcher opens."""
    return {"endpoint_id": str(endpoint_id)}


def for_source(source_id: UUID) -> dict[str, str]:
    """Return the encryption context of a source's secrets, which the booking function opens."""
    return {"purpose": "inbound", "source_id": str(source_id)}


def encrypt(secret: str, context: Mapping[str, str]) -> str:
    """Return the ciphertext of a secret.

    Raises:
        UnavailableError: there is no key, or KMS does not answer.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    if not settings().webhook_kms_key_id:
        raise UnavailableError("Secrets cannot be kept here: no key is set.")
    try:
        made = _kms().encrypt(
            KeyId=settings().webhook_kms_key_id, Plaintext=secret.encode(), EncryptionContext=context
        )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError from error
    return base64.b64encode(made["CiphertextBlob"]).decode()


def decrypt(ciphertext: str, context: Mapping[str, str]) -> str:
    """Return the secret of a ciphertext; what was opened is remembered for five minutes.

    Raises:
        UnavailableError: KMS does not answer or does not open it.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    name = ciphertext, frozenset(context.items())
    known = _known.get(name)
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    try:
        opened = _kms().decrypt(
            KeyId=settings().webhook_kms_key_id,
            CiphertextBlob=base64.b64decode(ciphertext),
            EncryptionContext=context,
        )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError from error
    if len(_known) >= _REMEMBER_AT_MOST:
        _known.clear()
    secret: str = opened["Plaintext"].decode()
    _known[name] = (time.monotonic() + REMEMBER_SECONDS, secret)
    return secret


def _kms() -> Any:
    """Return a client that has answered, or given up, before the time of the work at hand is up."""
    left = time_limit.left()
    if left < _CONNECT_SECONDS + _READ_SECONDS:
        raise UnavailableError
    return _client(_ATTEMPTS if left >= _LONGEST_CALL_SECONDS else 1)


@cache
def _client(attempts: int) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "kms",
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


def clear_cache() -> None:
    """Forget what was opened, and make the next call open a new client."""
    _known.clear()
    _client.cache_clear()
