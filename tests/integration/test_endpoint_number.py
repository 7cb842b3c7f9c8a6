"""How many endpoints a tenant has, when several are made at the same moment."""

from functools import partial
from uuid import uuid4

import pytest

from fairslot.domain.errors import ConflictError
from fairslot.domain.idempotency import NO_KEY, ChangeResult
from fairslot.platform.db import Connection
from fairslot.webhooks import endpoints
from fairslot.webhooks.subscriptions import Subscription
from tests.support.fixtures import Connect, Environment
from tests.support.race import at_once
from tests.support.team import TENANT


def create(connection: Connection, url: str) -> ChangeResult | ConflictError:
    """Make a subscriber, or return why not."""
    wish = Subscription(url=url, event_types=["*"])
    try:
        return endpoints.create(
            connection, tenant_id=TENANT, endpoint_id=uuid4(), subscription=wish, ciphertext="x", key=NO_KEY
        )
    except ConflictError as error:
        return error


@pytest.mark.parametrize(("same", "made"), [(False, 3), (True, 1)])
def test_requests_at_once_do_not_pass_the_limit_together(
    connection: Connection, connect: Connect, environment: Environment, *, same: bool, made: int
) -> None:
    """Of eight at the same moment as many get one as there is room for, and the same address is had once."""
    environment(MAX_ENDPOINTS_PER_TENANT="3")
    sessions = [connect() for _ in range(8)]
    found = at_once(
        [
            partial(create, one, f"https://x.example/{0 if same else number}")
            for number, one in enumerate(sessions)
        ]
    )
    assert sum(isinstance(one, ChangeResult) for one in found) == made
    assert connection.execute("SELECT FROM webhook_endpoints").rowcount == made
