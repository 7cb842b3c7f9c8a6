"""The guards of the engine itself: one coach for one time, and whose turn it is."""

from tests.mutants.guard import Guard

_SLOTS = "schema/functions/01_slots.sql"
_CALENDARS = "schema/functions/03_calendars.sql"
_APPOINTMENTS = "schema/functions/04_appointments.sql"
_CREDITS = "schema/functions/10_fairness.sql"
_CHOOSING = "schema/functions/11_choosing.sql"
_BOOKING = "schema/functions/13_booking.sql"
_COMMITS = "schema/functions/18_commits.sql"
_TABLES = "schema/tables/0001_baseline/1_calendars.sql"
_TESTS = "tests/integration"
_BOOK = f"{_TESTS}/test_booking.py"
_ORDER = f"{_TESTS}/test_booking_lock_order.py"
_RACES = f"{_TESTS}/test_booking_races.py"

_ROSTERS = "schema/functions/16_rosters.sql"
_ADMITS = """
           AND engine.day_admits(day => day, p_from => p_from, p_to => p_to, p_before => p_before,
                                 p_after => p_after);
        RETURN FOUND;"""
_RELEASE = (
    "    PERFORM engine.release_time(p_coach => a.coach_id, p_start => a.start_time, p_end => a.end_time,"
    " p_takes => a.takes);\n"
)

_TIME = (
    Guard(
        "two may have one coach's time, for all the table knows",
        _TABLES,
        "EXCLUDE USING gist (coach_id WITH =, takes WITH &&)",
        "EXCLUDE USING gist (coach_id WITH =, takes WITH &&, appointment_id WITH =)",
        f"{_BOOK}::test_the_constraint_stands_behind_the_locks",
    ),
    Guard(
        "whether a coach is free is not asked under the lock",
        _CHOOSING,
        _ADMITS,
        ";\n        RETURN FOUND;",
        f"{_ORDER}::test_a_coach_lost_after_the_look_is_passed_over",
    ),
    Guard(
        "nor in an appointment over two days",
        _CHOOSING,
        "                           p_after => p_after) IS NOT NULL THEN\n        RETURN false;",
        "                           p_after => p_after) IS NOT NULL AND false THEN\n        RETURN false;",
        f"{_ORDER}::test_two_days_lost_while_waiting_are_not_taken",
    ),
    Guard(
        "a booking does not lock its calendar",
        _APPOINTMENTS,
        "    v_locked boolean := engine.lock_calendar(p_calendar);\n",
        "",
        f"{_ORDER}::test_every_change_waits_for_its_calendar",
    ),
    Guard(
        "a change does not lock its calendar",
        _APPOINTMENTS,
        "        PERFORM engine.lock_calendar(v_own);\n",
        "        NULL;\n",
        f"{_ORDER}::test_every_change_waits_for_its_calendar",
    ),
    Guard(
        "a coach leaves without the calendar's lock",
        "schema/functions/21_team.sql",
        "    PERFORM engine.lock_calendars(p_calendars);\n    FOR v_one",
        "    FOR v_one",
        f"{_ORDER}::test_every_change_waits_for_its_calendar",
    ),
    Guard(
        "calendars are locked in the order in which they are given",
        _APPOINTMENTS,
        'SELECT DISTINCT one COLLATE "C" FROM unnest(p_calendars) AS one ORDER BY 1 LOOP',
        "SELECT one FROM unnest(p_calendars) AS one LOOP",
        f"{_ORDER}::test_calendars_are_locked_in_one_order",
    ),
    Guard(
        "a lock out of order is kept while waiting",
        _CHOOSING,
        "AND day.xmax = pg_current_xact_id()::xid",
        "AND false",
        _ORDER,
    ),
    Guard(
        "an outcome locks whose calendars it will",
        _APPOINTMENTS,
        "        IF v_coach <> (SELECT",
        "        IF false AND v_coach <> (SELECT",
        _ORDER,
    ),
    Guard(
        "a coach's daily maximum is not looked at",
        _SLOTS,
        "AND (day.booked < day.max_per_day OR",
        "AND (true OR",
        f"{_BOOK}::test_the_daily_maximum_holds_in_the_coachs_zone",
    ),
    Guard(
        "a calendar's daily maximum is not looked at",
        _CALENDARS,
        "HAVING count(*) >= p_calendar.max_per_day",
        "HAVING false",
        f"{_TESTS}/test_decisions.py",
    ),
    Guard(
        "a day that begins twice begins the second time",
        _SLOTS,
        "FROM generate_series(0, 8) AS step",
        "FROM generate_series(0, 0) AS step",
        f"{_TESTS}/test_shut_days.py::test_listing_and_booking_agree_in_every_zone",
    ),
    Guard(
        "a zone is taken for an abbreviation",
        _SLOTS,
        "WHEN 'CET' THEN 'Europe/Brussels' ",
        "",
        f"{_TESTS}/test_zones_apart.py",
    ),
    Guard(
        "a calendar that takes nothing is shut by the days of another zone",
        _CALENDARS,
        "(p_to AT TIME ZONE engine.full_zone(p_calendar.time_zone))::date",
        "p_to::date",
        f"{_TESTS}/test_shut_days.py::test_listing_and_booking_agree_in_every_zone",
    ),
    Guard(
        "cancelling does not free the time",
        _BOOKING,
        f"{_RELEASE}    IF p_cancelled_by",
        "    IF p_cancelled_by",
        _BOOK,
    ),
    Guard(
        "cancelling does not count down",
        _CHOOSING,
        "booked = day.booked - CASE",
        "booked = day.booked - 0 * CASE",
        _BOOK,
    ),
    Guard(
        "a buffer may lie on another appointment",
        _SLOTS,
        "AND (p_before + p_after = 0 OR engine.has_slots(p_bits => day.open",
        "AND (true OR engine.has_slots(p_bits => day.open",
        f"{_TESTS}/test_decisions.py::test_every_reason_has_its_case",
    ),
    Guard(
        "an answer does not wait for the disk",
        _COMMITS,
        "RETURN pg_logical_emit_message(false, 'fairslot', '', true);",
        "RETURN pg_logical_emit_message(false, 'fairslot', '', false);",
        f"{_TESTS}/test_booking_restart.py",
    ),
    Guard(
        "no change waits for the disk",
        _COMMITS,
        "    COMMIT;\n    v_end := engine.flush_log();\n",
        "",
        f"{_TESTS}/test_booking_durable.py",
        times=7,
    ),
)

