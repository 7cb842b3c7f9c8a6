"""The public keys of issuers: asked for by the schedule and for unknown ids, read outside, stored inside."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from redis import Redis

from background import store, sync
from calendar_fetch import app as fetch
from fairslot.access import issuers
from fairslot.messages.contract import MessageError
from fairslot.messages.fetches import FetchRequest, read
from fairslot.messages.issuer_keys import KeysReading
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.settings import settings
from tests.handlers.test_api_tokens import ask_with
from tests.support.bad_tokens import AT
from tests.support.clock import NOW
from tests.support.fixtures import Clock, Environment
from tests.support.http import check_problem
from tests.support.lambda_context import context
from tests.support.queues import Queues, take_bodies
from tests.support.sqs_events import batch_event
from tests.support.tables import one_row
from tests.support.token_issuer import TokenIssuer, published


@pytest.fixture
def issuer(team: Connection, environment: Environment, queues: Queues) -> Iterator[TokenIssuer]:
    """An issuer that publishes its keys, of which none is stored yet."""
    made = TokenIssuer()
    made.add_key("one")
    fetched = queues.sqs.create_queue(QueueName=f"fetched-{id(made)}")["QueueUrl"]
    with published(made):
        environment(
            TOKEN_ISSUERS=json.dumps([made.setting]),
            WEBHOOK_ALLOW_LOOPBACK_HTTP="true",
            FETCHED_QUEUE_URL=fetched,
        )
        queues.urls["FETCHED_QUEUE_URL"] = fetched
        yield made


def carry(queues: Queues) -> int:
    """Have what was asked for read outside and stored inside; return how many requests there were."""
    asked = take_bodies(queues.sqs, queues.urls["FETCHES_QUEUE_URL"])
    if asked:
        assert fetch.lambda_handler(batch_event(*asked), context(30.0)) == {"batchItemFailures": []}
    for body in take_bodies(queues.sqs, queues.urls["FETCHED_QUEUE_URL"]):
        assert store.lambda_handler(batch_event(body), context(30.0)) == {"batchItemFailures": []}
    issuers._remembered.clear()  # noqa: SLF001 - as a minute later
    return len(asked)


def refresh(queues: Queues) -> int:
    """Run the schedule and what follows from it."""
    sync.lambda_handler({}, context(30.0))
    return carry(queues)


def test_the_schedule_has_the_keys_read(issuer: TokenIssuer, queues: Queues, clock: Clock) -> None:
    """Every run of it, whether or not there are tokens; a key that is withdrawn is no longer accepted."""
    assert refresh(queues) == 1
    token = issuer.token(at=AT)
    assert ask_with(token).status == 200
    assert refresh(queues) == 0  # another run at the same time
    issuer.keys = {}
    issuer.add_key("two")
    clock(NOW + timedelta(minutes=5))
    assert refresh(queues) == 1
    check_problem(ask_with(token), 401, "AUTHENTICATION_FAILED")
    assert ask_with(issuer.token(at=AT)).status == 200


def test_the_first_token_waits_for_the_keys(issuer: TokenIssuer, queues: Queues) -> None:
    """Who comes before the schedule is answered once the keys are there."""
    done = Thread(target=_carry_when_asked, args=(queues,))
    done.start()
    assert ask_with(issuer.token(at=AT)).status == 200
    done.join()
    assert issuer.asked == 1


def test_an_unknown_id_asks_once_a_minute(
    issuer: TokenIssuer, queues: Queues, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ids are made up; the schedule's own request does not count."""
    monkeypatch.setattr(issuers, "WAIT", timedelta(0))
    refresh(queues)
    for number in range(10):
        check_problem(
            ask_with(issuer.token(header={"kid": f"made-up-{number}"}, at=AT)), 401, "AUTHENTICATION_FAILED"
        )
    assert carry(queues) == 1
    clock(NOW + timedelta(seconds=59))
    assert ask_with(issuer.token(header={"kid": "made-up"}, at=AT)).status == 401
    assert carry(queues) == 0
    clock(NOW + timedelta(seconds=61))
    assert ask_with(issuer.token(header={"kid": "made-up"}, at=AT)).status == 401
    assert carry(queues) == 1


def test_a_rotation_that_nobody_announced_refuses_no_good_token(
    issuer: TokenIssuer, queues: Queues, clock: Clock
) -> None:
    """The first token of the new key waits for it; tokens of the old one go on."""
    refresh(queues)
    clock(NOW + timedelta(seconds=1))
    old = issuer.token(at=AT)
    issuer.add_key("two")
    done = Thread(target=_carry_when_asked, args=(queues,))
    done.start()
    assert ask_with(issuer.token(at=AT)).status == 200
    done.join()
    assert ask_with(old).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"keys": []}', b'{"keys": 5}', b'{"keys": [{"kty": "oct", "k": "AQ"}]}']
)
def test_what_is_no_key_set_changes_nothing(
    issuer: TokenIssuer, queues: Queues, clock: Clock, team: Connection, body: bytes
) -> None:
    """The keys from before stay, and it is noted what was wrong."""
    refresh(queues)
    issuer.answer = body
    clock(NOW + timedelta(minutes=5))
    assert refresh(queues) == 1
    assert ask_with(issuer.token(at=AT)).status == 200
    assert one_row(team, "SELECT error FROM issuer_keys") == {"error": "invalid_body"}


