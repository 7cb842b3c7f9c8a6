"""Signing secrets: generated here, shown once, and stored only as ciphertext of the deployment's KMS key.

A ciphertext is KMS's, in base64. Its encryption context says what the secret is for: KMS decrypts it for
nothing else, and a role can be limited to one kind of context.
"""

import base64
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from fairslot.domain.errors import UnavailableError
from fairslot.platform import aws, time_limit
from fairslot.platform.settings import settings
from fairslot.platform.signing import PREFIX

# Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES = 24
CACHE_SECONDS = 300.0
# Valid beside the newest; each costs every message a ciphertext and every attempt a signature.
MOST_EARLIER = 2
TOO_MANY = (
    f"{MOST_EARLIER + 1} secrets are valid at the moment. Wait for the first of `previous_secrets_until`, or"
    " rotate with `overlap_hours` 0, which leaves only the new one."
)
_MOST_CACHED = 1_000
_CONNECT_SECONDS = 1.0
_READ_SECONDS = 2.0
_ATTEMPTS = 2
# Both attempts time out, with the longest pause (1 s) that botocore makes between them.
_LONGEST_CALL_SECONDS = _ATTEMPTS * (_CONNECT_SECONDS + _READ_SECONDS) + 1.0

_cached: dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, str]] = {}


def make() -> str:
    """Return a new secret in the form of Standard Webhooks: `whsec_` and the base64 of 24 random bytes."""
    import secrets  # late, as botocore: most requests need neither

    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def for_endpoint(endpoint_id: UUID) -> dict[str, str]:
    """Return the encryption context of an endpoint's secrets, which the dispatcher decrypts."""
    return {"endpoint_id": str(endpoint_id)}


def for_source(source_id: UUID) -> dict[str, str]:
    """Return the encryption context of a source's secrets, which the booking function decrypts."""
    return {"purpose": "inbound", "source_id": str(source_id)}


def for_calendar(source_id: UUID) -> dict[str, str]:
    """Return the encryption context of an external calendar's credentials."""
    return {"purpose": "calendar", "source_id": str(source_id)}


def encrypt(secret: str, context: Mapping[str, str]) -> str:
    """Return the ciphertext of a secret.

    Raises:
        UnavailableError: there is no key, or KMS does not answer.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    if not settings().webhook_kms_key_id:
        raise UnavailableError("Secrets cannot be stored: WEBHOOK_KMS_KEY_ID is not set.")
    try:
        made = _kms().encrypt(
            KeyId=settings().webhook_kms_key_id, Plaintext=secret.encode(), EncryptionContext=context
        )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError from error
    return base64.b64encode(made["CiphertextBlob"]).decode()


def decrypt(ciphertext: str, context: Mapping[str, str]) -> str:
    """Return the secret of a ciphertext; it is cached for five minutes.

    Raises:
        UnavailableError: KMS does not answer or refuses.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    cache_key = ciphertext, frozenset(context.items())
    cached = _cached.get(cache_key)
    if cached is not None and time.monotonic() < cached[0]:
        return cached[1]
    try:
        opened = _kms().decrypt(
            KeyId=settings().webhook_kms_key_id,
            CiphertextBlob=base64.b64decode(ciphertext),
            EncryptionContext=context,
        )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError from error
    if len(_cached) >= _MOST_CACHED:
        _cached.clear()
    secret: str = opened["Plaintext"].decode()
    _cached[cache_key] = (time.monotonic() + CACHE_SECONDS, secret)
    return secret


def _kms() -> Any:
    """Return a client that answers or times out within the time limit."""
    left = time_limit.left()
    if left < _CONNECT_SECONDS + _READ_SECONDS:
        raise UnavailableError
    return _client(_ATTEMPTS if left >= _LONGEST_CALL_SECONDS else 1)


@cache
def _client(attempts: int) -> Any:
    return aws.client("kms", connect_seconds=_CONNECT_SECONDS, read_seconds=_READ_SECONDS, attempts=attempts)


def clear_cache() -> None:
    """Forget the secrets, and make the next call open a new client."""
    _cached.clear()
    _client.cache_clear()
