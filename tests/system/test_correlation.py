"""From a request to the last delivery of its event by one query of the logs, as docs/watching.md gives it."""

import json
import re
from pathlib import Path
from typing import Any

from tests.support.stack import Stack, appointments, book, starts, wait_until

ROOT = Path(__file__).parents[2]


def query() -> str:
    """Return the documented query."""
    text = (ROOT / "docs/watching.md").read_text("utf-8")
    [found] = re.findall(r"```\n(fields [^`]*like \"ID/VERSION\"[^`]*)```", text)
    return str(found)


def lines(stack: Stack, phrase: str) -> list[dict[str, Any]]:
    """Return what the query's filter finds in the logs of the functions."""
    return [
        json.loads(line[line.index("{") :])
        for path in sorted((stack.data / "logs").glob("*Function.log"))
        for line in path.read_text("utf-8", errors="replace").splitlines()
        if phrase in line and "{" in line
    ]


def test_one_query_shows_the_whole_way(quick: Stack) -> None:
    """The request with its id and answer, the queueing of its deliveries, each attempt with its outcome."""
    answer = book(quick, starts(quick)[40]["start_time"])
    made = answer.json()
    assert '@message like "ID/VERSION"' in query()
    phrase = f"{made['appointment_id']}/{made['version']}"

    def is_told() -> bool:
        known = appointments(quick).get(made["appointment_id"], {})
        return bool(known.get("crm_contact_id") and known.get("external_calendar_id"))

    wait_until(is_told, 30, "both partners were told")
    wait_until(lambda: len(lines(quick, phrase)) >= 4, 10, "everything is in the logs")
    found = lines(quick, phrase)
    [request] = [one for one in found if "_aws" in one]
    assert (request["route"], request["status"]) == ("POST /api/appointments", 201)
    assert request["request_id"] == answer.headers["X-Request-Id"]
    queued = [one for one in found if one.get("message") == "deliveries queued"]
    assert phrase in queued[0]["correlation_ids"]
    attempts = [one for one in found if one.get("message") == "attempt"]
    assert {one["kind"] for one in attempts if one["outcome"] == "delivered"} == {"crm", "calendar_api"}
    assert len({one["event_id"] for one in attempts}) == 1
