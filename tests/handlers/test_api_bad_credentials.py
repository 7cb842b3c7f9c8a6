"""Credentials that are none: refused alike, without a hint, and counted with the reason."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairslot.access import key_form
from fairslot.domain.errors import AuthenticationError
from fairslot.platform.db import Connection
from tests.support.api_fuzz import operations
from tests.support.bad_credentials import MADE, WRONG, headers, is_right, token_headers
from tests.support.fixtures import Environment
from tests.support.http import KEY, add_key, ask, check_problem, request, send
from tests.support.logs import check_counted, json_lines
from tests.support.tables import table_digests
from tests.support.token_issuer import TokenIssuer, trust

_PADDED = st.sampled_from(WRONG) | st.text(max_size=20)


@pytest.fixture
def issuer(team: Connection, environment: Environment) -> TokenIssuer:
    """An issuer of tokens that is trusted for the small team."""
    made = TokenIssuer()
    made.add_key("one")
    trust(team, environment, made, tenants=["default"])
    return made


@pytest.fixture
def strict(team: Connection, issuer: TokenIssuer, environment: Environment) -> Connection:
    """The small team as it is deployed, with a key of the right form and an issuer of tokens."""
    environment(ANY_KEY_FORM="", MAX_UNKNOWN_KEYS_PER_MINUTE="1000000")
    add_key(team, MADE)
    return team


def test_no_credential_that_is_none_opens_anything(strict: Connection) -> None:
    """One or two of any text, in any place, for a read or a change: 401, always the same answer."""
    before = table_digests(strict)
    bodies = set()

    @settings(max_examples=300)
    @given(
        headers=headers(),
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


def test_no_credential_that_is_none_opens_any_route(strict: Connection, issuer: TokenIssuer) -> None:
    """Bad keys and bad tokens, with requests made of the contract: always 401, and nothing is changed."""
    before = table_digests(strict)
    bodies = set()
    closed = [one for one in operations() if one.described.get("security") != []]

    @settings(max_examples=400)
    @given(
        made=st.sampled_from(closed).flatmap(lambda operation: operation.requests({"calendar_id": ["cal"]})),
        headers=headers() | token_headers(issuer),
    )
    def run(made: dict[str, Any], headers: Mapping[str, str]) -> None:
        if is_right(headers):
            return
        others = {name: value for name, value in made["headers"].items() if name != "x-api-key"}
        answer = send({**made, "headers": {**others, **headers}})
        assert answer.status == 401, (headers, answer)
        bodies.add(answer.body)

    run()
    assert len(bodies) == 1
    assert table_digests(strict) == before


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
