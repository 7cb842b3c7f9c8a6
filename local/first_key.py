"""The first key of a database without demo data, and the partners that the deployment comes with."""

import secrets

from fairslot.access.keys import DEFAULT_TENANT, hash_key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("admin")
_RATE_LIMIT = 1000
_PARTNERS = ("crm", "calendar_api")


def make(connection: Connection, *, tenant_id: str = DEFAULT_TENANT) -> str | None:
    """Make a key for everything and add the partners, unless there are keys; return the key."""
    with connection.transaction():
        row = connection.execute(_SQL["count_keys"]).fetchone()
        if row and row["n"]:
            return None
        key = f"fairslot_{secrets.token_urlsafe(24)}"
        values = {
            "tenant": tenant_id,
            "hash": hash_key(key),
            "label": "first",
            "scopes": ["read", "write", "admin"],
            "rate_limit": _RATE_LIMIT,
        }
        connection.execute(_SQL["add_key"], values)
        add_partners(connection, tenant_id)
    return key


def add_partners(connection: Connection, tenant_id: str) -> None:
    """Have the CRM and the calendar API get every event of appointments."""
    for kind in _PARTNERS:
        values = {"tenant": tenant_id, "kind": kind, "types": ["appointment.*"]}
        connection.execute(_SQL["add_endpoint"], values)
