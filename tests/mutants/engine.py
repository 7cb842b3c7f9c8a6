"""The guards of the engine itself: one coach for one time, and whose turn it is."""

from tests.mutants.guard import Guard

_SLOTS = "schema/functions/01_slots.sql"
_CALENDARS = "schema/functions/03_calendars.sql"
_APPOINTMENTS = "schema/functions/04_appointments.sql"
_CREDITS = "schema/functions/10_fairness.sql"
_CHOOSING = "schema/functions/11_choosing.sql"
_BOOKING = "schema/functions/13_booking.sql"
_COMMITS = "schema/functions/16_commits.sql"
_TABLES = "schema/tables/0001_baseline.sql"
_TESTS = "tests/integration"
_BOOK = f"{_TESTS}/test_booking.py"
_ORDER = f"{_TESTS}/test_booking_lock_order.py"
_RACES = f"{_TESTS}/test_booking_races.py"

_ADMITS = """
            AND engine.day_admits(day => day, p_from => p_from, p_to => p_from + p_count,
                                  p_before => p_before, p_after => p_after)
            FOR NO KEY UPDATE SKIP LOCKED;"""
_LOOK_AGAIN = """
          ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
        v_team := engine.ranked_team(p_calendar => p_calendar, p_from => p_from, p_count => p_count,
                                     p_before => p_before, p_after => p_after);"""
_RELEASE = (
    "    PERFORM engine.release_time(p_coach => a.coach_id, p_start => a.start_time, p_takes => a.takes);\n"
)
_CALENDAR = "WHERE calendar_id = p_calendar AND tenant_id = p_tenant"

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
        "\n            FOR NO KEY UPDATE SKIP LOCKED;",
        f"{_ORDER}::test_a_coach_lost_after_the_look_is_passed_over",
    ),
    Guard(
        "nor when it was waited for",
        _CHOOSING,
        _LOOK_AGAIN,
        "\n          ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;",
        _RACES,
    ),
    Guard(
        "the calendar is not locked",
        _BOOKING,
        f"{_CALENDAR} FOR NO KEY UPDATE;",
        f"{_CALENDAR};",
        f"{_RACES}::test_contention_stays_fast",
    ),
    Guard(
        "who is locked by another counts as taken",
        _CHOOSING,
        "ELSIF v_contended OR v_best.excluded IS NULL THEN",
        "ELSIF v_best.excluded IS NULL THEN",
        f"{_RACES}::test_a_coach_who_is_only_locked_is_not_taken",
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
        "ELSIF p_all_of_coach AND v_coach <>",
        "ELSIF false AND v_coach <>",
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
        "    PERFORM pg_logical_emit_message(false, 'fairslot', '', true);\n",
        "",
        f"{_TESTS}/test_booking_restart.py",
    ),
)

_FAIRNESS = (
    Guard(
        "a cancellation returns no credit",
        _BOOKING,
        "        PERFORM engine.reverse_decision(p_appointment, v_now);\n    END IF;\n    RETURN",
        "    END IF;\n    RETURN",
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
        "the bound knows no refunds",
        "sql/distribution.sql",
        " + team.undone + team.gone",
        "",
        f"{_TESTS}/test_fairness.py",
    ),
    Guard(
        "what a coach cancels counts as never had",
        "sql/distribution.sql",
        "      FROM entries WHERE kind <> 'left'\n",
        "      FROM entries JOIN coach_appointments USING (appointment_id) WHERE status <> 'cancelled'\n",
        f"{_TESTS}/test_fairness.py",
    ),
    Guard(
        "a reversal is only written down",
        _CREDITS,
        "SET credit = member.credit + (one.value ->> 'delta')::bigint,",
        "SET credit = member.credit,",
        _BOOK,
    ),
    Guard(
        "a reversal forgets whose turn it was",
        _CREDITS,
        "CASE WHEN member.last_assigned_seq = v_one.seq THEN (one.value ->> 'last')::bigint",
        "CASE WHEN false THEN (one.value ->> 'last')::bigint",
        f"{_TESTS}/test_replay.py",
    ),
    Guard(
        "who leaves takes the credit along",
        _CREDITS,
        "AS member SET credit = member.credit + (one ->> 'delta')::bigint",
        "AS member SET credit = member.credit",
        f"{_TESTS}/test_decisions.py::test_leaving_spreads_the_credit",
    ),
)

GUARDS = (*_TIME, *_FAIRNESS)
