"""What a subscriber's answer, or its silence, means for the delivery."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.dispatch import subscribers
from fairslot.dispatch.backoff import LONGEST_SECONDS
from fairslot.dispatch.result import Result
from fairslot.messages.contract import MessageError
from fairslot.platform.http_client import ANSWER_BYTES
from fairslot.platform.settings import settings
from tests.support.mock_partner import Partner, delivery

pytestmark = pytest.mark.usefixtures("addresses")


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


@pytest.mark.parametrize("kind", ["fax", ""])
def test_a_kind_that_is_not_known_fails_for_good(kind: str) -> None:
    """No attempt of this code can succeed."""
    assert Partner().receive(delivery(kind)) == Result(error="unknown_kind", final=True)


@pytest.mark.parametrize(
    "status", [301, 302, 307, 308, 400, 401, 404, 408, 409, 410, 422, 425, 429, 500, 503]
)
def test_every_other_status_is_worth_another_attempt(status: int) -> None:
    """A receiver that is misconfigured today may be right tomorrow; a redirect is not followed.

    410 too: a partner is everybody's, and one page that is gone is not the partner.
    """
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
