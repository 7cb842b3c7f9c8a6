"""The steps of writing to a coach's calendar and of reading it, at which a process may end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from tests.support.proxies import Halt, Where

type Action = Literal["put", "remove", "read"]

# The request by which a provider does it.
REQUESTS: Mapping[Action, Mapping[str, str]] = {
    "put": {
        "google": "POST /calendar/v3/calendars/primary/events",
        "microsoft": "POST /v1.0/me/calendar/events",
        "caldav": "PUT /carla/calendar/",
    },
    "remove": {
        "google": "DELETE /calendar/v3/calendars/primary/events/",
        "microsoft": "DELETE /v1.0/me/events/",
        "caldav": "DELETE /carla/calendar/",
    },
    "read": {
        "google": "GET /calendar/v3/calendars/primary/events?",
        "microsoft": "GET /v1.0/me/calendar/calendarView",
        "caldav": "REPORT /carla/calendar/",
    },
}


@dataclass(frozen=True)
class Cut:
    """Where a process is stopped and killed, and whether what it is at is done by then.

    In the markers DOES stands for the provider's request, ID for what is done, a delivery or a source that
    is read, and BYTES for the same as the database gets it.
    """

    step: str
    part: Literal["provider", "queues", "database"]
    where: Where
    function: str
    markers: Sequence[str]
    done: bool

    def halt(self, action: Action, kind: str, named: UUID | None) -> Halt:
        """Return it for an action in a calendar of a kind, once it is known what is done."""
        known = {"DOES": REQUESTS[action][kind].encode()}
        if named is not None:
            known |= {"ID": str(named).encode(), "BYTES": named.bytes}
        return Halt(self.where, self.function, [known.get(one, one.encode()) for one in self.markers])


_REPORT, _RECORD = ["SendMessageBatch", "ResultsQueue", "ID"], ["record_attempt", "BYTES"]
ASKED = Cut("before the provider is asked", "provider", "request", "DispatchFunction", ["DOES"], done=False)
ANSWERED = Cut("before its answer comes", "provider", "answer", "DispatchFunction", ["DOES"], done=True)
REPORTED = Cut("before that is reported", "queues", "request", "DispatchFunction", _REPORT, done=True)
RECORDED = Cut("before that is recorded", "database", "request", "ResultsFunction", _RECORD, done=True)
KNOWN = Cut("before it is known to be recorded", "database", "answer", "ResultsFunction", _RECORD, done=True)
_TELL, _STORE = ["SendMessageBatch", "FetchedQueue", "ID"], ["store_reading", "BYTES"]
LOOKED = Cut("before the provider is asked", "provider", "request", "FetchFunction", ["DOES"], done=False)
SEEN = Cut("before its answer comes", "provider", "answer", "FetchFunction", ["DOES"], done=False)
TOLD = Cut("before that is told", "queues", "request", "FetchFunction", _TELL, done=False)
STORED = Cut("before that is stored", "database", "request", "StoreFunction", _STORE, done=False)
KEPT = Cut("before it is known to be stored", "database", "answer", "StoreFunction", _STORE, done=True)

# Each kill costs the time in which its message comes back. What lies behind a provider's answer is the same
# for all kinds: together they go through every step of putting, removing and reading. A message that asks for
# a reading is set aside the fourth time.
CUTS: Mapping[str, Mapping[Action, Sequence[Cut]]] = {
    "google": {
        "put": [ASKED, ANSWERED, REPORTED, RECORDED, KNOWN],
        "remove": [ASKED],
        "read": [LOOKED, TOLD, STORED, KEPT],
    },
    "microsoft": {"put": [ANSWERED], "remove": [ANSWERED, REPORTED], "read": [SEEN, TOLD]},
    "caldav": {"put": [ANSWERED], "remove": [ANSWERED, RECORDED, KNOWN], "read": [LOOKED, SEEN]},
}
