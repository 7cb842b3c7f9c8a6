"""Every route of the API, asked by one tenant with the ids of another: to it they are as ids of nothing."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.clock import DAY, NINE
from tests.support.connecting import PUBLIC_URL, SECRET
from tests.support.fixtures import Clock, Environment
from tests.support.http import NOTHING, Answer, ask, booking_body
from tests.support.team_api import CALENDAR, COACH
from tests.support.tenant_probes import World

_SPAN = {"start_time": NINE.isoformat(), "end_time": (NINE + DAY).isoformat()}
_START = {"start_time": NINE.isoformat()}
# What is sent beside the ids; a route that requires a body and is not here is refused as such, which fails.
_BODIES: dict[str, Any] = {
    "apply_document": {"calendars": {"{calendar_id}": CALENDAR}, "coaches": {"{coach_id}": COACH}},
    "create_absence": {"start": _SPAN["start_time"], "end": _SPAN["end_time"]},
    "create_adjustment": {"coach_id": "{coach_id}", "bookings": 1, "reason": "why"},
    "create_calendar_source": {"kind": "google"},
    "create_connection": {"kind": "caldav", "source_id": "{source_id}"},
    "create_appointment": booking_body(NINE, calendar_id="{calendar_id}", hold_id="{hold_id}"),
    "create_endpoint": {"url": "{url}", "event_types": ["*"]},
    "create_hold": {"calendar_id": "{calendar_id}", **_START},
    "create_key": {"scopes": ["read"], "calendars": ["{calendar_id}"]},
    "patch_calendar_source": {"calendar_ref": "new"},
    "put_absence": {"start": _SPAN["start_time"], "end": _SPAN["end_time"]},
    "put_calendar": CALENDAR,
    "put_coach": COACH,
    "receive_calendar_event": {"event_type": "coach.unavailable", "coach_id": "{coach_id}", **_SPAN},
    "recover_endpoint": {"since": NINE.isoformat()},
    "report_outcome": {"outcome": "completed"},
    "reschedule_appointment": {**_START, "coach": "any"},
    "update_endpoint": {"url": "{url}"},
}
_QUERIES = {"explain_availability": _START}
_IN_QUERY = {
    "appointment_id": "{appointment_id}",
    "calendar_id": "{calendar_id}",
    "calendars": "{calendar_id}",
    "coach_id": "{coach_id}",
    "endpoint_id": "{endpoint_id}",
    "source": "{inbound_source_id}",
}
# An id of a coach or a calendar that another tenant has cannot be made: docs/decisions/0120.
_MAKES = {"apply_document", "put_calendar", "put_coach"}
# An id of nothing in the body is a mistake there.
_REFUSES = {"create_key"}
# What makes something comes last: the one who asks has it then.
_OPERATIONS = sorted(operations(), key=lambda one: one.name.startswith("create"))
_PLACES = sorted({one.path.removeprefix("/api").split("/")[1] for one in _OPERATIONS})


@pytest.fixture
def world(connection: Connection, environment: Environment, clock: Clock, kms: None) -> World:
    """Two tenants, each with a key for everything."""
    environment(FIRST_SYNC_WAIT_SECONDS="0", PUBLIC_URL=PUBLIC_URL, CONNECT_SECRETS=SECRET)
    return World(connection)


@pytest.mark.parametrize("place", _PLACES)
def test_what_another_tenant_has_is_as_nothing(world: World, place: str) -> None:
    """On each route below a place: nothing of it comes back, nothing of it changes, and nobody can tell."""
    before, found = world.rows_of_owner(), []
    for one in _OPERATIONS:
        if one.path.removeprefix("/api").split("/")[1] == place:
            found += [f"{one.name} {ids}: {what}" for ids, what in _asked(world, one)]
            if world.rows_of_owner() != before:
                found.append(f"{one.name}: it changed {world.rows_of_owner() ^ before}")
                before = world.rows_of_owner()
    assert found == []


def _asked(world: World, operation: Operation) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Ask with ids of the owner, some or all, and with ids of nothing; return where that is not the same."""
    query = _QUERIES.get(operation.name, {}) | {
        name: _IN_QUERY[name] for name in operation.names("query") if name in _IN_QUERY
    }
    body = _BODIES.get(operation.name, {}) if "requestBody" in operation.described else NOTHING
    template = json.dumps([operation.path, query, None if body is NOTHING else body])
    if operation.name.startswith(("list_", "get_distribution")) and query:
        answer = _ask(world, operation, body, {}, world.stranger.ids)
        if answer.status >= 400 or world.names_owner(answer.body.decode(), ()):
            yield {}, f"without a filter: {answer}"
    names = [name for name in world.owner.ids if f"{{{name}}}" in template]
    for owned in itertools.product((True, False), repeat=len(names)):
        foreign = [name for name, is_owned in zip(names, owned, strict=True) if is_owned]
        if not foreign and operation.method != "GET":
            continue  # its own to change
        ids = world.stranger.ids | {name: world.owner.ids[name] for name in foreign}
        answer = _ask(world, operation, body, query, ids)
        if world.names_owner(answer.body.decode(), [ids[name] for name in names]):
            yield ids, f"it tells {answer}"
        if not foreign:
            if answer.status >= 400:
                yield ids, f"its own is refused: {answer}"
            continue
        nothing = ids | {name: _unknown(world.owner.ids[name]) for name in foreign}
        other = _ask(world, operation, body, query, nothing)
        if operation.name not in _MAKES and _said(answer, ids) != _said(other, nothing):
            yield ids, f"{answer}, and of nothing {other}"
        if other.status in {400, 422} and operation.name not in _REFUSES:
            yield ids, f"it is not asked rightly: {other}"


def _ask(world: World, operation: Operation, body: Any, query: Any, ids: Mapping[str, Any]) -> Answer:
    return ask(
        operation.method,
        operation.path.format(**ids),
        body if body is NOTHING else _filled(body, ids),
        query=_filled(query, ids),
        key=world.stranger.key,
        headers={"X-Idempotency-Key": str(uuid4())},
    )


def _filled(given: Any, ids: Mapping[str, Any]) -> Any:
    """Return a body or a query with the ids in their places."""
    if isinstance(given, dict):
        return {_filled(name, ids): _filled(one, ids) for name, one in given.items()}
    if isinstance(given, list):
        return [_filled(one, ids) for one in given]
    if isinstance(given, str) and given.startswith("{"):
        return given.format(**ids)
    return given


def _unknown(known: Any) -> Any:
    """Return an id of the same form that nothing has, another one each time: some routes make things."""
    return known.replace("acme", f"nobody{uuid4().hex[:8]}") if isinstance(known, str) else uuid4()


def _said(answer: Answer, ids: Mapping[str, Any]) -> tuple[int, str]:
    """Return what tells one answer from another; those that grant have ids and instants of their own."""
    text = answer.body.decode() if answer.status >= 400 else ""
    for one in ids.values():
        text = text.replace(str(one), "")
    return answer.status, text
