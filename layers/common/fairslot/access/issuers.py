"""The issuers whose tokens are accepted, and their public keys.

The issuers are a setting. Their keys are read outside the VPC, by the function that reads calendars, and
stored here; queues lie between the two: see docs/decisions/0116-tokens.md.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Literal

from psycopg.types.json import Jsonb
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from fairslot.messages import contract
from fairslot.messages.issuer_keys import KeysReading, KeysRequest, PublicKey
from fairslot.platform import db, time_limit
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

# Shorter than the schedule's five minutes, so that each run of it asks.
REFRESH = timedelta(minutes=4)
# An unknown key id may be made up: such ids ask for the keys at most this often.
PAUSE = timedelta(minutes=1)
# How long a token with an unknown key id waits, from the request for the keys on.
WAIT = timedelta(seconds=3)
# Of 2048 bits, in base64url.
_SHORTEST_MODULUS = 342
_UNUSED = timedelta(days=7)
_REMEMBER_SECONDS = 60.0
_POLL_SECONDS = 0.05
_LAST_SECOND = 1.0  # kept for the request itself

_SQL = queries("issuer_keys")

type Text = Annotated[str, Field(min_length=1, max_length=300)]


def _safe(url: str) -> str:
    """Refuse addresses that whoever listens on the way could answer for."""
    local = settings().webhook_allow_loopback_http and url.startswith("http://127.0.0.1:")
    if not (url.startswith("https://") or local):
        raise ValueError("use an https address")
    return url


class Issuer(BaseModel):
    """An issuer of tokens: how they are signed, and what their claims mean.

    `scope_claim` holds our scopes, each behind `scope_prefix`, as a text with spaces or a list. With
    `tenants` the issuer speaks for these tenants only. `rate_limit`: requests a minute of each subject.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Text
    audience: Text
    algorithm: Literal["RS256", "ES256"]
    jwks_url: Annotated[Text, AfterValidator(_safe)]
    scope_claim: Text = "scope"
    scope_prefix: str = ""
    tenant_claim: Text = "tenant"
    tenants: frozenset[str] | None = None
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 60
    rate_limit: Annotated[int, Field(ge=1, le=100_000)] = 100

    def takes(self, key: PublicKey) -> bool:
        """Tell whether a key is for the signatures of this issuer's tokens."""
        kind = ("EC", "P-256") if self.algorithm == "ES256" else ("RSA", None)
        is_long = key.kty == "EC" or len(key.n or "") >= _SHORTEST_MODULUS
        return (
            is_long
            and (key.kty, key.crv) == kind
            and key.use in {None, "sig"}
            and key.alg in {None, self.algorithm}
        )


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """An issuer's stored keys by id, and when they were asked for last; `pending`: without an answer."""

    keys: Mapping[str, PublicKey]
    requested_at: datetime | None
    pending: bool


@cache
def issuers() -> Mapping[str, Issuer]:
    """Return the issuers of the setting by name."""
    given = settings().token_issuers
    found = TypeAdapter(list[Issuer]).validate_json(given) if given else []
    return {one.issuer: one for one in found}


def clear_cache() -> None:
    """Forget the issuers and their keys."""
    issuers.cache_clear()
    _remembered.clear()


def due(connection: Connection, *, now: datetime) -> list[KeysRequest]:
    """Return the requests for the keys that are due, and forget those of issuers that are gone."""
    connection.execute(_SQL["forget"], {"before": now - _UNUSED})
    asked = list(issuers().values())
    values = {
        "issuers": [one.issuer for one in asked],
        "urls": [one.jwks_url for one in asked],
        "now": now,
        "before": now - REFRESH,
    }
    rows = connection.execute(_SQL["claim"], values).fetchall() if asked else []
    return [KeysRequest(issuer=row["issuer"], url=row["url"], requested_at=now) for row in rows]


def store(connection: Connection, reading: KeysReading) -> None:
    """Store an issuer's keys; where they could not be read, those from before stay."""
    values = {
        "issuer": reading.issuer,
        "url": reading.url,
        "fetched_at": reading.fetched_at,
        "answered_at": reading.requested_at,
        "error": reading.error,
        "keys": Jsonb([contract.adapter(PublicKey).dump_python(one) for one in reading.keys or ()]),
    }
    connection.execute(_SQL["failed" if reading.keys is None else "store"], values)


def public_key(
    issuer: Issuer,
    kid: str,
    *,
    now: datetime,
    send: Callable[[list[KeysRequest]], None],
    before_looking: Callable[[], object],
) -> PublicKey | None:
    """Return the issuer's key with an id, None if it has none.

    Keys are remembered for a minute. An id that is not among them is looked up, after `before_looking` if it
    was not among those from before either; where it is not stored, the keys are asked for, once a minute at
    most, and waited for.
    """
    until, kept = _remembered.get(issuer.issuer, (0.0, {}))
    if kid in kept and time.monotonic() < until:
        return kept[kid]
    if kid not in kept:
        before_looking()
    # What the schedule, or another caller, has asked for may have it.
    stored = _await(issuer, kid, now=now)
    if kid not in stored.keys:
        if db.run(lambda connection: _may_ask(connection, issuer, now)):
            send([KeysRequest(issuer=issuer.issuer, url=issuer.jwks_url, requested_at=now)])
        stored = _await(issuer, kid, now=now)
    return stored.keys.get(kid)


# By issuer: until when, and the keys.
_remembered: dict[str, tuple[float, Mapping[str, PublicKey]]] = {}


def _look_up(issuer: Issuer) -> _Stored:
    """Return what is stored of an issuer now, and remember its keys."""
    values = {"issuer": issuer.issuer, "url": issuer.jwks_url}
    row = db.run(lambda connection: connection.execute(_SQL["find"], values).fetchone())
    if row is None:
        return _Stored(keys={}, requested_at=None, pending=False)
    read = [contract.adapter(PublicKey).validate_python(one) for one in row["keys"]]
    keys = {one.kid: one for one in read if issuer.takes(one)}
    _remembered[issuer.issuer] = (time.monotonic() + _REMEMBER_SECONDS, keys)
    return _Stored(keys=keys, requested_at=row["requested_at"], pending=row["pending"])


def _await(issuer: Issuer, kid: str, *, now: datetime) -> _Stored:
    """Return what is stored once the id is there, or no answer is awaited, or it has taken too long.

    The time counts from the request on, whoever made it: made-up ids cost one wait a minute.
    """
    end = time.monotonic() + min(WAIT.total_seconds(), time_limit.left() - _LAST_SECOND)
    while True:
        stored = _look_up(issuer)
        is_late = stored.requested_at is None or now - stored.requested_at > WAIT
        if kid in stored.keys or not stored.pending or is_late or time.monotonic() >= end:
            return stored
        time.sleep(_POLL_SECONDS)


def _may_ask(connection: Connection, issuer: Issuer, now: datetime) -> bool:
    """Tell whether the keys may be asked for out of turn, and note that they are."""
    values = {"issuer": issuer.issuer, "url": issuer.jwks_url, "now": now, "before": now - PAUSE}
    return connection.execute(_SQL["ask"], values).fetchone() is not None
