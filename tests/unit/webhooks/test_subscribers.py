"""The kinds of subscriber: what they are sent, and what their answers mean."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.settings import settings
from fairslot.webhooks import subscribers
from fairslot.webhooks.backoff import LONGEST_SECONDS
from fairslot.webhooks.exchange import ANSWER_BYTES
from fairslot.webhooks.messages import Delivery, MessageError
from fairslot.webhooks.subscribers import Result

EVENT_ID = UUID("0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22")
DATA: dict[str, Any] = {
    "appointment_id": "a-1",
    "calendar_id": "cal-1",
    "coach_id": "coach/1",
    "start_time": "2026-03-03T09:00:00Z",
    "end_time": "2026-03-03T09:30:00Z",
    "status": "scheduled",
    "version": 3,
    "contact_name": "Zoë",
    "contact_email": "zoe@example.com",
    "timezone": "Europe/Paris",
    "contact_id": None,
    "block_id": None,
}


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give both partners an address."""
    monkeypatch.setenv("CRM_WEBHOOK_URL", "https://crm.example/base/")
    monkeypatch.setenv("CALENDAR_API_URL", "https://calendar.example")
    settings.cache_clear()
    yield
    settings.cache_clear()


def delivery(kind: str, type_: str = "appointment.created", **data: Any) -> Delivery:
    """Make a delivery of one appointment's event."""
    return Delivery(
        delivery_id=UUID(int=1),
        event_id=EVENT_ID,
        kind=kind,
        type=type_,
        timestamp=datetime(2026, 3, 2, 14, tzinfo=UTC),
        version=1,
        data={**DATA, **data},
    )


class Partner:
    """A partner that gives one answer and remembers what it was sent."""

    def __init__(self, status: int = 200, body: object = b"", **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as httpx.MockTransport asks."""
        self.requests.append(request)
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(self.body))

    def receive(self, sent: Delivery) -> Result:
        """Make one attempt at a delivery to this partner."""
        return asyncio.run(subscribers.deliver(sent, seconds=5, transport=httpx.MockTransport(self)))

    @property
    def sent(self) -> Any:
        """What the one request's body says."""
        (request,) = self.requests
        return json.loads(request.content)


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
    partner = Partner(body={"success": True})

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


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"success": True, "crm_id": "crm_1"}, {"crm_id": "crm_1"}),
        ({"success": True, "crm_id": "crm_1", "contact_id": "con_1"}, {"crm_id": "crm_1"}),
        ({"success": True, "contact_id": "con_1"}, {"crm_id": "con_1"}),
        ({"success": True, "crm_id": 42}, {"crm_id": "42"}),
        ({"success": True, "message": "Already processed"}, {}),
        ({"success": True, "crm_id": None}, {}),
        ({"success": True, "crm_id": True}, {}),
        ({"success": True, "crm_id": ["x"]}, {}),
        ({"success": True, "crm_id": ""}, {}),
        ({"success": True, "crm_id": "x" * 256}, {}),
        ({"success": True, "crm_id": "a\x00b"}, {}),
        ({"success": True, "crm_id": "\ud800"}, {}),
        (["crm_1"], {}),
        (b"", {}),
        (b"OK", {}),
        (b"\xff\xfe", {}),
        (b"[" * 60_000, {}),
    ],
)
def test_the_crms_id_is_kept_where_it_can_be(body: object, answer: dict[str, str]) -> None:
    """Any 2xx delivers; an id is kept if it is one that can be stored."""
    result = Partner(200, body).receive(delivery("crm"))

    assert result.error is None
    assert result.answer == answer


def test_an_answer_that_is_cut_off_is_asked_for_again() -> None:
    """A 2xx that calls itself JSON and is not was written by something broken: it promises nothing."""
    result = Partner(200, b'{"success": tru', Content_Type="application/json").receive(delivery("crm"))

    assert (result.error, result.final, result.status_code) == ("invalid_body", False, 200)


def test_an_answer_too_large_to_read_still_delivers() -> None:
    """The status has said it; only a bounded part of the rest is looked at."""
    result = Partner(200, b"[" + b"1," * ANSWER_BYTES, Content_Type="application/json").receive(
        delivery("crm")
    )

    assert (result.error, result.answer) == (None, {})
    assert len(result.response_excerpt) == 500


