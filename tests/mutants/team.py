"""The guards of what an operator sets: whose it is, what a plan sees, and that a dry run is dry."""

from tests.mutants.guard import Guard

_TESTS = "tests/handlers"
_COACHES = f"{_TESTS}/test_api_coaches.py"
_PLANS = f"{_TESTS}/test_api_team_plans.py"
_DOCUMENT = f"{_TESTS}/test_api_document.py"
_TENANTS = f"{_TESTS}/test_api_tenants.py"
_ABSENCES = f"{_TESTS}/test_api_absences.py"
_FOREIGN = f"{_TENANTS}::test_what_another_owns_is_not_there"
_TAKEN = f"{_TENANTS}::test_an_id_that_another_has_cannot_be_put"
_LISTS = f"{_TENANTS}::test_lists_and_reports_have_nothing_of_another"
_INSIDE = "tests/integration/test_team_tenants.py"
_COACH = f"{_INSIDE}::test_a_coach_of_another_is_left_alone"
_CALENDAR = f"{_INSIDE}::test_a_calendar_of_another_is_left_alone"
_TEAM = "schema/functions/16_team.sql"
_CHANGES = "team/changes.py"

_OTHERS = (
    Guard(
        "another tenant's coach can be read",
        "sql/coaches.sql",
        "FROM coaches AS c\n WHERE coach_id = %(coach)s AND tenant_id = %(tenant)s AND",
        "FROM coaches AS c\n WHERE coach_id = %(coach)s AND %(tenant)s::text <> '' AND",
        _FOREIGN,
    ),
    Guard(
        "another tenant's coaches are listed",
        "sql/coaches.sql",
        " WHERE tenant_id = %(tenant)s AND deleted_at IS NULL\n",
        " WHERE %(tenant)s::text <> '' AND deleted_at IS NULL\n",
        _LISTS,
    ),
    Guard(
        "another tenant's coach can be replaced",
        "sql/coaches.sql",
        " WHERE known.tenant_id = excluded.tenant_id\n",
        "",
        f"{_TAKEN}[put_coach]",
    ),
    Guard(
        "another tenant's calendar can be read by an operator",
        "sql/calendars.sql",
        "FROM calendars AS c\n WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s AND",
        "FROM calendars AS c\n WHERE calendar_id = %(calendar)s AND %(tenant)s::text <> '' AND",
        _FOREIGN,
    ),
    Guard(
        "another tenant's calendars are listed",
        "sql/calendars.sql",
        " WHERE tenant_id = %(tenant)s AND deleted_at IS NULL\n",
        " WHERE %(tenant)s::text <> '' AND deleted_at IS NULL\n",
        _LISTS,
    ),
    Guard(
        "another tenant's calendar can be replaced",
        "sql/calendars.sql",
        " WHERE known.tenant_id = excluded.tenant_id\n",
        "",
        f"{_TAKEN}[put_calendar]",
    ),
    Guard(
        "another tenant's member can be read",
        "sql/members.sql",
        "   AND calendar.tenant_id = %(tenant)s AND coach.tenant_id = %(tenant)s;\n\n-- name: list_page",
        "   AND %(tenant)s::text <> '';\n\n-- name: list_page",
        _FOREIGN,
    ),
    Guard(
        "another tenant's coach can join",
        "sql/members.sql",
        "   AND coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s AND coach.deleted_at IS NULL;",
        "   AND coach.coach_id = %(coach)s AND coach.deleted_at IS NULL;",
        f"{_INSIDE}::test_nobody_joins_across_tenants",
    ),
    Guard(
        "another tenant's calendar can be joined",
        "sql/members.sql",
        " AND calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL\n   AND coach",
        " AND calendar.deleted_at IS NULL\n   AND coach",
        f"{_INSIDE}::test_nobody_joins_across_tenants",
    ),
    Guard(
        "another tenant's teams are exported",
        "sql/members.sql",
        " WHERE calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL\n   AND (",
        " WHERE %(tenant)s::text <> '' AND calendar.deleted_at IS NULL\n   AND (",
        f"{_INSIDE}::test_teams_are_listed_of_one_tenant",
    ),
    Guard(
        "another tenant's absence can be read",
        "sql/absences.sql",
        "   AND coach.tenant_id = %(tenant)s AND coach.deleted_at IS NULL\n GROUP BY absence.event_id;",
        "   AND %(tenant)s::text <> '' AND coach.deleted_at IS NULL\n GROUP BY absence.event_id;",
        f"{_FOREIGN}[get_absence]",
    ),
    Guard(
        "another tenant's absence can be deleted",
        "sql/absences.sql",
        "       AND coach.coach_id = absence.coach_id AND coach.tenant_id = %(tenant)s\n",
        "       AND coach.coach_id = absence.coach_id\n",
        f"{_INSIDE}::test_an_absence_of_another_is_neither_read_nor_deleted",
    ),
    Guard(
        "another tenant's absences are listed",
        "sql/absences.sql",
        " AND coach.tenant_id = %(tenant)s AND coach.deleted_at IS NULL\n     GROUP",
        " AND coach.deleted_at IS NULL\n     GROUP",
        f"{_INSIDE}::test_absences_are_listed_of_one_tenant",
    ),
    Guard(
        "another tenant's coach can be deleted",
        "sql/coaches.sql",
        " WHERE coach_id = %(coach)s AND tenant_id = %(tenant)s AND deleted_at IS NULL;\n\n-- name: forget",
        " WHERE coach_id = %(coach)s AND deleted_at IS NULL;\n\n-- name: forget",
        f"{_COACH}[delete]",
    ),
    Guard(
        "another tenant's readings are forgotten",
        "sql/coaches.sql",
        "AND tenant_id = %(tenant)s AND deleted_at IS NOT NULL\n",
        "AND deleted_at IS NOT NULL\n",
        f"{_COACH}[forget_calendar]",
    ),
    Guard(
        "another tenant's teams of a coach are told",
        "sql/coaches.sql",
        " WHERE coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s\n ORDER BY",
        " WHERE coach.coach_id = %(coach)s\n ORDER BY",
        f"{_COACH}[calendars_of]",
    ),
    Guard(
        "another tenant's weights follow a coach",
        "sql/coaches.sql",
        " WHERE coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s ORDER BY",
        " WHERE coach.coach_id = %(coach)s ORDER BY",
        f"{_COACH}[refresh_weights]",
    ),
    Guard(
        "another tenant's slug is released",
        "sql/calendars.sql",
        "SET slug = NULL WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s;",
        "SET slug = NULL WHERE calendar_id = %(calendar)s;",
        f"{_CALENDAR}[release_slug]",
    ),
    Guard(
        "another tenant's weights follow a calendar",
        "sql/calendars.sql",
        "  FROM calendars WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s;",
        "  FROM calendars WHERE calendar_id = %(calendar)s;",
        f"{_CALENDAR}[refresh_weights]",
    ),
    Guard(
        "another tenant's calendar can be deleted",
        "sql/calendars.sql",
        "deleted_at = %(now)s\n WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s AND",
        "deleted_at = %(now)s\n WHERE calendar_id = %(calendar)s AND",
        f"{_CALENDAR}[delete]",
    ),
    Guard(
        "another tenant's team can be left",
        "sql/members.sql",
        " WHERE calendar.calendar_id = %(calendar)s AND calendar.tenant_id = %(tenant)s;",
        " WHERE calendar.calendar_id = %(calendar)s;",
        f"{_INSIDE}::test_nobody_leaves_another_tenants_team",
    ),
    Guard(
        "another tenant's shares are in a plan",
        "sql/team_changes.sql",
        " WHERE calendar.tenant_id = %(tenant)s AND member",
        " WHERE member",
        f"{_INSIDE}::test_a_plan_sees_one_tenant[shares]",
    ),
    Guard(
        "another tenant's appointments are in a plan",
        _TEAM,
        "     WHERE tenant_id = p_tenant AND status IN ('held', 'scheduled')",
        "     WHERE status IN ('held', 'scheduled')",
        f"{_INSIDE}::test_a_plan_sees_one_tenant[misfits]",
    ),
    Guard(
        "another tenant's appointments are settled",
        _TEAM,
        "known.appointment_id = given.id AND known.tenant_id = p_tenant\n",
        "known.appointment_id = given.id\n",
        f"{_INSIDE}::test_appointments_of_another_are_not_settled",
    ),
)

