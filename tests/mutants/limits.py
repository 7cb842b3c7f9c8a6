"""The guards of limits on weeks and months, and of the buffers and notices of coaches."""

from tests.mutants.guard import Guard

_SLOTS = "schema/functions/01_slots.sql"
_APPOINTMENTS = "schema/functions/04_appointments.sql"
_CHOOSING = "schema/functions/11_choosing.sql"
_CHANGES = "schema/functions/14_changes.sql"
_ROSTERS = "schema/functions/16_rosters.sql"
_TRIGGERS = "schema/functions/20_availability_triggers.sql"
_PERIODS = "schema/functions/22_periods.sql"
_TEAM = "coach_time/team_time.py"
_LIMITS = "tests/integration/test_limits.py"
_RACES = "tests/integration/test_limit_races.py"
_OWN = "tests/integration/test_own_rules.py"
_EACH = "tests/integration/test_kept_teams_changes.py::test_each_change_is_taken_over"
_FULL = f"{_LIMITS}::test_another_day_of_a_full_period_is_not_to_be_had"

_OF_PERIODS = (
    Guard(
        "a week or month has no end",
        _SLOTS,
        "WHEN period.booked >= period.max_booked THEN period.kind",
        "WHEN false THEN period.kind",
        _FULL,
    ),
    Guard(
        "the minutes of a week do not matter",
        _SLOTS,
        "WHEN period.minutes + p_minutes > period.max_minutes THEN",
        "WHEN false THEN",
        f"{_FULL}[minutes]",
    ),
    Guard(
        "an appointment that makes a week too long is the last one",
        _SLOTS,
        "WHEN period.minutes + p_minutes > period.max_minutes THEN",
        "WHEN period.minutes >= period.max_minutes THEN",
        f"{_LIMITS}::test_minutes_are_those_of_appointments_without_buffers",
    ),
    Guard(
        "a limit is not asked for under the lock",
        _PERIODS,
        "           AND engine.period_refusal(period => period, p_minutes => p_minutes) IS NULL\n",
        "",
        f"{_RACES}::test_who_loses_a_week_while_waiting_starts_again",
    ),
    Guard(
        "a booking does not count",
        _CHOOSING,
        "    IF p_roster.limited[v_choice.chosen] THEN\n",
        "    IF false THEN\n",
        _FULL,
    ),
    Guard(
        "what is given back counts on",
        _CHOOSING,
        "p_end => p_end, p_by => -1);",
        "p_end => p_end, p_by => 0);",
        f"{_LIMITS}::test_what_ended_in_time_is_given_back",
    ),
    Guard(
        "what is taken over does not count",
        _CHOOSING,
        "p_end => p_end, p_by => 1);",
        "p_end => p_end, p_by => 0);",
        f"{_LIMITS}::test_what_ended_in_time_is_given_back",
    ),
    Guard(
        "weeks are those of UTC",
        _PERIODS,
        "engine.day_start(p_zone => coach.time_zone, p_day => starts::date) AS starts_at",
        "engine.day_start(p_zone => 'UTC', p_day => starts::date) AS starts_at",
        f"{_LIMITS}::test_a_week_begins_on_monday_and_a_month_on_the_first_where_the_coach_is",
    ),
    Guard(
        "a week that is new has no row",
        _PERIODS,
        "    IF v_limited <> '{}' THEN",
        "    IF false THEN",
        f"{_LIMITS}::test_weeks_come_and_go_with_the_days",
    ),
    Guard(
        "weeks stay those of the zone before",
        _ROSTERS,
        "    PERFORM engine.refresh_periods(one) FROM unnest(v_coaches) AS one;\n",
        "",
        f"{_LIMITS}::test_a_coach_who_moves_counts_by_the_new_zone",
    ),
    Guard(
        "a limit is set while somebody cancels in a calendar that the coach left",
        _APPOINTMENTS,
        "    PERFORM engine.lock_calendars(v_calendars);\n"
        "    IF EXISTS (SELECT FROM unnest(p_coaches) AS one",
        "    IF EXISTS (SELECT FROM unnest(p_coaches) AS one",
        f"{_RACES}::test_a_limit_set_while_somebody_cancels_counts_that",
    ),
    Guard(
        "a full week is not noted",
        "schema/functions/19_availability.sql",
        "SELECT DISTINCT coach_id FROM periods;",
        "SELECT DISTINCT coach_id FROM periods WHERE false;",
        f"{_EACH}[a week that is full]",
    ),
    Guard(
        "a week that fills up is not noted",
        _PERIODS,
        "    IF TG_OP = 'UPDATE' THEN  --",
        "    IF false THEN  --",
        f"{_LIMITS}::test_what_is_given_back_on_a_day_that_is_gone_is_listed",
    ),
    Guard(
        "a week that fills up is not tight",
        _PERIODS,
        "IS DISTINCT FROM (NEW.booked >= NEW.max_booked, least(NEW.max_minutes - NEW.minutes, 720)))",
        "IS DISTINCT FROM (OLD.booked >= OLD.max_booked, least(OLD.max_minutes - OLD.minutes, 720)))",
        _FULL,
    ),
    Guard(
        "a week that is full from the beginning is not tight",
        _PERIODS,
        "FOR EACH ROW WHEN (engine.minutes_left(NEW) < 720)",
        "FOR EACH ROW WHEN (engine.minutes_left(NEW) < 0)",
        f"{_LIMITS}::test_a_lower_limit_holds_for_new_bookings",
    ),
    Guard(
        "a week that is gone stays tight",
        _PERIODS,
        "    DELETE FROM tight_periods AS tight USING periods AS gone\n",
        "    DELETE FROM tight_periods AS tight USING (SELECT * FROM periods LIMIT 0) AS gone\n",
        f"{_LIMITS}::test_a_lower_limit_holds_for_new_bookings",
    ),
    Guard(
        "weeks that were full before an upgrade are listed",
        _PERIODS,
        "FROM coach_periods AS period WHERE engine.minutes_left(period) < 720;",
        "FROM coach_periods AS period WHERE false;",
        "tests/integration/test_upgrade.py::test_weeks_that_were_full_before_stay_full",
    ),
    Guard(
        "a kept page lists a week that filled up",
        _TEAM,
        'for period in rows[0]["closed"] or ())',
        "for period in ())",
        _EACH,
    ),
)

