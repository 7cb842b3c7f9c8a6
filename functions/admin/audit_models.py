"""Answers about the audit and about forgetting."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fairslot.http.models import Model


class Actor(Model):
    """Who made a request: an API key by its id, a token by its subject and issuer, or a signing source.

    A link is a coach's who connected a calendar, by the id of the connection or of the source.
    """

    kind: Literal["key", "token", "source", "link"]
    id: str
    issuer: str | None = None


class AuditEntry(Model):
    """What was changed, by whom, when, and by which request; without secrets and customers.

    `actor`, `request_id`, `method` and `route` are null where the deployment itself made the change.
    """

    entry_id: UUID
    at: datetime
    actor: Actor | None
    request_id: str | None
    method: str | None
    route: str | None
    resource: str
    resource_id: str | None
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(Model):
    """A page of the audit, the newest entry first."""

    data: list[AuditEntry]
    next_cursor: str | None


class Forgotten(Model):
    """How many appointments were forgotten, and how many were cancelled before."""

    appointments: int
    cancelled: int
