"""The guards of whose coaches, calendars and teams an operator sees and sets."""

from tests.mutants.guard import Guard

_TENANTS = "tests/handlers/test_api_tenants.py"
_FOREIGN = f"{_TENANTS}::test_what_another_owns_is_not_there"
_TAKEN = f"{_TENANTS}::test_an_id_that_another_has_cannot_be_put"
_LISTS = f"{_TENANTS}::test_lists_and_reports_have_nothing_of_another"
_INSIDE = "tests/integration/test_team_tenants.py"
_COACH = f"{_INSIDE}::test_a_coach_of_another_is_left_alone"
_CALENDAR = f"{_INSIDE}::test_a_calendar_of_another_is_left_alone"
_TEAM = "schema/functions/21_team.sql"

GUARDS = (
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
        "schema/functions/30_settings.sql",
        "     WHERE known.tenant_id = excluded.tenant_id\n    RETURNING coach_id",
        "    RETURNING coach_id",
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
        "schema/functions/30_settings.sql",
        "     WHERE known.tenant_id = excluded.tenant_id\n    RETURNING calendar_id",
        "    RETURNING calendar_id",
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
        "       AND coach.tenant_id = %(tenant)s AND coach.deleted_at IS NULL\n), joined",
        "       AND coach.deleted_at IS NULL\n), joined",
        f"{_INSIDE}::test_nobody_joins_across_tenants",
    ),
    Guard(
        "another tenant's calendar can be joined",
        "sql/members.sql",
        " WHERE calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL\n       AND coach",
        " WHERE calendar.deleted_at IS NULL\n       AND coach",
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
        "schema/functions/30_settings.sql",
        "AND coach.tenant_id = p_tenant\n        RETURNING",
        "\n        RETURNING",
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
        "schema/functions/30_settings.sql",
        "(p_coach) AND tenant_id = p_tenant AND deleted_at IS NULL\n$$;",
        "(p_coach) AND deleted_at IS NULL\n$$;",
        f"{_COACH}[delete]",
    ),
    Guard(
        "another tenant's readings are forgotten",
        "schema/functions/30_settings.sql",
        "AND tenant_id = p_tenant AND deleted_at IS NOT NULL\n",
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
        "another tenant's slug is released",
        "schema/functions/30_settings.sql",
        "SET slug = NULL WHERE calendar_id = p_calendar AND tenant_id = p_tenant",
        "SET slug = NULL WHERE calendar_id = p_calendar",
        f"{_CALENDAR}[release_slug]",
    ),
    Guard(
        "another tenant's calendar can be deleted",
        "schema/functions/30_settings.sql",
        "deleted_at = p_now\n     WHERE calendar_id = p_calendar AND tenant_id = p_tenant AND",
        "deleted_at = p_now\n     WHERE calendar_id = p_calendar AND",
        f"{_CALENDAR}[delete]",
    ),
    Guard(
        "another tenant's team can be left",
        "sql/members.sql",
        " WHERE calendar.tenant_id = %(tenant)s;",
        " WHERE true;",
        f"{_INSIDE}::test_nobody_leaves_another_tenants_team",
    ),
    Guard(
        "another tenant's shares are in a plan",
        "sql/team_changes.sql",
        " WHERE calendar.tenant_id = %(tenant)s AND mate",
        " WHERE mate",
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
