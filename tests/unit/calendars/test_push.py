"""Notifications: what they ask for, and that forged and malformed ones do nothing."""

import hmac
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars import push
from fairslot.calendars.push import Notice, PushError, google_notices, microsoft_notices, validation_answer
from fairslot.calendars.push_secret import Channel, PushSecrets

SECRETS = PushSecrets(["current " * 4])
MICROSOFT = Channel(provider="microsoft", source_id=UUID(int=1), generation=1)
OTHER = Channel(provider="microsoft", source_id=UUID(int=2), generation=3)
GOOGLE = Channel(provider="google", source_id=UUID(int=1), generation=1)
FORGED = PushSecrets(["forged " * 5]).make(MICROSOFT)


@pytest.fixture
def hmacs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The HMACs that were computed."""
    made: list[bytes] = []
    digest = hmac.digest

    def counted(*given: Any) -> bytes:
        made.append(digest(*given))
        return made[-1]

    monkeypatch.setattr(hmac, "digest", counted)
    return made


def told(channel: Channel = MICROSOFT, **more: object) -> dict[str, object]:
    """Make a notification as Graph does."""
    return {
        "subscriptionId": "f37536ac-b308-4bc7-b239-b2b51cd2ff24",
        "subscriptionExpirationDateTime": "2026-12-06T11:00:00.0000000Z",
        "changeType": "updated",
        "resource": "Users/x/Events/y",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Event", "id": "y"},
        "clientState": SECRETS.make(channel),
        "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
        **more,
    }


def body(*notifications: object) -> bytes:
    """Make a request's body."""
    return json.dumps({"value": notifications}).encode()


def refusal(content: bytes) -> str:
    """Return why a request of Graph is refused."""
    with pytest.raises(PushError) as raised:
        microsoft_notices(content, SECRETS)
    return raised.value.reason


def headers(state: str = "exists", token: str | None = None) -> dict[str, str]:
    """Make the headers that Google sends."""
    return {
        "X-Goog-Channel-ID": "01234567-89ab-cdef-0123456789ab",
        "X-Goog-Channel-Token": SECRETS.make(GOOGLE) if token is None else token,
        "X-Goog-Channel-Expiration": "Tue, 19 Nov 2026 01:13:52 GMT",
        "X-Goog-Resource-ID": "ret08u3rv24htgh289g",
        "X-Goog-Resource-URI": "https://www.googleapis.com/calendar/v3/calendars/a/events",
        "X-Goog-Resource-State": state,
        "X-Goog-Message-Number": "10",
    }


@pytest.mark.parametrize(
    ("event", "task"),
    [
        (None, "changed"),
        ("missed", "changed"),
        ("reauthorizationRequired", "renew"),
        ("subscriptionRemoved", "removed"),
        # Not documented yet.
        ("somethingNew", "changed"),
        ("", "changed"),
    ],
)
def test_what_graph_tells(event: str | None, task: push.Task) -> None:
    """Changes, and what becomes of the subscription."""
    notice = told() if event is None else told(lifecycleEvent=event)
    assert microsoft_notices(body(notice), SECRETS) == (Notice(MICROSOFT, task),)


def test_many_notifications_of_a_channel_are_one_task(hmacs: list[bytes]) -> None:
    """A request tells of several subscriptions; each secret is checked once."""
    many = [told(changeType="created")] * 50 + [told(OTHER)] * 50 + [told(lifecycleEvent="missed")]
    content = body(*many)
    hmacs.clear()
    assert microsoft_notices(content, SECRETS) == (Notice(MICROSOFT, "changed"), Notice(OTHER, "changed"))
    assert len(hmacs) == 2


def test_a_replayed_notification_asks_for_the_same() -> None:
    """It is worth one more look at most; what it tells of is never taken from it."""
    content = body(told())
    assert microsoft_notices(content, SECRETS) == microsoft_notices(content, SECRETS)
    assert google_notices(headers(), SECRETS) == google_notices(headers(), SECRETS)


@pytest.mark.parametrize(
    "state", [FORGED, "", "secret", SECRETS.make(GOOGLE), SECRETS.make(MICROSOFT).lower(), "A" * 72]
)
def test_a_forged_notification_is_refused_for_one_hmac(state: str, hmacs: list[bytes]) -> None:
    """However many there are in a request, and nothing is done for the others."""
    content = body(*[told(clientState=state)] * 400)
    hmacs.clear()
    assert refusal(content) == "forged"
    assert len(hmacs) <= 1


