"""Links by which coaches connect a calendar themselves: made here, and used once. docs/decisions/0149."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from fairslot.domain.errors import NotFoundError, UnavailableError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.messages.connections import Credentials
from fairslot.messages.revocations import RevokeRequest
from fairslot.messages.watches import WatchRequest
from fairslot.platform import audit, connect_links, idempotent
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries

NOT_READY = "Calendars cannot be connected: the operator has to set PUBLIC_URL and CONNECT_SECRETS."
_SQL = queries("connections")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A calendar to connect: of a source that is there, or of a new one (`source_id` None)."""

    kind: str
    calendar_ref: str | None
    reads: bool
    writes: bool
    source_id: UUID | None = None


def make(
    connection: Connection, *, tenant_id: str, coach_id: str, asked: Asked, key: Key, now: datetime
) -> tuple[ChangeResult, str]:
    """Make a connection; return it as the API shows it, without its link, and the link's token.

    Raises:
        NotFoundError: the tenant has no such coach, or the coach no such source of that kind.
        UnavailableError: the deployment is not set up for it.

    """
    if not connect_links.is_ready():
        raise UnavailableError(NOT_READY)
    connection_id, expires_at = uuid4(), now + connect_links.VALID_FOR
    token = connect_links.new_token(connection_id, expires_at)
    values = {
        "connection": connection_id,
        "tenant": tenant_id,
        "coach": coach_id,
        "source": asked.source_id or uuid4(),
        "is_new": asked.source_id is None,
        "kind": asked.kind,
        "calendar_ref": asked.calendar_ref,
        "reads": asked.reads,
        "writes": asked.writes,
        "digest": connect_links.digest_of(token),
        "expires_at": expires_at,
        "now": now,
    }

    def work() -> Effect:
        row = connection.execute(_SQL["make"], values).fetchone()
        made = row["connection"] if row else None
        if made is None:
            raise NotFoundError("There is no such coach, or no such source of that kind.")
        entry = Entry(resource="connection", resource_id=str(connection_id), action="created", after=made)
        return Effect(answer=made, entries=[entry])

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work), token


def grant_of(
    connection: Connection, *, tenant_id: str, coach_id: str, source_id: UUID
) -> RevokeRequest | None:
    """Return the request that ends a source's grant when the source is deleted, None where none is needed.

    It is not ended while another source has the same account: a provider ends all of an account's at once.
    """
    values = {"tenant": tenant_id, "coach": coach_id, "source": source_id}
    row = connection.execute(_SQL["grant"], values).fetchone()
    if row is None or row["kind"] not in {"google", "microsoft"}:
        return None
    channel = None
    if row["channel_id"] is not None:
        channel = WatchRequest(
            action="stop",
            source_id=source_id,
            generation=row["counts_from"],
            calendar_kind=row["kind"],
            calendar_ref=row["calendar_ref"],
            credentials=row["credentials"],
            channel_id=row["channel_id"],
            resource_id=row["resource_id"],
            expires_at=row["expires_at"],
        )
    return RevokeRequest(
        provider=row["kind"], source_id=source_id, credentials=row["credentials"], channel=channel
    )


def look(connection: Connection, token: str, *, now: datetime) -> dict[str, Any]:
    """Return what a link is about, and whether it can be used: see LinkAnswer."""
    values = _named(token, now)
    return _link(connection, "state", values) if values else {"state": "gone"}


def use(
    connection: Connection, token: str, credentials: Credentials, *, request_id: str, now: datetime
) -> dict[str, Any]:
    """Give a link's source its credentials; return what the link was: if `open`, it is used from now on.

    The audit says that it was, by the link, and never with what.
    """
    named = _named(token, now)
    if named is None:
        return {"state": "gone"}
    values = {
        **named,
        "credentials": credentials.ciphertext,
        "account": credentials.account,
        "url": credentials.url,
        "calendar_ref": credentials.calendar_ref,
    }
    actor = {"kind": "link", "id": str(named["id"])}
    # A form has an address; a provider sends the coach back.
    method, route = ("GET", "/connect/callback") if credentials.url is None else ("POST", "/connect/{token}")
    origin = {"actor": actor, "request_id": request_id, "method": method, "route": route}
    by_link = Key(value=None, fingerprint=b"", origin=origin)
    with connection.transaction():
        audit.act_for(connection, by_link)
        link = _link(connection, "use", values)
        if link["state"] == "open":
            after = {name: link[name] for name in ("coach_id", "kind", "reads", "writes")}
            named_as = f"{link['coach_id']}/{link['source_id']}"
            entry = Entry(resource="source", resource_id=named_as, action="connected", after=after)
            audit.write(connection, tenant_id=link["tenant_id"], entries=[entry], now=now)
    return link


def _named(token: str, now: datetime) -> dict[str, Any] | None:
    """Return by what a link is found; None for a token that was not made here."""
    said = connect_links.read(token)
    if said is None:
        return None
    digest = connect_links.digest_of(token) if said.what == "connection" else None
    return {"id": said.id, "digest": digest, "generation": said.generation, "now": now}


def _link(connection: Connection, statement: str, values: dict[str, Any]) -> dict[str, Any]:
    row = connection.execute(_SQL[statement], values).fetchone()
    link: dict[str, Any] = row["link"] if row else {"state": "gone"}
    return link
