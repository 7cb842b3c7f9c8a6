"""The guards of several calendars a coach, and of how they go."""

from tests.mutants.guard import Guard

_SOURCES = "schema/functions/35_sources.sql"
_HEALTH = "schema/functions/36_source_health.sql"
_READ = "schema/functions/34_calendars_read.sql"
_CALENDARS = "schema/functions/03_calendars.sql"
_TESTS = "tests/integration/test_sources.py"
_HOW = "tests/integration/test_source_health.py"
_UNVERIFIED = "tests/integration/test_unverified.py"
_RECHECK = "tests/integration/test_recheck.py"
_HTTP = "tests/handlers/test_api_sources.py"

_ANSWERS = (
    Guard(
        "the last answer takes the place of all",
        _SOURCES,
        "           & CASE WHEN v_alone THEN",
        "           & CASE WHEN true THEN",
        f"{_TESTS}::test_a_coach_is_free_where_every_calendar_is",
    ),
    Guard(
        "a coach is as fresh as the one that was read last",
        _SOURCES,
        "THEN min(synced_at) END AS synced_at",
        "THEN max(synced_at) END AS synced_at",
        f"{_TESTS}::test_one_that_fails_keeps_what_it_said",
    ),
    Guard(
        "a reading of another account counts",
        _SOURCES,
        "source.source_id = p_source AND source.generation = p_generation",
        "source.source_id = p_source",
        f"{_TESTS}::test_a_reading_of_another_account_does_not_count",
    ),
    Guard(
        "an old message is about any of several",
        _SOURCES,
        "WHERE other.coach_id = p_coach AND other.source_id <> source.source_id) END",
        "WHERE false) END",
        f"{_TESTS}::test_messages_of_the_last_release_are_about_the_only_calendar",
    ),
    Guard(
        "each source that is added makes the roster again",
        _SOURCES,
        "    PERFORM engine.describe_sources(v_coaches);\n",
        "    PERFORM engine.describe_sources(ARRAY[one]) FROM unnest(v_coaches) AS one;\n",
        "tests/integration/test_large_documents.py::test_a_roster_is_made_once_for_the_sources_of_all",
    ),
    Guard(
        "one that goes leaves its busy time",
        _SOURCES,
        "    PERFORM engine.combine_sources(v_coach);\n",
        "",
        f"{_TESTS}::test_one_that_goes_frees_what_no_other_takes",
    ),
)

