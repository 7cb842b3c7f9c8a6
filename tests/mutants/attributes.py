"""The guards of what calendars and customers require of coaches."""

from tests.mutants.guard import Guard

_CHOOSING = "schema/functions/11_choosing.sql"
_HOLDS = "schema/functions/12_holds.sql"
_CHANGES = "schema/functions/14_changes.sql"
_ROSTERS = "schema/functions/16_rosters.sql"
_MODEL = "schema/functions/23_listing.sql"
_NOTES = "schema/functions/20_availability_triggers.sql"
_DECISIONS = "sql/decisions.sql"
_SOONEST = "coach_time/soonest.py"
_TESTS = "tests/integration/test_attributes.py"
_KEPT = "tests/integration/test_kept_teams_attributes.py"
_SOON = "tests/integration/test_soonest.py"
_HTTP = "tests/handlers/test_api_attributes.py"

_BOOKING = (
    Guard(
        "what nobody meets is a matter of the start",
        _CHOOSING,
        "            PERFORM engine.refuse_choice(p_roster => p_roster, p_unmet => v_unmet);\n",
        "            PERFORM engine.refuse_choice(p_roster => p_roster, p_unmet => NULL);\n",
        f"{_TESTS}::test_what_nobody_meets_is_not_a_matter_of_the_start",
    ),
    Guard(
        "a request is to blame for what the calendar requires",
        _CHOOSING,
        "         WHERE coalesce(mate.unmet, 0) = 0) THEN\n        RAISE",
        "         WHERE true) THEN\n        RAISE",
        f"{_TESTS}::test_what_nobody_meets_is_not_a_matter_of_the_start",
    ),
    Guard(
        "who does not meet the calendar is booked",
        _ROSTERS,
        "                                   WHEN mate.unmet > 0 THEN 'missing_attribute'\n",
        "",
        f"{_TESTS}::test_who_does_not_meet_the_calendar_is_out",
    ),
    Guard(
        "other attributes make no other roster",
        _ROSTERS,
        "IS DISTINCT FROM (coach.active, coach.score, coach.calendar_kind, coach.attributes)",
        "IS DISTINCT FROM (coach.active, coach.score, coach.calendar_kind, was.attributes)",
        f"{_TESTS}::test_the_roster_follows",
    ),
    Guard(
        "other requirements make no other roster",
        _ROSTERS,
        "UPDATE OF weight_low, weight_high, weight_exponent, requires ON calendars",
        "UPDATE OF weight_low, weight_high, weight_exponent ON calendars",
        f"{_TESTS}::test_the_roster_follows",
    ),
    Guard(
        "a booking does not ask who meets the request",
        _CHOOSING,
        "        p_roster := v_may.roster;\n",
        "",
        f"{_TESTS}::test_who_does_not_meet_a_request_is_not_free_for_it",
    ),
    Guard(
        "what kept a coach out is not on record",
        _CHOOSING,
        "p_now => p_now, p_unmet => v_unmet));",
        "p_now => p_now));",
        f"{_TESTS}::test_the_trace_is_on_record",
    ),
    Guard(
        "reassigning does not ask who meets the request",
        _CHANGES,
        "p_except => v_old.coach_id, p_requires => v_old.requires,",
        "p_except => v_old.coach_id, p_requires => NULL,",
        f"{_TESTS}::test_what_was_asked_for_stays",
    ),
    Guard(
        "rescheduling does not ask who meets the request",
        _CHANGES,
        "p_except => NULL, p_requires => v_old.requires,",
        "p_except => NULL, p_requires => NULL,",
        f"{_TESTS}::test_who_moves_goes_to_who_meets_it",
    ),
    Guard(
        "a hold does not ask who meets the request",
        _HOLDS,
        "p_keep_for => p_keep_for, p_requires => p_requires);",
        "p_keep_for => p_keep_for, p_requires => NULL);",
        "tests/integration/test_availability.py::test_listing_and_booking_are_one_predicate",
    ),
    Guard(
        "what is held is booked for something else",
        _HOLDS,
        "    ELSIF p_requires <> coalesce(v_hold.requires, '{}') THEN\n",
        "    ELSIF false THEN\n",
        f"{_TESTS}::test_a_hold_keeps_what_was_asked_for",
    ),
)

_PAGES = (
    Guard(
        "a page does not ask who meets the calendar",
        _MODEL,
        "        IF v_calendar.requires <> '{}' THEN\n",
        "        IF false THEN\n",
        f"{_TESTS}::test_who_does_not_meet_the_calendar_is_out",
    ),
    Guard(
        "a page does not ask who meets the request",
        "coach_time/team_time.py",
        "self.counted(frozenset([by_id[one] for one in coaches if one in by_id]))",
        "self.counted(frozenset(by_id.values()))",
        f"{_HTTP}::test_each_set_of_requirements_has_its_own_page",
    ),
    Guard(
        "a booking leaves the counts of a part",
        "coach_time/team_time.py",
        "[*([self.whole] if self.whole else []), *self.parts.values()]",
        "[*([self.whole] if self.whole else [])]",
        f"{_KEPT}::test_each_change_is_taken_over",
    ),
    Guard(
        "other attributes are not noted",
        _NOTES,
        "buffer_before, buffer_after, min_notice_minutes, attributes ON coaches",
        "buffer_before, buffer_after, min_notice_minutes ON coaches",
        f"{_KEPT}::test_each_change_is_taken_over",
    ),
    Guard(
        "other requirements of a calendar are not noted",
        _NOTES,
        "    INSERT INTO availability_changes (calendar_id) VALUES (NEW.calendar_id);\n",
        "    NULL;\n",
        f"{_KEPT}::test_what_the_calendar_requires_is_taken_over_without_a_request",
    ),
    Guard(
        "the text of a page is that of other requirements",
        "functions/availability/starts.py",
        "        requires=asked,\n    )\n",
        "    )\n",
        f"{_HTTP}::test_each_set_of_requirements_has_its_own_page",
    ),
    Guard(
        "nothing further is looked for",
        _SOONEST,
        "_DAYS = (3, 12, 60, 366)",
        "_DAYS = (3,)",
        f"{_SOON}::test_the_first_start_after_weeks",
    ),
    Guard(
        "all days are read for what is near",
        _SOONEST,
        "_DAYS = (3, 12, 60, 366)",
        "_DAYS = (60, 366)",
        f"{_SOON}::test_little_is_read_for_what_is_near",
    ),
)

_TENANTS = (
    Guard(
        "the soonest starts are another tenant's",
        _SOONEST,
        "                tenant_id=tenant_id,\n",
        '                tenant_id="other",\n',
        f"{_SOON}::test_what_another_tenant_has_is_not_there",
    ),
)

GUARDS = (*_BOOKING, *_PAGES, *_TENANTS)
