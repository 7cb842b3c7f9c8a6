"""Each right of each function's role is needed: without it what it is for does not happen.

What the tests look at is the call that was denied, and not what is missing after it: the schedules heal that
within a minute, and would hide it.
"""

import pytest

from tests.deploy.acts import ACTS, SEND, UNUSED
from tests.deploy.roles import Right, Roles
from tests.deploy.world import World, is_soon, wait_for
from tests.support.cloudformation import functions, queue_of, sources

pytestmark = pytest.mark.timeout(900)

# The stand-in reads the queues itself: these rights are the pollers' (tests/unit/test_template.py).
POLLED = {
    Right(function, action, queue_of(source["Queue"]))
    for function, source in sources("SQS")
    for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
}


def test_every_right_is_taken_away_below(roles: Roles) -> None:
    """Whatever the roles allow is in the table of acts, and what is in the table they allow."""
    found = {right for function in functions() for right in roles.rights(function)}
    assert found - POLLED - UNUSED == ACTS.keys()


def tried(right: Right, world: World, roles: Roles, *, since: int) -> bool:
    """Have a right used, and return whether that was denied within some seconds."""
    ACTS[right](world)
    return is_soon(lambda: roles.was_denied(right, since=since))


@pytest.mark.parametrize("right", ACTS, ids=str)
def test_a_right_is_missed(right: Right, world: World, roles: Roles) -> None:
    """Without it the function is denied what it does when that happens, and nothing else is denied."""
    account = world.deployment.account
    before = len(list(account.denials()))
    with roles.without(right):
        # A cache that was down a second ago is not asked: then the act has to happen once more.
        wait_for(lambda: tried(right, world, roles, since=before), f"{right} is denied")
    denied = list(account.denials())[before:]
    assert {roles.named(one) for one in denied} == {right}


@pytest.mark.parametrize("function", functions())
def test_a_role_has_the_boundary(function: str, roles: Roles, boundary: str) -> None:
    """That of the stage, within which is all that the role's own policies allow."""
    assert roles.boundary(function) == boundary
    assert roles.beyond_its_boundary(function) == []


def test_a_right_beyond_the_boundary_is_none(world: World, roles: Roles) -> None:
    """What the role's own policies allow is denied when its boundary does not."""
    account, right = world.deployment.account, Right("BookingFunction", SEND, "DeliveriesQueue")
    before = len(list(account.denials()))
    with roles.bounded(right.function, without=right.action):
        wait_for(lambda: tried(right, world, roles, since=before), f"{right} is denied")
    assert {roles.named(one) for one in list(account.denials())[before:]} == {right}
