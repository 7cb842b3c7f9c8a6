"""The guards of what an operator sets: what a plan sees, that a dry run is dry, and when it takes effect."""

from tests.mutants.guard import Guard

_TESTS = "tests/handlers"
_COACHES = f"{_TESTS}/test_api_coaches.py"
_PLANS = f"{_TESTS}/test_api_team_plans.py"
_DOCUMENT = f"{_TESTS}/test_api_document.py"
_LARGE = "tests/integration/test_large_documents.py"
_ABSENCES = f"{_TESTS}/test_api_absences.py"
_TEAM = "schema/functions/21_team.sql"
_CHANGES = "team/changes.py"

GUARDS = (
    Guard(
        "a dry run is made",
        _CHANGES,
        "    with connection.transaction(force_rollback=True):",
        "    with connection.transaction():",
        f"{_COACHES}::test_a_dry_run_changes_nothing",
    ),
    Guard(
        "appointments that no longer fit refuse nothing",
        _CHANGES,
        "    if appointments and choice is None:",
        "    if appointments and choice == '':",
        f"{_PLANS}::test_it_is_refused_with_the_plan",
    ),
    Guard(
        "some are reassigned and some stay",
        _CHANGES,
        '    if any(one["outcome"] == "nobody_free" for one in appointments):',
        "    if not plan:",
        f"{_PLANS}::test_all_are_reassigned_or_none",
    ),
    Guard(
        "what did not fit before is touched again",
        _CHANGES,
        " if one not in misfits_before}",
        "}",
        f"{_PLANS}::test_keeping_marks_a_conflict_once",
    ),
    Guard(
        "a change touches whatever there is",
        _CHANGES,
        "    if len(misfits) > MOST_APPOINTMENTS:",
        "    if len(misfits) < 0:",
        f"{_PLANS}::test_too_many_appointments_are_refused",
    ),
    Guard(
        "changed hours wait for the next hour",
        _CHANGES,
        "        extend_days(connection, now=asked.now, tenant_id=asked.tenant_id, coach_ids=coaches)\n",
        "        pass\n",
        f"{_COACHES}::test_changes_of_hours_take_effect_at_once",
    ),
    Guard(
        "the schedule puts old hours back",
        "schema/functions/15_coach_days.sql",
        "     WHERE coach.coach_id = ANY (p_coaches) AND engine.made_of(coach) = p_made_of\n",
        "     WHERE coach.coach_id = ANY (p_coaches)\n",
        "tests/integration/test_team_changes.py::test_days_are_made_of_what_is_set_now",
    ),
    Guard(
        "a reading puts old hours back",
        "schema/functions/35_sources.sql",
        "coach.coach_id = p_coach AND engine.made_of(coach) = p_made_of) THEN",
        "coach.coach_id = p_coach) THEN",
        "tests/integration/test_team_changes.py::test_days_are_made_of_what_is_set_now",
    ),
    Guard(
        "an override is not read",
        "domain/slots.py",
        "if given is None else given:",
        "if given != 0 else given:",
        "tests/unit/domain/test_slots.py::test_overrides_replace_the_hours_that_begin_on_their_date",
    ),
    Guard(
        "a change of a team has days before calendars",
        _TEAM,
        "    PERFORM engine.lock_calendars(v_calendars);\n",
        "",
        "tests/integration/test_team_changes.py::test_a_change_locks_no_day_before_its_calendars",
    ),
    Guard(
        "a kept page lists a coach who was turned off",
        "schema/functions/20_availability_triggers.sql",
        "(OLD.active, OLD.calendar_kind, OLD.buffer_before",
        "(NEW.active, OLD.calendar_kind, OLD.buffer_before",
        f"{_PLANS}::test_what_is_kept_of_availability_follows[deactivated]",
    ),
    Guard(
        "an absence is no reason",
        _TEAM,
        "            THEN 'absent'\n",
        "            THEN NULL\n",
        f"{_PLANS}::test_it_is_refused_with_the_plan[absence]",
    ),
    Guard(
        "whoever left keeps what was booked",
        _TEAM,
        "THEN 'left_team'",
        "THEN NULL",
        f"{_PLANS}::test_it_is_refused_with_the_plan[left]",
    ),
    Guard(
        "a closed calendar costs the coach the credit",
        _TEAM,
        "p_cancelled_by => 'system'",
        "p_cancelled_by => 'coach'",
        f"{_PLANS}::test_a_closed_date_of_a_calendar_touches_its_appointments",
    ),
    Guard(
        "a precondition is not checked",
        "team/preconditions.py",
        '        if self.tags is not None and (known is None or not self.tags & {"*", etag(known)}):',
        "        if self.tags == frozenset():",
        f"{_COACHES}::test_preconditions_are_checked",
    ),
    Guard(
        "what exists is created",
        "team/preconditions.py",
        "        if self.absent and known is not None:",
        "        if self.absent and known == {}:",
        f"{_COACHES}::test_preconditions_are_checked",
    ),
    Guard(
        "a deleted absence opens what others close",
        "schema/functions/30_settings.sql",
        "                  - (SELECT coalesce(range_agg(span), '{}') FROM coach_absences\n"
        "                      WHERE coach_id = p_coach AND event_id <> p_event)) AS part",
        "                  ) AS part",
        f"{_ABSENCES}::test_it_closes_the_time_until_it_is_deleted",
    ),
    Guard(
        "an absence that ends sooner closes what it did",
        "team/absences.py",
        "                _end(connection, [step])\n",
        "                pass\n",
        f"{_ABSENCES}::test_it_ends_sooner_or_later",
    ),
    Guard(
        "another reason closes what a partner has opened",
        "team/absences.py",
        """        if {"start", "end"} & {*one["changed"]}:""",
        "        if True:",
        f"{_ABSENCES}::test_a_part_that_a_partner_ends_leaves_the_rest",
    ),
    Guard(
        "an absence settles with every change",
        "team/absences.py",
        ' == "settle" and "ledger" in members\n',
        ' == "settle"\n',
        f"{_ABSENCES}::test_what_has_settled_stays_settled",
    ),
    Guard(
        "a key is tied to no choice",
        "http/changes.py",
        "query = () if contract.signed else route.dependant.query_params",
        "query = ()",
        f"{_COACHES}::test_the_same_key_is_one_change",
    ),
    Guard(
        "a rule changes without a version",
        "schema/functions/30_settings.sql",
        "           THEN 1 ELSE 0 END,\n           deleted_at",
        "           THEN 0 ELSE 0 END,\n           deleted_at",
        f"{_COACHES}::test_a_changed_rule_is_a_new_version",
    ),
    Guard(
        "a document leaves out who left",
        "team/document.py",
        "            steps.delete(Member(calendar_id, coach_id))\n",
        "            pass\n",
        f"{_DOCUMENT}::test_a_team_is_its_whole_team",
    ),
    Guard(
        "a coach counts as deleted with a calendar of the same id",
        "team/document.py",
        "if (step.resource, step.id) not in self._deleted)",
        "if step.id not in {one for _, one in self._deleted})",
        f"{_DOCUMENT}::test_pruning_tells_a_coach_from_a_calendar_of_the_same_id",
    ),
    Guard(
        "a slug that is taken is named by no place",
        "team/document.py",
        """    _check_slugs(known["calendars"], document["calendars"], gone["calendars"])\n""",
        "",
        f"{_DOCUMENT}::test_nothing_is_applied_if_a_part_cannot_be",
    ),
    Guard(
        "what is not there is named by no place",
        _CHANGES,
        "        if step.id not in made:",
        "        if not made:",
        f"{_DOCUMENT}::test_nothing_is_applied_if_a_part_cannot_be",
    ),
    Guard(
        "a change has no most",
        _CHANGES,
        "        if number > most:",
        "        if number < 0:",
        f"{_DOCUMENT}::test_more_than_can_be_changed_in_time_is_refused",
    ),
    Guard(
        "every body may be as large as a document",
        "http/api.py",
        "largest = contract.largest_body if contract else LARGEST_BODY",
        "largest = LARGEST_BODY * 16",
        f"{_DOCUMENT}::test_other_bodies_stay_small",
    ),
    Guard(
        "coaches get their days one by one",
        "coach_time/days.py",
        "at_once = 1 if coach_ids is None else _AT_ONCE",
        "at_once = 1",
        f"{_LARGE}::test_ten_times_the_coaches_take_as_many_statements",
    ),
    Guard(
        "who is away is free on new days",
        "schema/functions/15_coach_days.sql",
        "           given.external::bit(104) & ~coalesce(gone.bits, 0::bit(104)), p_max_per_day\n",
        "           given.external::bit(104), p_max_per_day\n",
        f"{_LARGE}::test_who_is_away_is_away_on_new_days",
    ),
    Guard(
        "many days of a coach are folded one by one",
        "schema/functions/19_availability.sql",
        "bool_or(first_slot IS NULL) OR count(DISTINCT first_slot) > 8",
        "bool_or(first_slot IS NULL)",
        "tests/integration/test_kept_teams_trust.py::test_a_coach_with_many_changed_days_is_folded_at_once",
    ),
)
