"""A read with a key against the same that looks its key up in memory and counts it, and does no more.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.access

What comes on top: the version of the tenant's keys, the limit of the address, and telling keys, tokens and
signatures apart. Both ask Valkey once. The handler is called in this
process, turn by turn, on real Postgres and Valkey.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from bench.booking_handler import CALLS, ROUNDS, TEAM
from bench.figures import Figure
from bench.stack import add_team, alternate, median_ratio, quiet, stack
from fairslot.access import authorize, keys, limits
from fairslot.access.guesses import Address
from fairslot.access.keys import Client
from fairslot.access.limits import RequestCount
from fairslot.http import api
from fairslot.platform import cache, db
from tests.support.http import request
from tests.support.lambda_context import context

if TYPE_CHECKING:
    from redis import Redis

_OK = 200


class _KeyAlone(RequestCount):
    """The count of a request against its key."""

    def _count(self, client: "Redis", record: str | None = None, *rest: str | int) -> Sequence[int]:  # noqa: ARG002 - as it is called
        run = cache.script(limits._COUNT)  # noqa: SLF001 - the same script
        counted: Sequence[int] = run(keys=[self._name], args=[self._limit, 1], client=client)
        return counted


def figures() -> Iterator[Figure]:
    """Measure what knowing a caller and limiting its address costs a read."""
    yield Figure(
        name="read with a key, of one that counts its key and does no more",
        value=reading(),
        unit="times",
        goal=1.05,
    )


def reading() -> float:
    """Return the ratio of the medians."""
    asked = [request("GET", "/api/appointments", query={"limit": "20"})] * CALLS
    with (
        stack() as parts,
        db.connect(parts.postgres.url) as connection,
        quiet(),
        pytest.MonkeyPatch.context() as patch,
    ):
        add_team(connection, TEAM)
        patch.setattr(api, "authenticate", _Side.authenticate)
        rounds = [alternate(asked, _Side.now, _Side.before) for _ in range(1 + ROUNDS)]
    return median_ratio(rounds[1:])  # imports and connections are not what is measured


class _Side:
    """Reads by either way of knowing the caller. Both go through here: what is patched anew is slow."""

    is_now = True

    @classmethod
    def now(cls, made: dict[str, Any]) -> None:
        cls.is_now = True
        _read(made)

    @classmethod
    def before(cls, made: dict[str, Any]) -> None:
        cls.is_now = False
        _read(made)

    @classmethod
    def authenticate(
        cls, event: Mapping[str, Any], *, signed: bool, now: datetime
    ) -> tuple[Client, RequestCount]:
        if cls.is_now:
            return authorize.authenticate(event, signed=signed, now=now)
        client, _ = keys.authenticate(event["headers"]["x-api-key"], Address("", changing=False))
        return client, _KeyAlone(
            client.tenant_id, client.key_id, client.rate_limit, address="", changing=False
        )


def _read(made: dict[str, Any]) -> None:
    from booking.app import lambda_handler  # late: only then is the environment there

    answer = lambda_handler(made, context())
    if answer["statusCode"] != _OK:
        raise SystemExit(json.dumps(answer))


if __name__ == "__main__":
    print(reading())