_FAIRNESS = (
    Guard(
        "a decision does not move the credits",
        "schema/functions/02_changes.sql",
        "CASE WHEN kind = p_decision.kind THEN p_decision.credits_after ELSE credits END",
        "credits",
        f"{_TESTS}/test_replay.py",
    ),
    Guard(
        "a cancellation returns no credit",
        _BOOKING,
        "    IF p_cancelled_by <> 'coach' THEN\n",
        "    IF false THEN\n",
        _BOOK,
    ),
    Guard(
        "a coach who cancels is refunded",
        _BOOKING,
        "    IF p_cancelled_by <> 'coach' THEN\n",
        "    IF true THEN\n",
        _BOOK,
    ),
    Guard(
        "what a coach cancels counts as never had",
        "sql/distribution.sql",
        "      FROM kept WHERE step IN ('assigned', 'reversed')\n",
        "      FROM kept JOIN coach_appointments USING (appointment_id) WHERE status <> 'cancelled'\n",
        f"{_TESTS}/test_fairness.py",
    ),
    Guard(
        "a reversal is only written down",
        _CREDITS,
        "            v_credits[i] := v_credits[i] + v_deltas[i];\n",
        "",
        _BOOK,
    ),
    Guard(
        "a reversal forgets whose turn it was",
        _CREDITS,
        "            IF v_lasts[i] = v_made.seq THEN",
        "            IF false THEN",
        f"{_TESTS}/test_replay.py",
    ),
    Guard(
        "a roster that a decision used is edited",
        _ROSTERS,
        "v_used := v_seq > v_old.since;",
        "v_used := false;",
        f"{_TESTS}/test_rosters.py",
    ),
    Guard(
        "a change of the scores by hand is not followed",
        _ROSTERS,
        "IS DISTINCT FROM (coach.active, coach.score, coach.calendar_kind,",
        "IS DISTINCT FROM (coach.active, was.score, coach.calendar_kind,",
        f"{_TESTS}/test_rosters.py",
    ),
    Guard(
        "what has appointments can be deleted",
        _ROSTERS,
        "RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation',",
        "RAISE NOTICE USING ERRCODE = 'foreign_key_violation',",
        f"{_TESTS}/test_rosters.py",
    ),
)

GUARDS = (*_TIME, *_FAIRNESS)
