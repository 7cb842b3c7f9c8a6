"""The guards of holds and of changes of appointments."""

from tests.mutants.guard import Guard

_CALENDARS = "schema/functions/03_calendars.sql"
_APPOINTMENTS = "schema/functions/04_appointments.sql"
_CHOOSING = "schema/functions/11_choosing.sql"
_HOLDS_SQL = "schema/functions/12_holds.sql"
_BOOKING = "schema/functions/13_booking.sql"
_CHANGES = "schema/functions/14_changes.sql"
_TESTS = "tests/integration"
_BOOK = f"{_TESTS}/test_booking.py"
_HOLDS = f"{_TESTS}/test_holds.py"
_LIVES = f"{_TESTS}/test_life.py"

GUARDS = (
    Guard(
        "an expired hold can be confirmed",
        _HOLDS_SQL,
        "IF NOT FOUND OR v_hold.expires_at <= p_now THEN",
        "IF NOT FOUND THEN",
        _HOLDS,
    ),
    Guard(
        "an expired hold is in the way",
        _CHOOSING,
        "WHERE hold.status = 'held' AND hold.expires_at <= p_now AND member.calendar_id = p_calendar",
        "WHERE false",
        _HOLDS,
    ),
    Guard(
        "an expired hold fills a calendar's day",
        _CALENDARS,
        "               AND (a.expires_at IS NULL OR a.expires_at > p_now)\n",
        "",
        f"{_HOLDS}::test_an_expired_hold_is_not_counted",
    ),
    Guard(
        "an expired hold is explained as held",
        "booking/decisions.py",
        'if grid["has_expired_holds"]:',
        "if False:",
        f"{_HOLDS}::test_explaining_knows_no_expired_holds",
    ),
    Guard(
        "a client holds what it likes",
        _HOLDS_SQL,
        "    IF p_limit <= (SELECT count(*)",
        "    IF 1000000 <= (SELECT count(*)",
        _HOLDS,
    ),
    Guard(
        "a hold is confirmed as something else",
        _HOLDS_SQL,
        "ELSIF (v_hold.calendar_id, v_hold.start_time) <> (p_calendar.calendar_id, p_start) THEN",
        "ELSIF false THEN",
        _HOLDS,
    ),
    Guard(
        "a hold is confirmed after its start",
        _HOLDS_SQL,
        "    IF p_start <= p_now THEN\n",
        "    IF false THEN\n",
        f"{_HOLDS}::test_what_is_held_must_be_to_come",
    ),
    Guard(
        "a hold outlives its start",
        _CHOOSING,
        "least(p_expires, p_start)",
        "p_expires",
        f"{_HOLDS}::test_a_hold_ends_at_its_start",
    ),
    Guard(
        "a hold of a calendar that is shut is confirmed",
        _HOLDS_SQL,
        "    ELSIF NOT (p_calendar).active THEN\n",
        "    ELSIF false THEN\n",
        f"{_HOLDS}::test_what_is_held_must_be_offered",
    ),
    Guard(
        "what has ended can be changed",
        _APPOINTMENTS,
        "ELSIF a.status <> 'scheduled' THEN",
        "ELSIF false THEN",
        "tests/handlers/test_api_life.py::test_reporting_an_outcome",
    ),
    Guard(
        "what has not begun may have ended",
        _CHANGES,
        "    IF v_now < v_old.start_time THEN\n",
        "    IF false THEN\n",
        f"{_LIVES}::test_what_has_not_begun_has_not_ended",
    ),
    Guard(
        "a customer cancels what has begun",
        _BOOKING,
        "    IF p_cancelled_by = 'customer' AND v_now >= v_old.start_time THEN\n",
        "    IF false THEN\n",
        f"{_LIVES}::test_what_has_begun_stays_where_it_is",
    ),
    Guard(
        "what has begun can be moved",
        _CHANGES,
        "    IF v_now >= v_old.start_time THEN\n",
        "    IF false THEN\n",
        f"{_LIVES}::test_what_has_begun_stays_where_it_is",
    ),
    Guard(
        "a move to where it is counts as one",
        _CHANGES,
        "    IF v_stays AND NOT p_any_coach THEN\n",
        "    IF false THEN\n",
        f"{_LIVES}::test_moving_to_where_it_is_changes_nothing",
    ),
    Guard(
        "a move forgets the coach it was given",
        _CHANGES,
        "       SET coach_id = v_coach, start_time = p_start",
        "       SET coach_id = v_old.coach_id, start_time = p_start",
        _LIVES,
    ),
)
