-- name: get
-- One coach of the tenant.
SELECT engine.coach_json(c) AS coach FROM coaches AS c
 WHERE coach_id = %(coach)s AND tenant_id = %(tenant)s AND deleted_at IS NULL;

-- name: list_page
-- A page of the tenant's coaches by id.
SELECT engine.coach_json(c) AS coach FROM coaches AS c
 WHERE tenant_id = %(tenant)s AND deleted_at IS NULL
   AND (%(active)s::boolean IS NULL OR active = %(active)s)
   AND (%(calendar)s::text IS NULL OR EXISTS (SELECT FROM coach_calendars AS member
                                              WHERE member.coach_id = c.coach_id AND member.calendar_id = %(calendar)s))
   AND (%(after)s::text IS NULL OR coach_id COLLATE "C" > %(after)s)
 ORDER BY coach_id COLLATE "C" LIMIT %(limit)s;

-- name: put
-- Creates coaches or replaces their settings; no row where another tenant has the id. If they are not scored, the known
-- scores stay.
SELECT * FROM engine.put_coaches(
    p_tenant => %(tenant)s, p_now => %(now)s, p_coach => %(coach)s, p_settings => %(settings)s, p_scored => %(scored)s
);

-- name: delete
-- Marks coaches as deleted, without the calendar and the absences.
SELECT engine.delete_coaches(p_now => %(now)s, p_coach => %(coach)s, p_tenant => %(tenant)s);

-- name: forget_calendar
-- Forgets what the calendars and absences of deleted coaches said, so that nothing of it counts if the id is used again.
SELECT engine.forget_external_calendar(p_coach => %(coach)s, p_tenant => %(tenant)s, p_now => %(now)s);

-- name: calendars_of
-- The calendars in whose team a coach of the tenant is.
SELECT member.calendar_id FROM coach_calendars AS member JOIN coaches AS coach USING (coach_id)
 WHERE coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s
 ORDER BY member.calendar_id;
