"""Signatures as the public library of Standard Webhooks judges them."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fairslot.platform import signing, signing_secrets

CONTENT = '{"type":"appointment.created","data":{"name":"Zo\\u00eb"}}'


def signed(*by: str, late: timedelta = timedelta(0), content: str = CONTENT) -> dict[str, str]:
    """Sign a body now, or as long ago as that."""
    at = datetime.now(UTC) - late
    return dict(
        signing.headers(by, message_id="msg_1", timestamp=int(at.timestamp()), content=content.encode())
    )


def verify(secret: str, headers: Mapping[str, str], content: str = CONTENT) -> None:
    """Let the library judge."""
    assert Webhook(secret).verify(content, dict(headers)) == json.loads(content)


def test_the_example_of_the_specifications_library() -> None:
    """The value that the reference libraries are tested with."""
    headers = signing.headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        content=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64), st.dictionaries(st.text(), st.text() | st.integers()))
def test_any_secret_and_body_verify(key: bytes, body: dict[str, str | int]) -> None:
    """Whatever is in the body."""
    secret = "whsec_" + base64.b64encode(key).decode()
    content = json.dumps(body)
    verify(secret, signed(secret, content=content), content)


def test_both_secrets_verify_while_one_replaces_the_other() -> None:
    """Two signatures, and a receiver needs to know one of the secrets."""
    new, old, other = signing_secrets.make(), signing_secrets.make(), signing_secrets.make()
    headers = signed(new, old)
    assert [one[:3] for one in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    verify(new, headers)
    verify(old, headers)
    with pytest.raises(WebhookVerificationError):
        verify(other, headers)


@pytest.mark.parametrize("change", ["webhook-id", "content", "webhook-timestamp", "late"])
def test_what_was_changed_on_the_way_does_not_verify(change: str) -> None:
    """Neither the body nor the id nor the timestamp, and nothing that comes late."""
    secret = signing_secrets.make()
    headers = signed(secret, late=timedelta(minutes=6 if change == "late" else 0))
    if change in headers:
        headers[change] = f"{headers[change]}1" if change == "webhook-id" else str(int(headers[change]) + 1)
    with pytest.raises(WebhookVerificationError):
        verify(secret, headers, "{}" if change == "content" else CONTENT)


@pytest.mark.parametrize("secret", ["whsec_ü", "whsec_a", "whsec_****"])
def test_what_is_no_secret_is_told_without_quoting_it(secret: str) -> None:
    """The error has no more than its name."""
    with pytest.raises(signing.SecretError) as raised:
        signed(secret)
    assert secret not in str(raised.value)
