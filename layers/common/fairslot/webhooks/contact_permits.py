"""Permission to name a customer in a request that is about to be sent: docs/decisions/0097."""

from datetime import timedelta
from uuid import UUID

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

# For so long after it was asked for may the request begin. Forgetting waits for it.
PERMITTED_SECONDS = 3.0

_SQL = queries("contacts")


def permit(connection: Connection, *, delivery_id: UUID) -> float:
    """Return for how many seconds a request of a delivery may begin that names the customer.

    It is 0 once the customer is forgotten, and for a delivery that there is not.
    """
    values = {"delivery": delivery_id, "for": timedelta(seconds=PERMITTED_SECONDS)}
    row = connection.execute(_SQL["permit"], values).fetchone()
    return PERMITTED_SECONDS if row and row["permitted"] else 0.0
