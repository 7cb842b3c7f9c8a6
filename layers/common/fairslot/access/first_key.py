"""The first key of a deployment, and the partners that it comes with.

`python -m fairslot.access.first_key` makes it in the database of DATABASE_URL and prints it, once.
"""

import sys
from datetime import datetime

import psycopg

from fairslot.access import key_form, key_management
from fairslot.access.keys import DEFAULT_TENANT, hash_key
from fairslot.domain.errors import UnavailableError
from fairslot.platform import audit, clock, db
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_KEYS, _ADMIN = queries("api_keys"), queries("admin")
_RATE_LIMIT = 1000
_PARTNERS = ("crm", "calendar_api")


def make(
    connection: Connection, *, tenant_id: str = DEFAULT_TENANT, now: datetime | None = None
) -> str | None:
    """Make a key for everything unless there is a valid one, and the partners with the first; return the key.

    A key that is revoked or expired does not count, so this is also the way back in. The audit says that it
    was made, by no request.
    """
    at = now or clock.now()
    with connection.transaction():
        connection.execute(_KEYS["lock_tenant"], {"tenant": tenant_id})
        row = connection.execute(_KEYS["has_admin"], {"tenant": tenant_id, "now": at}).fetchone()
        if row and row["has_admin"]:
            return None
        is_first = not _count(connection)
        key = key_form.make()
        values = {
            "tenant": tenant_id,
            "hash": hash_key(key),
            "start": key_form.start_of(key),
            "label": "first",
            "scopes": ["read", "write", "admin"],
            "calendars": None,
            "rate_limit": _RATE_LIMIT,
            "expires_at": None,
            "now": at,
        }
        row = connection.execute(_KEYS["create"], values).fetchone()
        if row:
            entries = [key_management.entry(connection, tenant_id, row["key_id"], at, "created", None)]
            audit.write(connection, tenant_id=tenant_id, entries=entries, now=at)
        if is_first:
            add_partners(connection, tenant_id)
    return key


def add_partners(connection: Connection, tenant_id: str) -> None:
    """Have the CRM and the calendar API get every event of appointments."""
    for kind in _PARTNERS:
        values = {"tenant": tenant_id, "kind": kind, "types": ["appointment.*"]}
        connection.execute(_ADMIN["add_endpoint"], values)


def _count(connection: Connection) -> int:
    row = connection.execute(_ADMIN["count_keys"]).fetchone()
    return row["n"] if row else 0


def main() -> int:
    """Make the first key and print it; 1 where there is an admin key already, 2 where none can be made."""
    if not settings().database_url:
        sys.stderr.write("there is no database; set DATABASE_URL\n")
        return 2
    try:
        key = db.run(make)
    except UnavailableError:
        sys.stderr.write("the database of DATABASE_URL does not answer\n")
        return 2
    except psycopg.errors.UndefinedTable:
        sys.stderr.write("the database has no tables; run `make migrate` first\n")
        return 2
    finally:
        db.close()
    if key is None:
        sys.stderr.write("there is an admin key already; make others with it: fairslot keys create\n")
        return 1
    sys.stdout.write(f"{key}\n")
    sys.stderr.write("this admin key is not shown again\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
