"""Who signs its requests to us, after Standard Webhooks 1.0, and whether a signature is theirs.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.access.keys import Client
from fairslot.domain.errors import AuthenticationError, ConflictError, NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import db, idempotent, signing_secrets
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

TOLERANCE_SECONDS = 300
LONGEST_ID = 255

_SQL = queries("signed_requests")


def authenticate(source_id: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Client:
    """Return whose request this is; it may write, to the one path where signatures are taken.

    A signature by any secret will do that is good now: the newest, or one before it as long as was promised.

    Raises:
        AuthenticationError: no such source, a signature that is not its own, or one of another time.
        UnavailableError: the secrets cannot be opened now.

    """
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    is_time = stamp.isascii() and stamp.isdecimal() and len(stamp) <= len(str(2**40))
    if not is_time or abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        raise AuthenticationError("The signature's time is not now.")
    if not 0 < len(message_id) <= LONGEST_ID:
        raise AuthenticationError("A signed request has a webhook-id.")
    try:
        known_as = UUID(source_id)
    except ValueError as error:
        raise AuthenticationError("A signed request names its source.") from error
    values = {"source": known_as, "now": now}
    row = db.run(lambda connection: connection.execute(_SQL["find"], values).fetchone())
    if row is None:
        raise AuthenticationError
    context = signing_secrets.for_source(known_as)
    known = [signing_secrets.decrypt(one, context) for one in row["secrets"]]
    if not _is_signed(known, headers.get("webhook-signature", ""), message_id, int(stamp), body):
        raise AuthenticationError("The signature does not fit.")
    return Client(
        tenant_id=row["tenant_id"],
        key_id=f"source:{source_id}",
        scopes=frozenset({"write"}),
        rate_limit=row["rate_limit"],
        message_id=message_id,
    )


def source_of(connection: Connection, *, tenant_id: str) -> dict[str, Any]:
    """Return the tenant's source, without its secrets; NotFoundError when it has none."""
    row = connection.execute(_SQL["get"], {"tenant": tenant_id}).fetchone()
    if row is None:
        raise NotFoundError("There is no secret yet.")
    source: dict[str, Any] = row["source"]
    return source


def rotate(
    connection: Connection,
    *,
    tenant_id: str,
    source_id: UUID,
    ciphertext: str,
    overlap: timedelta,
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Make the tenant's source, or give it another secret; the one so far is good for `overlap` more.

    Those before it are good as long as was promised; without an overlap only the new one is.

    Raises:
        ConflictError: as many are good as may, or another request has just made the source.

    """
    values = {
        "tenant": tenant_id,
        "source": source_id,
        "secret": ciphertext,
        "until": now + overlap,
        "most_earlier": signing_secrets.MOST_EARLIER,
        "now": now,
    }

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        row = connection.execute(_SQL["rotate"], values).fetchone()
        if row is None:
            if source_of(connection, tenant_id=tenant_id)["source_id"] == str(source_id):
                raise ConflictError(signing_secrets.TOO_MANY)
            # Two made it at once, and the secret is locked up for the other's id.
            raise ConflictError("Another request made the secret just now; ask again.")
        return row["source"], []

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def delete(connection: Connection, *, tenant_id: str, key: Key, now: datetime) -> ChangeResult:
    """Take signatures no longer; NotFoundError when the tenant has no source."""

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if connection.execute(_SQL["delete"], {"tenant": tenant_id}).rowcount == 0:
            raise NotFoundError("There is no secret.")
        return {}, []

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def _is_signed(known: Sequence[str], given: str, message_id: str, stamp: int, body: bytes) -> bool:
    from fairslot.platform import signing

    made = [
        signing.headers([one], message_id=message_id, timestamp=stamp, content=body)["webhook-signature"]
        for one in known
    ]
    return any(hmac.compare_digest(one.encode(), own.encode()) for one in given.split(" ") for own in made)