_OF_RULES = (
    Guard(
        "a coach's buffers are not looked at",
        _CHOOSING,
        " " * 57 + "p_before => greatest(p_before, mate.own_before),\n" + " " * 57 + "p_after",
        " " * 57 + "p_before => p_before,\n" + " " * 57 + "p_after",
        f"{_OWN}::test_the_largest_buffer_holds",
    ),
    Guard(
        "a booking takes no buffers of the coach",
        _CHOOSING,
        "            v_first := v_from - greatest(v_before, p_roster.buffers_before[v_choice.chosen]);\n",
        "",
        f"{_OWN}::test_the_largest_buffer_holds",
    ),
    Guard(
        "who takes over has no buffers",
        _CHANGES,
        "p_place => chosen, p_from => p_from,",
        "p_place => NULL, p_from => p_from,",
        f"{_OWN}::test_who_takes_over_needs_own_buffers_and_notice",
    ),
    Guard(
        "a coach's notice is not looked at",
        _CHOOSING,
        "WHEN mate.notice > v_lead THEN 'minimum_notice'",
        "WHEN false THEN 'minimum_notice'",
        f"{_OWN}::test_the_largest_notice_holds",
    ),
    Guard(
        "the place in the team has no rules",
        _ROSTERS,
        "greatest(coach.min_notice_minutes, member.min_notice_minutes) AS notice",
        "coach.min_notice_minutes AS notice",
        f"{_OWN}::test_the_largest_notice_holds",
    ),
    Guard(
        "a coach's own buffer is not noted",
        _TRIGGERS,
        "(OLD.active, OLD.calendar_kind, OLD.buffer_before, OLD.buffer_after,",
        "(OLD.active, OLD.calendar_kind, OLD.buffer_before, NEW.buffer_after,",
        f"{_EACH}[a coach's buffer]",
    ),
    Guard(
        "a notice in a team is not noted",
        _TRIGGERS,
        "coach_id, buffer_before, buffer_after,\n            min_notice_minutes ON coach_calendars",
        "coach_id, buffer_before, buffer_after ON coach_calendars",
        f"{_EACH}[a notice in the team]",
    ),
    Guard(
        "a listing knows no notices",
        _TEAM,
        "for notice, late in of.late.items():",
        "for notice, late in ():",
        f"{_OWN}::test_the_largest_notice_holds",
    ),
    Guard(
        "a listing names who needs more notice",
        _TEAM,
        "if opens.get(number, slot) <= slot]",
        "if opens]",
        f"{_OWN}::test_each_coach_has_rules_of_their_own",
    ),
    Guard(
        "a listing knows no buffers of coaches",
        "coach_time/team_bits.py",
        "shut, around, least = self._shut(), self._around(rules),",
        "shut, around, least = self._shut(), bytearray(),",
        "tests/unit/coach_time/test_team_time.py",
    ),
)

GUARDS = (*_OF_PERIODS, *_OF_RULES)
