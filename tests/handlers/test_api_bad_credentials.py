"""Credentials that are none: refused alike, without a hint, and counted with the reason."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairslot.access import key_form
from fairslot.domain.errors import AuthenticationError
from fairslot.platform.db import Connection
from tests.support.fixtures import Environment
from tests.support.http import KEY, add_key, ask, check_problem, request, send
from tests.support.logs import json_lines
from tests.support.tables import table_digests
from tests.support.token_issuer import TokenIssuer, trust

MADE = key_form.make()
_WRONG = [
    "",
    " ",
    MADE[:-1],
    MADE[1:],
    MADE + MADE,
    MADE + ",",
    f"{MADE}, {MADE}",
    MADE.upper(),
    MADE.replace("_", "-"),
    f"'{MADE}'",
    f"{MADE}\x00",
    f"{MADE}\r\nx-api-key: {MADE}",
    "\x7f",
    "ключ",
    "ﬁ🦊",
    "\ud800",
    "k" * 8192,
    "a.b.c",
    "..",
    "." * 8192,
    "e30.e30.",
    "null",
    "undefined",
    "' OR 1=1 --",
]
_TEXTS = (
    st.sampled_from(_WRONG)
    | st.text(max_size=60)
    | st.text(alphabet="ab.", max_size=60)
    | st.integers(1, len(MADE) - 1).map(lambda end: MADE[:end])
    | st.text(min_size=1, max_size=3).map(lambda more: MADE + more)
    | st.text(min_size=1, max_size=3).map(lambda more: more + MADE)
)
_SCHEMES = st.sampled_from(
    ["Bearer ", "bearer ", "Bearer  ", "Basic ", "", "Bearer", "\x00Bearer ", "Token "]
)
_PADDED = st.sampled_from(_WRONG) | st.text(max_size=20)


@pytest.fixture
def strict(team: Connection, environment: Environment) -> Connection:
    """The small team as it is deployed, with a key of the right form and an issuer of tokens."""
    issuer = TokenIssuer()
    issuer.add_key("one")
    trust(team, environment, issuer)
    environment(ANY_KEY_FORM="", MAX_UNKNOWN_KEYS_PER_MINUTE="1000000")
    add_key(team, MADE)
    return team


def test_no_credential_that_is_none_opens_anything(strict: Connection) -> None:
    """One or two of any text, in any place, for a read or a change: 401, always the same answer."""
    before = table_digests(strict)
    bodies = set()

    @settings(max_examples=300)
    @given(
        headers=st.fixed_dictionaries(
            {}, optional={"x-api-key": _TEXTS, "authorization": st.builds(str.__add__, _SCHEMES, _TEXTS)}
        ),
        more=st.dictionaries(
            st.sampled_from(
                ["x-origin-secret", "x-forwarded-for", "cookie", "x-api-keys", "webhook-signature"]
            ),
            _PADDED,
        ),
        method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT"]),
    )
    def run(headers: Mapping[str, str], more: Mapping[str, str], method: str) -> None:
        made = request(method, "/api/appointments", key=None)
        made["headers"] |= {**more, **headers}
        if is_right(headers):
            return
        answer = send(made)
        assert answer.status == 401, answer
        if method != "HEAD":
            bodies.add(answer.body)

    run()
    assert len(bodies) == 1
    assert MADE.encode() not in bodies.pop()
    assert table_digests(strict) == before


def is_right(headers: Mapping[str, str]) -> bool:
    """Tell whether the headers happen to have the one credential that there is."""
    return list(headers.values()) in ([MADE], [f"Bearer {MADE}"], [f"bearer {MADE}"])


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "Missing"),
        ({"x-api-key": ""}, "Missing"),
        ({"authorization": "Bearer "}, "Malformed"),
        ({"x-api-key": MADE[:-1]}, "Malformed"),
        ({"x-api-key": f"{MADE},{MADE}"}, "Malformed"),
        ({"x-api-key": "k" * 8192}, "Malformed"),
        ({"x-api-key": "\x01"}, "Malformed"),
        ({"authorization": "Basic a2V5"}, "Malformed"),
        ({"authorization": MADE}, "Malformed"),
        ({"x-api-key": key_form.make()}, "Unknown"),
        ({"x-api-key": MADE, "authorization": f"Bearer {MADE}"}, "Doubled"),
        ({"authorization": "Bearer a.b.c"}, "Token"),
        ({"authorization": "Bearer " + "." * 8192}, "Malformed"),
    ],
)
def test_the_metric_has_the_reason(
    strict: Connection, capsys: pytest.CaptureFixture[str], headers: Mapping[str, str], reason: str
) -> None:
    """And the answer does not."""
    json_lines(capsys)
    answer = ask("GET", "/api/appointments", key=None, headers=headers)
    check_problem(answer, 401, "AUTHENTICATION_FAILED")
    check_counted(capsys, reason)
    assert answer.json["message"] == AuthenticationError().message


def test_what_a_known_caller_may_not_is_counted(team: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason that it is forbidden."""
    add_key(team, "none", scopes=())
    json_lines(capsys)
    check_problem(ask("GET", "/api/appointments", key="none"), 403, "FORBIDDEN")
    check_counted(capsys, "Forbidden")
    assert ask("GET", "/api/appointments", key=KEY).status == 200
    assert not [one for one in json_lines(capsys) if "CredentialsRefused" in one]


def test_an_invalid_signature_is_counted(strict: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong with it."""
    json_lines(capsys)
    answer = ask("POST", "/api/webhooks/calendar", {}, key=None, headers={"webhook-signature": "v1,\x00"})
    check_problem(answer, 401, "AUTHENTICATION_FAILED")
    check_counted(capsys, "Signature")


def check_counted(capsys: pytest.CaptureFixture[str], reason: str) -> None:
    """Assert that one refusal was counted, and its reason alone."""
    (said,) = [one for one in json_lines(capsys) if "CredentialsRefused" in one]
    refused = {name: value for name, value in said.items() if name.startswith("CredentialsRefused")}
    assert refused == {"CredentialsRefused": [1.0], f"CredentialsRefused{reason}": [1.0]}
