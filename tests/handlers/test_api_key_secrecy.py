"""A key or a token is shown in the answer that makes it and nowhere else, whatever is done with it."""

import importlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from fairslot.access import key_form
from fairslot.http.routing import declared
from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.api_processes import logged
from tests.support.clock import NINE
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Environment
from tests.support.http import ALL_SCOPES, add_key, ask, body_of, booking_body, request
from tests.support.queues import Queues
from tests.support.token_issuer import TokenIssuer, trust

APPS = ("admin.app", "availability.app", "booking.app")


def modules() -> dict[tuple[str, str], str]:
    """Return by method and path the module of the function that answers."""
    return {
        (contract.method, contract.path.replace("<", "{").replace(">", "}")): name
        for name in APPS
        for _, contract in declared(importlib.import_module(name).app)
    }


def calls(operation: Operation, secret: str) -> Iterator[dict[str, Any]]:
    """Call an operation with a secret in the right place, and in every wrong one; rightly and wrongly."""
    unknown = dict.fromkeys(
        ("appointment_id", "hold_id", "endpoint_id", "delivery_id", "key_id", "source_id"), str(uuid4())
    )
    ids = {
        **unknown,
        "absence_id": str(uuid4()),
        "coach_id": "coach-01",
        "calendar_id": "cal",
        "email": "a@b.example",
    }
    path = operation.path.format(**ids)
    bodies: Sequence[Any] = [booking_body(), {}, {"x": 1}, b"{", {"scopes": ["read"]}]
    bearer = {"Authorization": f"Bearer {secret}", "X-Idempotency-Key": str(uuid4())}
    for body in bodies:
        yield request(operation.method, path, body, key=None, headers=bearer)
    yield request(operation.method, path, {}, key=secret)
    yield request(operation.method, path, {}, key=secret, headers=bearer)
    # Refused: what is wrong with it is logged.
    yield request(operation.method, path, {}, key=None, headers={"Authorization": f"Bearer {secret}x"})
    yield request(operation.method, path, {}, key=f"{secret},{secret}")
    yield request(operation.method, path, {}, key=None, headers={"Authorization": f"Basic {secret}"})
    yield request(operation.method, path, {}, key=None, query={"key": secret, "limit": secret})
    yield request(operation.method, operation.path.format(**dict.fromkeys(ids, secret)), {}, key=secret)


def everything(connection: Connection, cache: Redis, queues: Queues) -> str:
    """Return all that is stored or sent, as text."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    parts = [
        str(connection.execute(f"SELECT t::text AS row FROM {table['relname']} AS t".encode()).fetchall())
        for table in tables
    ]
    for name in cache.keys("*"):
        parts += [str(name), str(cache.hgetall(name) if cache.type(name) == b"hash" else cache.get(name))]
    parts += [json.dumps(queues.take(kind)) for kind in ("DELIVERIES", "FETCHES")]
    return "\n".join(parts)


@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_secret_is_nowhere(
    team: Connection,
    cache: Redis,
    queues: Queues,
    kms: None,
    environment: Environment,
    tmp_path: Path,
    kind: str,
) -> None:
    """Neither in a log nor in a table, a message, the cache or an answer, whatever is done with it."""
    add_endpoint(team, "crm", "appointment.*")
    environment(MAX_UNKNOWN_KEYS_PER_MINUTE="100000", ANY_KEY_FORM="")
    if kind == "key":
        secret = key_form.make()
        add_key(team, secret)
        private = [secret[13:]]
    else:
        issuer = TokenIssuer()
        issuer.add_key("one")
        trust(team, environment, issuer, rate_limit=100_000)
        secret = issuer.token({"scope": " ".join(ALL_SCOPES)})
        private = secret.split(".")[1:]
    where = modules()
    events = [
        (where[operation.method, operation.path], one)
        for operation in operations()
        for one in calls(operation, secret)
        # What stays open has nothing to show, and asks every dependency.
        if operation.path not in {"/health", "/openapi.json"}
    ]
    answers = logged(events, tmp_path / "log")
    assert {answer["statusCode"] for answer in answers} >= {200, 201, 401, 404, 422}
    log = (tmp_path / "log").read_text("utf-8")
    assert "CredentialsRefused" in log
    for text in (log, json.dumps(answers), everything(team, cache, queues)):
        for part in private:
            assert part not in text


def test_made_keys_are_nowhere_else(team: Connection, cache: Redis, queues: Queues, tmp_path: Path) -> None:
    """The answers that make a key are the only place, also with an idempotency key."""
    keyed = {"X-Idempotency-Key": "made"}
    body = {"scopes": ["read"]}
    made = body_of(ask("POST", "/api/keys", body, headers=keyed), 201)
    path = f"/api/keys/{made['key_id']}"
    rotated = body_of(ask("POST", f"{path}/rotate", {}, headers={"X-Idempotency-Key": "rotated"}))
    events = [
        ("admin.app", request("POST", "/api/keys", body, headers=keyed)),
        ("admin.app", request("GET", "/api/keys")),
        ("admin.app", request("GET", path)),
        ("admin.app", request("GET", path, key=made["key"])),
        ("booking.app", request("POST", "/api/appointments", booking_body(NINE), key=rotated["key"])),
        ("admin.app", request("DELETE", path)),
    ]
    answers = logged(events, tmp_path / "log")
    assert json.loads(answers[0]["body"])["key"] is None
    assert {answer["statusCode"] for answer in answers} == {200, 201, 204, 401, 403}
    log = (tmp_path / "log").read_text("utf-8")
    for text in (log, json.dumps(answers), everything(team, cache, queues)):
        for key in (made["key"], rotated["key"]):
            assert key[13:] not in text
