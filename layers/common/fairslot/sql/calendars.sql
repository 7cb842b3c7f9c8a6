-- name: get
-- One calendar of the tenant.
SELECT engine.calendar_json(c) AS calendar FROM calendars AS c
 WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s AND deleted_at IS NULL;

-- name: list_page
-- A page of the tenant's calendars by id.
SELECT engine.calendar_json(c) AS calendar FROM calendars AS c
 WHERE tenant_id = %(tenant)s AND deleted_at IS NULL
   AND (%(active)s::boolean IS NULL OR active = %(active)s)
   AND (%(coach)s::text IS NULL OR EXISTS (SELECT FROM coach_calendars AS member
                                           WHERE member.calendar_id = c.calendar_id AND member.coach_id = %(coach)s))
   AND (%(after)s::text IS NULL OR calendar_id COLLATE "C" > %(after)s)
 ORDER BY calendar_id COLLATE "C" LIMIT %(limit)s;

-- name: put
-- Creates a calendar or replaces the settings; no row where another tenant has the id. A changed rule is a new version.
SELECT * FROM engine.put_calendar(p_calendar => %(calendar)s, p_tenant => %(tenant)s, p_settings => %(settings)s);

-- name: release_slug
-- Frees a calendar's slug for another one.
SELECT engine.release_slug(p_calendar => %(calendar)s, p_tenant => %(tenant)s);

-- name: delete
-- Marks a calendar as deleted.
SELECT engine.delete_calendar(p_now => %(now)s, p_calendar => %(calendar)s, p_tenant => %(tenant)s);
