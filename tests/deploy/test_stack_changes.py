"""Another release while customers book, one that is broken, and the end: the last test deletes the stack."""

import json

import pytest

from tests.deploy.customers import customers
from tests.deploy.inventory import inventory
from tests.deploy.releases import add_migration, migration
from tests.deploy.world import CALENDAR, World, wait_for
from tests.support.deployment import STACK, own_processes
from tests.support.http import booking_body, request
from tools.deploy.after import upload_contract
from tools.deploy.destroy import destroy
from tools.deploy.plan import read

pytestmark = pytest.mark.timeout(900)

ALIASED = ("AvailabilityFunction", "BookingFunction", "AdminFunction")


def live(world: World) -> dict[str, str]:
    """Return the version of each HTTP function that answers."""
    get = world.deployment.account.client("lambda").get_alias
    return {
        name: get(FunctionName=world.deployment.id_of(name), Name="live")["FunctionVersion"]
        for name in ALIASED
    }


def booked_by(world: World, version: str) -> int:
    """Have one version of the booking function book, and return the status of its answer."""
    secret = world.deployment.account.client("secretsmanager").get_secret_value(
        SecretId=world.deployment.id_of("OriginSecret")
    )
    event = request(
        "POST",
        "/api/appointments",
        booking_body(world.free()[0], calendar_id=CALENDAR),
        key=world.deployment.key,
        headers={"X-Origin-Secret": secret["SecretString"]},
    )
    answer = json.loads(world.deployment.invoke("BookingFunction", json.dumps(event).encode(), version))
    status: int = answer["statusCode"]
    return status


def test_bookings_go_on_during_an_update(world: World) -> None:
    """No booking fails, and afterwards old code and new code book side by side on the new schema."""
    before = live(world)
    add_migration(
        world.deployment.built, "next_release", "ALTER TABLE calendars ADD COLUMN next_release text;"
    )
    with customers(world) as bookings:
        wait_for(lambda: bookings.made, "a booking is made")
        made = bookings.made
        world.deployment.deploy()
        assert bookings.made > made
        made = bookings.made
        wait_for(lambda: bookings.made > made, "a booking is made by the new code")
    assert bookings.failed == []
    assert world.deployment.stack["StackStatus"] == "UPDATE_COMPLETE"
    assert world.database.execute("SELECT next_release FROM calendars").fetchall()
    after = live(world)
    assert all(int(version) > int(before[name]) for name, version in after.items())
    assert [booked_by(world, one["BookingFunction"]) for one in (before, after)] == [201, 201]


def test_a_broken_migration_is_rolled_back(world: World) -> None:
    """The deployment fails with the reason, no function is changed, and no booking fails."""
    before = live(world)
    with migration(world.deployment.built, "broken", "SELECT 1 / 0;"), customers(world) as bookings:
        wait_for(lambda: bookings.made, "a booking is made")
        done = world.deployment.try_deploy()
        made = bookings.made
        wait_for(lambda: bookings.made > made, "a booking is made after it")
    assert done.returncode != 0
    assert world.deployment.stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert [
        one
        for one in world.deployment.failures()
        if one.startswith("Migrations: ") and "division by zero" in one
    ]
    assert bookings.failed == []
    assert live(world) == before


def test_what_was_deployed_is_deleted(world: World, empty: set[tuple[str, str]]) -> None:
    """As `make destroy` does it: what has to outlive the stack stays, subscribers' key and a snapshot."""
    deployment, account = world.deployment, world.deployment.account
    key, database = deployment.id_of("WebhookKey"), deployment.id_of("Database")
    upload_contract(account.client, deployment.outputs["PagesBucketName"])
    destroy(read("dev", region=None, email=None), account.client, said=STACK)
    kept = inventory(account) - empty
    assert {kind for kind, _ in kept} == {"kms Keys", "rds DBSnapshots"}
    assert {name for kind, name in kept if kind == "kms Keys"} == {key}
    assert all(name.startswith(database) for kind, name in kept if kind == "rds DBSnapshots")
    wait_for(lambda: own_processes(account.folder) == [account.pid], "the functions' processes are gone")
    assert list((account.folder / "tmp").glob("ministack-lambda-*")) == []