def test_different_forged_ones_cost_one_hmac(hmacs: list[bytes]) -> None:
    """The first ends it."""
    known = SECRETS.make(MICROSOFT)
    content = body(*(told(clientState=f"{known[:-3]}{number:03}") for number in range(400)))
    hmacs.clear()
    assert refusal(content) == "forged"
    assert len(hmacs) == 1


def test_a_forged_one_spoils_the_genuine() -> None:
    """Graph sends only what it was told."""
    assert refusal(body(told(), told(clientState=FORGED))) == "forged"


def test_one_without_a_secret_is_forged() -> None:
    """It is always set."""
    without = told()
    del without["clientState"]
    assert refusal(body(without)) == "forged"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"value": []}',
        b'{"value": {}}',
        b'{"value": [null]}',
        b'{"value": ["x"]}',
        b'{"value": [{"clientState": 7}]}',
        b'{"value": [{"clientState": ["x"]}]}',
        b'{"value": [{"clientState": "x", "lifecycleEvent": 7}]}',
        b"[" * 100_000,
        b'{"value":' * 20_000,
        b'\xff{"value": []}',
        b'{"value": [{"clientState": "\xff"}]}',
    ],
)
def test_a_malformed_request_is_invalid(content: bytes, hmacs: list[bytes]) -> None:
    """Wrong types, truncated, too deep: nothing is verified."""
    assert refusal(content) == "invalid"
    assert not hmacs


def test_a_large_request_is_not_parsed(hmacs: list[bytes]) -> None:
    """Its length is enough."""
    assert refusal(b" " * (push.BODY_BYTES + 1)) == "too_large"
    full = [told()] * (push.BODY_BYTES // (len(body(told())) + 2))
    assert microsoft_notices(body(*full), SECRETS) == (Notice(MICROSOFT, "changed"),)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(content: bytes) -> None:
    """With one of the three reasons."""
    assert refusal(content) in {"invalid", "forged"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["value", "clientState", "x"]), inner)
        ),
    )
)
def test_any_json_is_refused(content: object) -> None:
    """With one of the three reasons."""
    assert refusal(json.dumps(content).encode()) in {"invalid", "forged"}


@pytest.mark.parametrize("state", ["exists", "not_exists", "something_new"])
def test_what_google_tells(state: str) -> None:
    """That something changed, whatever the case of the headers' names."""
    changed = (Notice(GOOGLE, "changed"),)
    assert google_notices(headers(state), SECRETS) == changed
    assert google_notices({name.lower(): value for name, value in headers(state).items()}, SECRETS) == changed


def test_googles_first_notification_asks_for_nothing() -> None:
    """The calendar is read when the channel is made."""
    assert google_notices(headers("sync"), SECRETS) == ()


@pytest.mark.parametrize("token", ["", "x", FORGED, SECRETS.make(MICROSOFT), "A" * 72, "x" * 100_000])
def test_a_forged_notification_of_google_is_refused(token: str, hmacs: list[bytes]) -> None:
    """For one HMAC at most, and the state does not matter."""
    for state in ("exists", "sync"):
        with pytest.raises(PushError, match="forged"):
            google_notices(headers(state, token), SECRETS)
    assert len(hmacs) <= 2


def test_a_notification_of_google_without_its_headers_is_refused() -> None:
    """Both are always sent."""
    with pytest.raises(PushError, match="forged"):
        google_notices({}, SECRETS)
    without = headers()
    del without["X-Goog-Resource-State"]
    with pytest.raises(PushError, match="invalid"):
        google_notices(without, SECRETS)


def test_a_validation_is_answered_with_its_token() -> None:
    """Decoded, as it came; other requests are none."""
    token = "Validation: Testing client application reachability for subscription Request-Id: 1c4a + é"
    assert validation_answer({"validationToken": token}) == token
    assert validation_answer({}) is None
    assert validation_answer({"validationtoken": "x"}) is None


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "invalid"),
        ("<script>alert(1)</script>", "invalid"),
        ("a>b", "invalid"),
        ("a\r\nSet-Cookie: b", "invalid"),
        ("\x00", "invalid"),
        ("x" * 2049, "too_large"),
    ],
)
def test_a_validation_gives_back_no_page(token: str, reason: str) -> None:
    """Anybody may send one."""
    with pytest.raises(PushError) as raised:
        validation_answer({"validationToken": token})
    assert raised.value.reason == reason
