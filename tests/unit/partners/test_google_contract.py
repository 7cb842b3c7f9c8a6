"""What we ask of Google is in its own description of the API, which refuses what is not."""

from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from fairslot.calendars.google_events import FIELDS, LIST_FIELDS
from fairslot.calendars.oauth import GOOGLE, GOOGLE_EVENTS, GOOGLE_FREE_BUSY
from tests.support.google_contract import ContractError, check, check_mask, check_request, document, method

BASE = "http://127.0.0.1/calendar/v3"
EVENTS = "calendars/primary/events"


@pytest.mark.parametrize(
    ("verb", "path", "scopes"),
    [
        ("GET", EVENTS, GOOGLE_EVENTS),
        ("POST", EVENTS, GOOGLE_EVENTS),
        ("GET", f"{EVENTS}/a", GOOGLE_EVENTS),
        ("PATCH", f"{EVENTS}/a", GOOGLE_EVENTS),
        ("DELETE", f"{EVENTS}/a", GOOGLE_EVENTS),
        ("POST", f"{EVENTS}/watch", GOOGLE_EVENTS),
        ("POST", "channels/stop", GOOGLE_EVENTS),
        ("GET", "users/me/calendarList", GOOGLE_EVENTS),
        ("POST", "freeBusy", GOOGLE_FREE_BUSY),
    ],
)
def test_the_scopes_allow_every_call(verb: str, path: str, scopes: Iterable[str]) -> None:
    """One of those that are asked for is enough."""
    assert set(method(verb, path)["scopes"]) & set(scopes)


def test_the_scope_that_includes_others_allows_what_they_do() -> None:
    """As `missing` takes it for them."""
    for whole, parts in GOOGLE.includes.items():
        for one in (
            method("GET", EVENTS),
            method("POST", "freeBusy"),
            method("GET", "users/me/calendarList"),
        ):
            assert whole in one["scopes"]
            assert set(parts) & set(one["scopes"])


def test_the_masks_name_members_that_there_are() -> None:
    """A misspelt one would be a 400, and a missing one an event without times."""
    check_mask("Event", FIELDS, "an event")
    check_mask("Events", LIST_FIELDS, "a page")
    with pytest.raises(ContractError, match="there is no member attendee"):
        check_mask("Events", "items(id,attendee)", "a page")


@pytest.mark.parametrize(
    "value",
    [
        {"id": 7},
        {"name": "a member that there is not"},
        {"start": {"dateTime": "2026-11-30T10:00:00"}},
        {"start": {"date": "30.11.2026"}},
        {"attendees": [{"self": "true"}]},
        {"extendedProperties": {"private": {"fairslotEvent": 7}}},
    ],
)
def test_what_is_no_event_is_refused(value: dict[str, Any]) -> None:
    """Names and types, down to the last member."""
    with pytest.raises(ContractError):
        check("Event", value, "an event")


@pytest.mark.parametrize(
    ("verb", "url", "body"),
    [
        ("PUT", EVENTS, {}),
        ("GET", f"{EVENTS}?maxResult=5", None),
        ("GET", f"{EVENTS}?maxResults=0", None),
        ("GET", f"{EVENTS}?singleEvents=yes", None),
        ("GET", f"{EVENTS}?timeMin=2026-11-30T10:00:00", None),
        ("DELETE", f"{EVENTS}/a?sendUpdates=nobody", None),
        ("POST", "channels/stop", {"channelId": "a"}),
        ("POST", "freeBusy", {"items": [{"email": "a"}]}),
        ("PATCH", f"{EVENTS}/a", {"begin": None, "start": {"dateTime": 7}}),
    ],
)
def test_what_is_no_request_is_refused(verb: str, url: str, body: object) -> None:
    """Paths, parameters and bodies."""
    with pytest.raises(ContractError):
        check_request(httpx.Request(verb, f"{BASE}/{url}", json=body))


def test_the_document_is_of_the_api_that_we_call() -> None:
    """A new one comes with a new version of the package."""
    assert (document()["name"], document()["version"]) == ("calendar", "v3")
