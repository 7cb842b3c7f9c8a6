"""From an empty account to a booking that the CRM was told of, by `sam deploy` of the template."""

import json
import re

import pytest

from tests.deploy.world import World, wait_for
from tests.support.cloudformation import functions

pytestmark = pytest.mark.timeout(900)


def test_a_booking_comes_to_the_crm(world: World) -> None:
    """Migrated, with a key, booked through CloudFront; each function has a role of its own."""
    assert world.ask("GET", "/health")["status"] == "ok"
    booked = world.book()
    wait_for(lambda: world.crm_paths(booked) == ["/webhooks/appointment-created"], "the CRM is told")


def test_a_customers_calendar_is_read_and_blocked(world: World) -> None:
    """The first page waits for the partner's calendar, and the booking is blocked there, by four queues."""
    coach = world.external_coach()
    booked = world.book(coach)
    blocks = wait_for(lambda: world.blocks(coach), "the partner's calendar has the block")
    assert len(blocks) == 1
    assert booked


def test_a_signed_webhook_comes_to_a_subscriber(world: World) -> None:
    """The secret that the admin function encrypted is opened by the dispatcher alone."""
    endpoint = world.subscribe("ok")
    name = world.name_of(endpoint)
    world.book()
    wait_for(lambda: world.others.taken(name), "the subscriber verified the event")
    world.unsubscribe(endpoint)


def test_nothing_comes_in_past_cloudfront(world: World) -> None:
    """The gateway's own address is refused, as the secret header is missing."""
    with world.deployment.direct() as past:
        assert past.get("/api/coaches").status_code == 403


def test_functions_connect_by_iam_alone(world: World) -> None:
    """No password is in their variables, and none is connected as the owner."""
    variables = [world.deployment.variables(name) for name in functions()]
    assert {one["DATABASE_AUTH"] for one in variables if "DATABASE_URL" in one} == {"iam"}
    assert not [one for one in variables if re.search(r"://[^/]*:[^/]*@", one.get("DATABASE_URL", ""))]
    connected = world.database.execute(
        "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'fairslot' AND pid <> pg_backend_pid()"
    ).fetchall()
    assert {one["usename"] for one in connected} == {"fairslot_app"}


def test_the_first_key_is_given_once(world: World) -> None:
    """Whoever invokes the function again gets a message."""
    assert "key" not in json.loads(world.deployment.invoke("FirstKeyFunction"))


def test_nothing_was_denied(world: World) -> None:
    """No function asked for what its role does not allow."""
    assert list(world.deployment.account.denials()) == []