_PLANNED = (
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
        "        extend_days(connection, now=change.now, coach_ids=coaches)\n",
        "        pass\n",
        f"{_COACHES}::test_changes_of_hours_take_effect_at_once",
    ),
    Guard(
        "an override is not read",
        "domain/slots.py",
        "if given is None else given:",
        "if given != 0 else given:",
        "tests/unit/domain/test_slots.py::test_overrides_replace_the_hours_that_begin_on_their_date",
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
        "sql/absences.sql",
        "              - (SELECT coalesce(range_agg(span), '{}') FROM coach_absences\n"
        "                  WHERE coach_id = %(coach)s AND event_id <> %(event)s)) AS part;",
        "              ) AS part;",
        f"{_ABSENCES}::test_it_closes_the_time_until_it_is_deleted",
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
        "sql/calendars.sql",
        "           THEN 1 ELSE 0 END,\n       deleted_at",
        "           THEN 0 ELSE 0 END,\n       deleted_at",
        f"{_COACHES}::test_a_changed_rule_is_a_new_version",
    ),
    Guard(
        "a document leaves out who left",
        "team/document.py",
        "    return [*joining, *leaving]",
        "    return joining",
        f"{_DOCUMENT}::test_a_team_is_its_whole_team",
    ),
)

GUARDS = (*_OTHERS, *_PLANNED)
