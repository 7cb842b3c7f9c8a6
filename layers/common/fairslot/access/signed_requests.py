"""Requests that a tenant's partners sign (Standard Webhooks 1.0), and the tenant's source with its secrets.

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
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries

TOLERANCE_SECONDS = 300
LONGEST_ID = 255

_SQL = queries("signed_requests")


def authenticate(source_id: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Client:
    """Return whose request this is; it may write.

    A signature by any valid secret will do: the newest, or an earlier one until its overlap ends.

    Raises:
        AuthenticationError: an unknown source, an invalid signature, or a timestamp out of tolerance.
        UnavailableError: the secrets cannot be decrypted now.

    """
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    is_time = stamp.isascii() and stamp.isdecimal() and len(stamp) <= len(str(2**40))
    if not is_time or abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        raise AuthenticationError(
            "webhook-timestamp is more than five minutes off; send the Unix seconds of now."
        )
    if not 0 < len(message_id) <= LONGEST_ID:
        raise AuthenticationError(f"Send a webhook-id of 1 to {LONGEST_ID} characters.")
    try:
        source = UUID(source_id)
    except ValueError as error:
        raise AuthenticationError("Name the source of the signature: ?source= and its id.") from error
    values = {"source": source, "now": now}
    row = db.run(lambda connection: connection.execute(_SQL["find"], values).fetchone())
    if row is None:
        raise AuthenticationError
    context = signing_secrets.for_source(source)
    secrets = [signing_secrets.decrypt(one, context) for one in row["secrets"]]
    if not _is_signed(secrets, headers.get("webhook-signature", ""), message_id, int(stamp), body):
        raise AuthenticationError(
            "Invalid signature; sign the id, the timestamp and the body as sent with a valid secret."
        )
    return Client(
        tenant_id=row["tenant_id"],
        key_id=f"source:{source}",
        scopes=frozenset({"write"}),
        rate_limit=row["rate_limit"],
        message_id=message_id,
    )


def source_of(connection: Connection, *, tenant_id: str) -> dict[str, Any]:
    """Return the tenant's source, without its secrets; NotFoundError when it has none."""
    row = connection.execute(_SQL["get"], {"tenant": tenant_id}).fetchone()
    if row is None:
        raise NotFoundError("This tenant has no secret for calendar events; make one with POST.")
    source: dict[str, Any] = row["source"]
    return source


def source_id_of(connection: Connection, *, tenant_id: str) -> UUID | None:
    """Return the id of the tenant's source, which every rotation keeps; None when it has none."""
    row = connection.execute(_SQL["get"], {"tenant": tenant_id}).fetchone()
    return None if row is None else UUID(row["source"]["source_id"])


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
    """Make the tenant's source, or give it a new secret; the current one stays valid for `overlap`.

    Earlier ones stay valid until the end of their own overlap; without an overlap only the new one is valid.

    Raises:
        ConflictError: too many secrets are valid, or another request has just made the source.

    """
    values = {
        "tenant": tenant_id,
        "source": source_id,
        "secret": ciphertext,
        "until": now + overlap,
        "most_earlier": signing_secrets.MOST_EARLIER,
        "now": now,
    }

    def work() -> Effect:
        known = connection.execute(_SQL["get"], values).fetchone()
        row = connection.execute(_SQL["rotate"], values).fetchone()
        if row is None:
            if source_of(connection, tenant_id=tenant_id)["source_id"] == str(source_id):
                raise ConflictError(signing_secrets.TOO_MANY)
            # Two requests made the source at once, and this secret is encrypted for the id that lost.
            raise ConflictError("Another request has just made the secret; try again.")
        before, action = (known["source"], "rotated") if known else (None, "created")
        return Effect(answer=row["source"], entries=[_entry(action, source_id, before, row["source"])])

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def delete(connection: Connection, *, tenant_id: str, key: Key, now: datetime) -> ChangeResult:
    """Delete the tenant's source with its secrets; NotFoundError when it has none."""

    def work() -> Effect:
        before = source_of(connection, tenant_id=tenant_id)
        connection.execute(_SQL["delete"], {"tenant": tenant_id})
        return Effect(answer={}, entries=[_entry("deleted", before["source_id"], before, None)])

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def _entry(
    action: str, source_id: UUID | str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> Entry:
    return Entry(resource="source", resource_id=str(source_id), action=action, before=before, after=after)


def _is_signed(secrets: Sequence[str], given: str, message_id: str, stamp: int, body: bytes) -> bool:
    from fairslot.platform import signing

    expected = [
        signing.headers([one], message_id=message_id, timestamp=stamp, content=body)["webhook-signature"]
        for one in secrets
    ]
    return any(
        hmac.compare_digest(one.encode(), own.encode()) for one in given.split(" ") for own in expected
    )
