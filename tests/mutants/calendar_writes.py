"""The guards of our events in coaches' calendars: each once, in order, and never against the coach."""

from tests.mutants.guard import Guard

_EVENTS = "schema/functions/37_calendar_events.sql"
_ANSWERS = "schema/functions/37_calendar_answers.sql"
_TESTS = "tests/integration/test_calendar_events.py"

GUARDS = (
    Guard(
        "an event that is wanted again keeps its generation",
        _EVENTS,
        "WHEN event.wanted IS NULL AND event.sent_revision IS NOT NULL THEN 1 ELSE 0 END",
        "WHEN event.wanted IS NULL AND event.sent_revision IS NOT NULL THEN 0 ELSE 0 END",
        f"{_TESTS}::test_a_reassignment_goes_from_one_to_the_other",
    ),
    Guard(
        "a refused event keeps its generation",
        _ANSWERS,
        "generation = v_generation + 1, conflicts",
        "generation = v_generation, conflicts",
        f"{_TESTS}::test_a_coach_who_deletes_is_told_of_once",
    ),
    Guard(
        "two writes of one event are under way",
        _EVENTS,
        "AND (event.delivery_id IS NULL\n                OR ",
        "AND (true\n                OR ",
        f"{_TESTS}::test_one_write_at_a_time",
    ),
    Guard(
        "what was read before another had its turn counts",
        _EVENTS,
        "    PERFORM FROM calendar_events AS event WHERE event.appointment_id = ANY (p_appointments)\n"
        "      ORDER BY event.appointment_id, event.source_id FOR NO KEY UPDATE;\n",
        "",
        f"{_TESTS}::test_who_waits_for_another_reads_what_that_one_knew",
    ),
    Guard(
        "a message that was kept back is written",
        "dispatch/calendar_events.py",
        'await permitted_until(delivery.delivery_id, seconds=seconds, what="calendar_event")',
        "pass",
        f"{_TESTS}::test_a_message_that_was_kept_back_asks_first",
    ),
    Guard(
        "what a late answer undid stays so",
        _ANSWERS,
        "SET revision = revision + 1, confirmed = v_stands",
        "SET confirmed = v_stands",
        f"{_TESTS}::test_a_late_copy_of_a_message_is_undone",
    ),
    Guard(
        "a creation that arrives late stays",
        _ANSWERS,
        "IF p_seen IS NOT NULL THEN  -- The answer to its creation",
        "IF false THEN  -- The answer to its creation",
        f"{_TESTS}::test_a_creation_that_arrives_late",
    ),
    Guard(
        "a coach is told of again and again",
        _ANSWERS,
        "ELSIF (e.changed, e.changed_to) IS DISTINCT FROM (CASE WHEN",
        "ELSIF true OR (e.changed, e.changed_to) IS DISTINCT FROM (CASE WHEN",
        f"{_TESTS}::test_a_coach_who_moves_is_told_of_once",
    ),
    Guard(
        "a reading of before the answer accuses the coach",
        _ANSWERS,
        " OR e.confirmed_at >= p_at - interval '2 seconds' THEN\n        NULL;",
        " THEN\n        NULL;",
        f"{_TESTS}::test_a_reading_that_began_before_the_answer_says_nothing",
    ),
    Guard(
        "the word about another account disconnects",
        _ANSWERS,
        "WHERE source_id = p_source AND generation = p_generation AND ended IS NULL",
        "WHERE source_id = p_source AND ended IS NULL",
        f"{_TESTS}::test_the_word_about_another_account_does_not_disconnect",
    ),
    Guard(
        "a calendar that does not answer delays the others",
        "messages/deliveries.py",
        'return str(self.data.get("source_id"))',
        "return str(self.endpoint_id or self.kind)",
        "tests/unit/dispatch/test_calendar_events.py::test_each_calendar_has_its_own_limits",
    ),
    Guard(
        "a provider that is down delays everybody, a calendar at a time",
        "functions/webhook_dispatch/app.py",
        "if delivery.provider else None",
        "if False else None",
        "tests/handlers/test_webhook_dispatch_calendars.py::test_a_provider_that_is_down_keeps_nobody_waiting",
    ),
    Guard(
        "a refused removal ends a calendar that is only read",
        _ANSWERS,
        "AND ended IS NULL AND writes",
        "AND ended IS NULL",
        f"{_TESTS}::test_a_calendar_that_is_only_read_is_not_ended_by_a_removal",
    ),
)