_GOING = (
    Guard(
        "a reading waits for the slowest of its batch",
        "functions/calendar_fetch/app.py",
        "wait_for(self._all_done.wait(), TOGETHER_SECONDS)",
        "wait_for(self._all_done.wait(), None)",
        "tests/handlers/test_calendar_fetch.py::test_no_reading_waits_for_a_slower_one",
    ),
    Guard(
        "a server may ask to wait for ever",
        "calendars/interface.py",
        "min(after, LONGEST_WAIT_SECONDS)",
        "after",
        "tests/handlers/test_calendar_fetch.py::test_who_asks_to_wait_for_ever_is_told_and_holds_up_nobody",
    ),
    Guard(
        "free and busy times tell of events of ours that are gone",
        "calendars/reading.py",
        "own_is_whole=found.sees_own and ",
        "own_is_whole=",
        "tests/unit/calendars/test_reading.py"
        "::test_what_cannot_see_our_events_does_not_say_that_they_are_gone",
    ),
    Guard(
        "a timeout disconnects",
        _HEALTH,
        "CASE WHEN engine.was_answered(p_error) THEN p_ended END",
        "p_ended",
        f"{_HOW}::test_what_is_no_word_of_the_provider_ends_nothing",
    ),
    Guard(
        "what is disconnected is polled",
        _HEALTH,
        "error = p_error, ended = v_ended,",
        "error = p_error, ended = NULL,",
        f"{_HOW}::test_a_clear_word_ends_a_source_and_the_tenant_is_told_once",
    ),
    Guard(
        "all sources are asked for at the same moment",
        _READ,
        "hashtextextended(p_source::text, 0)",
        "0",
        f"{_HOW}::test_sources_are_asked_for_evenly",
    ),
    Guard(
        "what a provider asks for is not waited",
        _HEALTH,
        "greatest(p_after * interval '1 second', engine.retry_after(failures + 1))",
        "engine.retry_after(failures + 1)",
        f"{_HOW}::test_what_a_provider_asks_for_is_waited",
    ),
    Guard(
        "a provider that is down is asked about every source",
        _READ,
        "                        WHERE tried.provider = due.provider AND tried.open_until IS NOT NULL)\n",
        "                        WHERE false)\n",
        f"{_HOW}::test_a_provider_that_does_not_answer_is_tried_with_one_source",
    ),
    Guard(
        "who lists while another asks has no time to wait from",
        "sql/sync.sql",
        "coalesce(max(source.first_requested_at), %(now)s) AS since",
        "max(source.first_requested_at) AS since",
        "tests/integration/test_sources.py::test_who_lists_while_another_asks_waits",
    ),
    Guard(
        "readings wait for the slowest of their batch",
        "functions/calendar_fetch/app.py",
        "await asyncio.wait_for(self._all_done.wait(), TOGETHER_SECONDS)",
        "await self._all_done.wait()",
        "tests/handlers/test_calendar_fetch.py::test_no_reading_waits_for_a_slower_one",
    ),
    Guard(
        "a provider that is down holds back all others",
        _READ,
        "AND NOT engine.is_open(p_provider => source.provider, p_now => p_now)) AS due",
        "AND NOT EXISTS (SELECT FROM calendar_providers AS one WHERE one.open_until > p_now)) AS due",
        "tests/integration/test_many_sources.py::test_a_provider_that_is_down_delays_no_other",
    ),
    Guard(
        "what a provider refuses opens its breaker",
        _HEALTH,
        "    ELSIF NOT engine.was_answered(p_error) THEN\n        INSERT",
        "    ELSIF p_error IS NOT NULL THEN\n        INSERT",
        f"{_HOW}::test_what_a_provider_refuses_is_no_outage",
    ),
)

_VERIFIED = (
    Guard(
        "who is not verified is booked",
        "schema/functions/11_choosing.sql",
        "    IF p_calendar.on_unverified = 'block' THEN",
        "    IF false THEN",
        f"{_UNVERIFIED}::test_nobody_is_booked_by_what_is_not_known",
    ),
    Guard(
        "who is not verified is listed",
        "coach_time/team_reading.py",
        '        who=_verified(team, who, row["verified_since"]),',
        "        who=who,",
        f"{_UNVERIFIED}::test_nobody_is_booked_by_what_is_not_known",
    ),
    Guard(
        "a page of before is shown for who is not verified now",
        "functions/availability/page_text.py",
        "        one.unverified,\n",
        "",
        f"{_HTTP}::test_a_page_names_who_is_verified_when_it_is_asked_for",
    ),
)

_ASKED = (
    Guard(
        "the chosen coach is not asked",
        "schema/functions/11_choosing.sql",
        "        IF p_calendar.on_unverified = 'recheck' THEN\n            PERFORM",
        "        IF false THEN\n            PERFORM",
        f"{_RECHECK}::test_who_is_busy_now_is_not_booked_and_not_passed_over",
    ),
    Guard(
        "who cannot be asked is free",
        "schema/functions/11_choosing.sql",
        "    ELSIF p_calendar.on_unverified = 'recheck' THEN\n        p_roster",
        "    ELSIF false THEN\n        p_roster",
        f"{_RECHECK}::test_who_cannot_be_asked_is_as_one_who_is_not_verified",
    ),
    Guard(
        "busy time that was found is freed by an older reading",
        _SOURCES,
        "AND checked_at > p_fetched_at LOOP",
        "AND false LOOP",
        f"{_RECHECK}::test_a_reading_that_began_before_does_not_free_it",
    ),
    Guard(
        "an answer about an hour opens it",
        "schema/functions/36_source_checks.sql",
        "FOR length(p_other)) & p_other",
        "FOR length(p_other)) | p_other",
        f"{_RECHECK}::test_what_is_free_there_opens_nothing",
    ),
)

GUARDS = (*_ANSWERS, *_GOING, *_VERIFIED, *_ASKED)
