"""What each kind of subscriber is sent, event by event."""

from dataclasses import replace
from uuid import UUID

import pytest

from fairslot.dispatch.result import Result
from fairslot.messages.deliveries import Delivery
from tests.support.mock_partner import DATA, DELIVERY_ID, EVENT_ID, Partner, delivery

pytestmark = pytest.mark.usefixtures("addresses")


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        ("appointment.created", "created"),
        ("appointment.cancelled", "cancelled"),
        ("appointment.updated", "updated"),
        ("appointment.rescheduled", "updated"),
        ("appointment.no_show", "updated"),
        ("appointment.conflict", "updated"),
    ],
)
def test_the_crm_hears_of_each_event_at_its_path(type_: str, path: str) -> None:
    """Created and cancelled have a path each; every other appointment's event goes to updated."""
    partner = Partner(body={"success": True, "crm_id": "crm_1"})

    assert partner.receive(delivery("crm", type_)).error is None
    (request,) = partner.requests
    assert (request.method, str(request.url)) == (
        "POST",
        f"https://crm.example/base/webhooks/appointment-{path}",
    )
    assert request.headers["X-Idempotency-Key"] == str(EVENT_ID)
    assert request.headers["Content-Type"] == "application/json"


def test_a_new_appointment_is_told_with_its_contact() -> None:
    """The body is flat, with the contact's name and address, and without what is not known."""
    partner = Partner(body={"success": True})

    partner.receive(delivery("crm"))

    left_out = {"timezone", "contact_id", "block_id"}
    assert partner.sent == {name: value for name, value in DATA.items() if name not in left_out}


def test_a_change_is_told_without_the_contacts_data() -> None:
    """Once the CRM knows the contact, its own id is enough."""
    partner = Partner(body={"success": True})

    partner.receive(delivery("crm", "appointment.updated", contact_id="crm_7"))

    assert partner.sent["contact_id"] == "crm_7"
    assert partner.sent["version"] == 3
    assert not {"contact_name", "contact_email", "timezone", "block_id"} & set(partner.sent)


def test_a_new_appointment_blocks_the_calendar() -> None:
    """The block's id is kept: releasing needs it."""
    partner = Partner(body={"success": True, "block_id": "b-1"})

    result = partner.receive(delivery("calendar_api", action="block"))

    (request,) = partner.requests
    assert str(request.url) == "https://calendar.example/coaches/coach%2F1/block-slot"
    assert partner.sent == {"start_time": "2026-03-03T09:00:00Z", "end_time": "2026-03-03T09:30:00Z"}
    assert request.headers["X-Idempotency-Key"] == str(DELIVERY_ID)
    assert (result.error, result.answer) == (None, {"block_id": "b-1"})


def test_a_time_that_someone_else_blocked_is_final() -> None:
    """Another attempt would find it just as blocked."""
    result = Partner(409, {"error": "Slot already blocked"}).receive(delivery("calendar_api", action="block"))

    assert (result.error, result.final, result.status_code) == ("already_blocked", True, 409)


def test_a_cancelled_appointment_releases_its_block() -> None:
    """Only the block's id is told; a conflict there is no refusal."""
    partner = Partner(409, {"error": "busy"})

    result = partner.receive(
        delivery("calendar_api", "appointment.cancelled", action="release", block_id="b-1")
    )

    (request,) = partner.requests
    assert str(request.url) == "https://calendar.example/coaches/coach%2F1/release-slot"
    assert partner.sent == {"block_id": "b-1"}
    assert (result.error, result.final) == ("http_409", False)


def test_a_move_tells_the_calendar_two_things_under_two_keys() -> None:
    """One event releases the old time and blocks the new: a partner must not take one for a repetition."""
    partner = Partner(body={"success": True})

    for number, action in enumerate(("release", "block"), start=1):
        moved = delivery("calendar_api", "appointment.rescheduled", action=action, block_id="b-1")
        partner.receive(replace(moved, delivery_id=UUID(int=number)))

    assert [request.url.path.rpartition("/")[2] for request in partner.requests] == [
        "release-slot",
        "block-slot",
    ]
    assert len({request.headers["X-Idempotency-Key"] for request in partner.requests}) == 2


@pytest.mark.parametrize(
    "sent",
    [
        delivery("calendar_api", "appointment.updated"),
        delivery("calendar_api", "appointment.cancelled", action="release", block_id=None),
        delivery("calendar_api", "appointment.cancelled", action="paint"),
        delivery("calendar_api", "calendar.stale"),
        delivery("crm", "calendar.stale"),
        delivery("crm", "endpoint.disabled"),
    ],
)
def test_an_event_that_is_nothing_to_a_kind_is_delivered_at_once(sent: Delivery) -> None:
    """Nobody is called, and nothing is wrong."""
    partner = Partner(500)

    assert partner.receive(sent) == Result()
    assert partner.requests == []