def test_a_new_appointment_blocks_the_calendar() -> None:
    """The block's id is kept: releasing needs it."""
    partner = Partner(body={"success": True, "block_id": "b-1"})

    result = partner.receive(delivery("calendar_api"))

    (request,) = partner.requests
    assert str(request.url) == "https://calendar.example/coaches/coach%2F1/block-slot"
    assert partner.sent == {"start_time": "2026-03-03T09:00:00Z", "end_time": "2026-03-03T09:30:00Z"}
    assert request.headers["X-Idempotency-Key"] == str(EVENT_ID)
    assert (result.error, result.answer) == (None, {"block_id": "b-1"})


def test_a_time_that_someone_else_blocked_is_final() -> None:
    """Another attempt would find it just as blocked."""
    result = Partner(409, {"error": "Slot already blocked"}).receive(delivery("calendar_api"))

    assert (result.error, result.final, result.status_code) == ("already_blocked", True, 409)


def test_a_cancelled_appointment_releases_its_block() -> None:
    """Only the block's id is told; a conflict there is no refusal."""
    partner = Partner(409, {"error": "busy"})

    result = partner.receive(delivery("calendar_api", "appointment.cancelled", block_id="b-1"))

    (request,) = partner.requests
    assert str(request.url) == "https://calendar.example/coaches/coach%2F1/release-slot"
    assert partner.sent == {"block_id": "b-1"}
    assert (result.error, result.final) == ("http_409", False)


@pytest.mark.parametrize(
    "sent",
    [
        delivery("calendar_api", "appointment.updated"),
        delivery("calendar_api", "appointment.cancelled", block_id=None),
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


@pytest.mark.parametrize("kind", ["standard", "fax", ""])
def test_a_kind_that_is_not_known_fails_for_good(kind: str) -> None:
    """No attempt of this code can succeed."""
    assert Partner().receive(delivery(kind)) == Result(error="unknown_kind", final=True)


@pytest.mark.parametrize(
    "status", [301, 302, 307, 308, 400, 401, 404, 408, 409, 410, 422, 425, 429, 500, 503]
)
def test_every_other_status_is_worth_another_attempt(status: int) -> None:
    """A receiver that is misconfigured today may be right tomorrow; a redirect is not followed."""
    partner = Partner(status, {"error": "no"}, Location="https://elsewhere.example/")

    result = partner.receive(delivery("crm"))

    assert (result.error, result.final, result.status_code) == (f"http_{status}", False, status)
    assert result.response_excerpt == '{"error": "no"}'
    assert len(partner.requests) == 1


@pytest.mark.parametrize(
    ("header", "body", "wait"),
    [
        (None, {}, 0),
        ("7", {}, 7),
        (None, {"retry_after": 5}, 5),
        (None, {"retry_after": 2.5}, 2.5),
        ("7", {"retry_after": 5}, 7),
        ("3", {"retry_after": 5}, 5),
        (None, {"retry_after": True}, 0),
        (None, {"retry_after": -1}, 0),
        (None, {"retry_after": "5"}, 0),
        (None, b'{"retry_after": NaN}', 0),
        (None, b'{"retry_after": 1' + b"0" * 400 + b"}", LONGEST_SECONDS),
    ],
)
def test_a_wait_is_read_from_the_header_and_from_the_body(
    header: str | None, body: object, wait: float
) -> None:
    """The partners say it in the body, everybody else in Retry-After; the longer counts."""
    headers = {"Retry_After": header} if header else {}

    assert Partner(503, body, **headers).receive(delivery("crm")).retry_after == wait


def test_a_missing_address_is_worth_another_attempt() -> None:
    """Someone will put the setting right; the event waits for it."""
    settings.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CRM_WEBHOOK_URL")
        result = asyncio.run(subscribers.deliver(delivery("crm"), seconds=5))

    assert (result.error, result.final) == ("invalid_url", False)


def test_unusable_data_is_told_without_its_contents() -> None:
    """The error says nothing of the customer."""
    with pytest.raises(MessageError) as raised:
        Partner().receive(delivery("crm", start_time=None))

    assert "zoe" not in str(raised.value)


@given(st.binary(max_size=700))
def test_any_answer_gives_an_excerpt_that_can_be_kept(body: bytes) -> None:
    """A database takes it, a terminal is not steered by it, and it is short."""
    excerpt = Partner(500, body).receive(delivery("crm")).response_excerpt

    assert len(excerpt) <= 500
    assert all(char.isprintable() or char in "\n\r\t" for char in excerpt)
    excerpt.encode()