def test_an_issuer_that_is_away_is_not_waited_for(
    issuer: TokenIssuer, queues: Queues, team: Connection
) -> None:
    """What failed is told, so that who waits is answered at once."""
    issuer.status = 404
    done = Thread(target=_carry_when_asked, args=(queues,))
    done.start()
    check_problem(ask_with(issuer.token(at=AT)), 401, "AUTHENTICATION_FAILED")
    done.join()
    assert one_row(team, "SELECT error FROM issuer_keys") == {"error": "http_404"}


def test_private_members_are_not_carried(issuer: TokenIssuer, queues: Queues, team: Connection) -> None:
    """Should an issuer publish more than it must, nothing of it comes inside."""
    issuer.more = {"d": "c2VjcmV0", "p": "c2VjcmV0", "x5c": ["MIIB"]}
    refresh(queues)
    row = one_row(team, "SELECT keys::text AS keys FROM issuer_keys")
    assert "c2VjcmV0" not in row["keys"]
    assert "MIIB" not in row["keys"]
    assert ask_with(issuer.token(at=AT)).status == 200


def test_an_older_reading_does_not_win(issuer: TokenIssuer, queues: Queues, team: Connection) -> None:
    """Messages come in any order."""
    refresh(queues)
    body = {"kind": "issuer_keys", "issuer": issuer.name, "url": issuer.url, "requested_at": NOW.isoformat()}
    late: dict[str, Any] = {**body, "fetched_at": "2020-01-01T00:00:00Z", "keys": [], "error": None}
    store.lambda_handler(batch_event(json.dumps(late)), context(30.0))
    issuers._remembered.clear()  # noqa: SLF001
    assert ask_with(issuer.token(at=AT)).status == 200


def test_keys_of_an_address_from_before_are_not_used(
    issuer: TokenIssuer, queues: Queues, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moves an issuer's keys trusts the old place no longer."""
    monkeypatch.setattr(issuers, "WAIT", timedelta(0))
    refresh(queues)
    moved: dict[str, Any] = {**issuer.setting, "jwks_url": f"{issuer.url}/moved"}
    environment(TOKEN_ISSUERS=json.dumps([moved]))
    check_problem(ask_with(issuer.token(at=AT)), 401, "AUTHENTICATION_FAILED")


def test_an_inside_address_is_not_read(
    issuer: TokenIssuer, queues: Queues, environment: Environment, team: Connection
) -> None:
    """The reader's guard is the same as for feeds."""
    environment(WEBHOOK_ALLOW_LOOPBACK_HTTP="")
    for url in ("https://169.254.169.254/keys", "https://localhost/keys", "https://[::1]/keys"):
        body = {"kind": "issuer_keys", "issuer": "i", "url": url, "requested_at": NOW.isoformat()}
        fetch.lambda_handler(batch_event(json.dumps(body)), context(30.0))
        (read_body,) = take_bodies(queues.sqs, queues.urls["FETCHED_QUEUE_URL"])
        assert json.loads(read_body)["error"] == "blocked_address", url
    assert issuer.asked == 0


def test_a_setting_must_be_safe(environment: Environment, team: Connection) -> None:
    """Keys come over https only, and the algorithm is one of two."""
    good = TokenIssuer().setting
    for wrong in ({"jwks_url": "http://issuer.example.com/keys"}, {"algorithm": "HS256"}, {"more": 1}):
        environment(TOKEN_ISSUERS=json.dumps([{**good, **wrong}]))
        with pytest.raises(ValueError, match="validation error"):
            issuers.issuers()


def test_both_kinds_of_requests_are_read() -> None:
    """One queue has calendars and issuers' keys."""
    calendar = {
        "coach_id": "c",
        "kind": "calendar_api",
        "time_zone": "UTC",
        "first_slot": 1,
        "slot_count": 1,
        "requested_at": "now",
    }
    assert isinstance(read(json.dumps(calendar)), FetchRequest)
    with pytest.raises(MessageError):
        read('{"kind": "issuer_keys"}')


def _carry_when_asked(queues: Queues) -> None:
    """Wait for a request, which a caller waits behind, and have it carried out."""
    deadline, asked = time.monotonic() + 20, list[str]()
    while not asked and time.monotonic() < deadline:
        asked = take_bodies(queues.sqs, queues.urls["FETCHES_QUEUE_URL"])
    fetch.lambda_handler(batch_event(*asked), context(30.0))
    for body in take_bodies(queues.sqs, queues.urls["FETCHED_QUEUE_URL"]):
        # On a connection of its own: the caller uses the process's.
        with db.connect(settings().database_url) as own:
            issuers.store(own, KeysReading.from_json(body))


def test_a_good_token_goes_on_from_the_address_of_a_guesser(
    issuer: TokenIssuer, queues: Queues, cache: Redis, environment: Environment
) -> None:
    """Also when the issuer's keys are due to be looked up anew: a key that is known is no guess."""
    environment(MAX_UNKNOWN_KEYS_PER_MINUTE="2")
    refresh(queues)
    assert ask_with(issuer.token(at=AT)).status == 200
    assert [ask_with("a.b.c").status for _ in range(4)] == [401, 401, 429, 429]
    _, known = issuers._remembered[issuer.name]  # noqa: SLF001 - as a minute later
    issuers._remembered[issuer.name] = (0.0, known)  # noqa: SLF001
    assert ask_with(issuer.token(at=AT)).status == 200
    check_problem(ask_with(issuer.token(header={"kid": "made-up"}, at=AT)), 429, "RATE_LIMIT_EXCEEDED")
