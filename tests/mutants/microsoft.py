"""The guards between us and Microsoft Graph: what is free, what is ours, and what ends a source."""

from tests.mutants.guard import Guard

_EVENTS = "calendars/microsoft_events.py"
_CALENDAR = "calendars/microsoft.py"
_UNIT = "tests/unit/calendars"
_AGAINST = "tests/integration/calendars"

GUARDS = (
    Guard(
        "what Graph calls tentative, away or unknown is free",
        _EVENTS,
        'return self.show_as != "free"',
        'return self.show_as == "busy"',
        f"{_UNIT}/test_microsoft_reading.py::test_what_takes_time",
    ),
    Guard(
        "an error inside a 200 of getSchedule is free",
        "calendars/microsoft_schedule.py",
        "if found.error is not None:",
        "if False:",
        f"{_UNIT}/test_microsoft_schedule.py::test_an_error_inside_a_200_is_never_free",
    ),
    Guard(
        "a copy of an event of ours at Microsoft is ours",
        _EVENTS,
        "key is not None and self.transaction_id == event_id(key)",
        "key is not None",
        f"{_UNIT}/test_microsoft_reading.py",
    ),
    Guard(
        "what another source wrote at Microsoft is ours",
        _EVENTS,
        "return key if key is not None and key.source_id == self._source_id else None",
        "return key",
        f"{_UNIT}/test_microsoft_reading.py::test_our_events_take_no_time_and_are_seen",
    ),
    Guard(
        "an event of ours at Microsoft is busy",
        _EVENTS,
        "if key is not None and key not in self._own:",
        "if False:",
        f"{_UNIT}/test_microsoft_reading.py::test_our_events_take_no_time_and_are_seen",
    ),
    Guard(
        "days at Microsoft are those of UTC",
        _EVENTS,
        "return whole_days(self.start, self.end, zone)",
        "return touched(*instants(self.start, self.end))",
        f"{_UNIT}/test_microsoft_reading.py::test_a_day_begins_when_the_coachs_does",
    ),
    Guard(
        "a page that is not the last of Graph's is",
        _CALENDAR,
        "    if link is None:\n",
        "    if True:\n",
        f"{_AGAINST}/test_microsoft.py::test_all_pages_count",
    ),
    Guard(
        "an event is made at Microsoft without a look for it",
        _CALENDAR,
        "await self._find(event.key) or await self._create(event)",
        "await self._create(event)",
        f"{_AGAINST}/test_microsoft.py::test_a_lost_answer_makes_no_second_event",
    ),
    Guard(
        "a move that comes late at Microsoft overtakes another",
        _CALENDAR,
        '{"If-Match": found.etag} if found.etag else {}',
        "{}",
        f"{_AGAINST}/test_microsoft.py::test_a_move_that_comes_late_overtakes_nothing",
    ),
    Guard(
        "a failure of Graph ends a source",
        "calendars/microsoft_errors.py",
        "if found is not None and answer.status in {400, 403, 404}:",
        "if found is not None:",
        f"{_UNIT}/test_microsoft_reading.py::test_only_a_clear_word_ends_a_source",
    ),
    Guard(
        "a subscription is thought to last as long as was asked",
        "calendars/microsoft_subscriptions.py",
        "expires_at=expires_at.astimezone(UTC)",
        "expires_at=datetime.now(UTC) + LONGEST",
        f"{_AGAINST}/test_microsoft_subscriptions.py::test_what_is_granted_is_obeyed",
    ),
    Guard(
        "events are asked for where only free and busy times may be read",
        "calendars/microsoft_opening.py",
        'return _BASIC in of_calendars and not of_calendars & {"calendars.read", "calendars.readwrite"}',
        "return False",
        f"{_AGAINST}/test_microsoft_opening.py::test_scopes_of_the_basics_alone_ask_for_no_events",
    ),
)
