"""Secrets that are replaced again before the time of the last replacement is over: every promise is kept."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fairslot.domain.errors import UnavailableError
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from tests.handlers.test_api_signed_events import SECRET, rotated, tell
from tests.support.clock import HOUR, NOW
from tests.support.endpoints import PATH, get_endpoint, subscribed
from tests.support.fixtures import Clock
from tests.support.http import Answer, ask, check_problem
from tests.support.queues import Queues

EVENT = {"event_type": "x"}


def rotate(endpoint: dict[str, Any], hours: float) -> Answer:
    """Replace an endpoint's secret."""
    path = f"{PATH}/{endpoint['endpoint_id']}/rotate-secret"
    return ask("POST", path, {"overlap_hours": hours})


def signing(endpoint: dict[str, Any], queues: Queues) -> list[str]:
    """Return the secrets that a message carries now, opened."""
    assert ask("POST", f"{PATH}/{endpoint['endpoint_id']}/test").status == 200
    (message,) = queues.take("DELIVERIES")
    context = signing_secrets.for_endpoint(UUID(endpoint["endpoint_id"]))
    return [signing_secrets.decrypt(one, context) for one in message["secrets"]]


def test_a_second_rotation_keeps_the_promise_of_the_first(
    team: Connection, kms: None, queues: Queues, clock: Clock
) -> None:
    """Three sign, each until its time: also where a later one's time is over first."""
    now = datetime.now(UTC).replace(microsecond=0)
    first = subscribed()
    clock(now - timedelta(hours=2))
    second = rotate(first, 5).json
    third = rotate(first, 3).json
    assert signing(first, queues) == [third["secret"], second["secret"], first["secret"]]
    found = [datetime.fromisoformat(one) for one in third["previous_secrets_until"]]
    assert found == [now + HOUR, now + timedelta(hours=3)]
    assert third["previous_secret_until"] == third["previous_secrets_until"][0]
    assert get_endpoint(first)["previous_secrets_until"] == third["previous_secrets_until"]
    team.execute(
        "UPDATE webhook_endpoints"
        " SET older_secrets = jsonb_set(older_secrets, '{0,until}', to_jsonb(now() - interval '1 second'))"
    )
    assert signing(first, queues) == [third["secret"], first["secret"]]
    clock(datetime.now(UTC))
    fourth = rotate(first, 1).json
    assert signing(first, queues) == [fourth["secret"], third["secret"], first["secret"]]


def test_a_fourth_secret_waits_for_the_first_to_end(
    team: Connection, kms: None, queues: Queues, clock: Clock
) -> None:
    """With three that sign there is a clear refusal, and no secret is lost by it."""
    clock(datetime.now(UTC))
    made = subscribed()
    known = [made["secret"]]
    for _ in range(2):
        known.insert(0, rotate(made, 96).json["secret"])
    problem = check_problem(rotate(made, 96), 409, "CONFLICT")
    assert "previous_secrets_until" in problem["message"]
    assert signing(made, queues) == known
    clock(datetime.now(UTC) + timedelta(hours=97))
    assert rotate(made, 96).status == 200


def test_without_an_overlap_only_the_new_secret_signs(
    team: Connection, kms: None, queues: Queues, clock: Clock
) -> None:
    """Who has lost a secret is rid of all of them at once, whatever was promised."""
    clock(datetime.now(UTC))
    made = subscribed()
    for _ in range(2):
        rotate(made, 96)
    last = rotate(made, 0).json
    assert signing(made, queues) == [last["secret"]]
    assert (last["previous_secret_until"], last["previous_secrets_until"]) == (None, [])


def test_an_inbound_secret_is_good_as_long_as_was_promised(team: Connection, kms: None, clock: Clock) -> None:
    """Each of three is taken until its time and no longer, and a fourth is refused."""
    first, second, third = rotated(), rotated(overlap_hours=5), rotated(overlap_hours=3)
    assert third["previous_secrets_until"] == ["2026-03-02T15:00:00Z", "2026-03-02T17:00:00Z"]
    assert ask("GET", SECRET).json["previous_secrets_until"] == third["previous_secrets_until"]
    for key, source in (("1", first), ("2", second), ("3", third)):
        assert tell(source, EVENT, key=key).status == 200
    refused = check_problem(ask("POST", SECRET, {"overlap_hours": 1}), 409, "CONFLICT")
    assert "previous_secrets_until" in refused["message"]
    later = NOW + timedelta(hours=4)
    clock(later)
    check_problem(tell(second, EVENT, key="4", at=later), 401, "AUTHENTICATION_FAILED")
    assert tell(first, EVENT, key="4", at=later).status == 200
    fourth = rotated(overlap_hours=0)
    for source in (first, second, third):
        check_problem(tell(source, EVENT, key="5", at=later), 401, "AUTHENTICATION_FAILED")
    assert tell(fourth, EVENT, key="5", at=later).status == 200


def test_what_was_opened_is_remembered_for_what_it_was_locked_up_for(team: Connection, kms: None) -> None:
    """A ciphertext moved to another endpoint stays shut there, also when it was opened just now."""
    first, second = signing_secrets.for_endpoint(uuid4()), signing_secrets.for_endpoint(uuid4())
    ciphertext = signing_secrets.encrypt("whsec_mine", first)
    assert signing_secrets.decrypt(ciphertext, first) == "whsec_mine"
    with pytest.raises(UnavailableError):
        signing_secrets.decrypt(ciphertext, second)
    assert signing_secrets.decrypt(ciphertext, first) == "whsec_mine"
