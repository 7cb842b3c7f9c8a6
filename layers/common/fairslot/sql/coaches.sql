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
INSERT INTO coaches AS known (coach_id, tenant_id, name, email, time_zone, active, working_hours, overrides, max_per_day,
                              max_per_week, max_per_month, max_minutes_per_week, buffer_before, buffer_after,
                              min_notice_minutes, attributes, score, updated_at)
SELECT coach_id, %(tenant)s, given ->> 'name', given ->> 'email', given ->> 'time_zone', (given ->> 'active')::boolean,
       given -> 'working_hours', given -> 'overrides', (given #>> '{limits,per_day}')::smallint,
       (given #>> '{limits,per_week}')::smallint, (given #>> '{limits,per_month}')::smallint,
       (given #>> '{limits,minutes_per_week}')::integer, (given #>> '{buffers,before}')::smallint,
       (given #>> '{buffers,after}')::smallint, (given ->> 'notice')::integer, given -> 'attributes',
       coalesce((given ->> 'score')::double precision, 0.5), %(now)s
  FROM ROWS FROM (unnest(%(coach)s::text[]), jsonb_array_elements(%(settings)s)) AS request (coach_id, given)
 ORDER BY coach_id
ON CONFLICT (coach_id) DO UPDATE
   SET name = excluded.name, email = excluded.email, time_zone = excluded.time_zone, active = excluded.active,
       working_hours = excluded.working_hours, overrides = excluded.overrides, max_per_day = excluded.max_per_day,
       max_per_week = excluded.max_per_week, max_per_month = excluded.max_per_month,
       max_minutes_per_week = excluded.max_minutes_per_week, buffer_before = excluded.buffer_before,
       buffer_after = excluded.buffer_after, min_notice_minutes = excluded.min_notice_minutes,
       attributes = excluded.attributes,
       score = CASE WHEN %(scored)s OR known.deleted_at IS NOT NULL THEN excluded.score ELSE known.score END,
       -- Another score is a new belief; the same one keeps its evidence.
       alpha = CASE WHEN %(scored)s AND known.score <> excluded.score OR known.deleted_at IS NOT NULL THEN NULL
                    ELSE known.alpha END,
       beta = CASE WHEN %(scored)s AND known.score <> excluded.score OR known.deleted_at IS NOT NULL THEN NULL
                   ELSE known.beta END,
       updated_at = excluded.updated_at, deleted_at = NULL
 WHERE known.tenant_id = excluded.tenant_id
RETURNING coach_id;

-- name: delete
-- Marks coaches as deleted, without the calendar and the absences.
UPDATE coaches SET active = false, deleted_at = %(now)s, updated_at = %(now)s, calendar_kind = 'none', calendar_url = NULL
 WHERE coach_id = ANY (%(coach)s) AND tenant_id = %(tenant)s AND deleted_at IS NULL;

-- name: forget_calendar
-- Forgets what the calendars and absences of deleted coaches said, so that nothing of it counts if the id is used again.
WITH own AS (
    SELECT coach_id FROM coaches WHERE coach_id = ANY (%(coach)s) AND tenant_id = %(tenant)s AND deleted_at IS NOT NULL
), syncs AS (
    DELETE FROM coach_syncs WHERE coach_id IN (SELECT coach_id FROM own)
), absences AS (
    DELETE FROM coach_absences WHERE coach_id IN (SELECT coach_id FROM own)
)
UPDATE coach_slots SET external = engine.span_mask(p_offset => 0, p_length => slot_count, p_count => slot_count)
 WHERE coach_id IN (SELECT coach_id FROM own) AND first_slot + slot_count > engine.slot_of(%(now)s);

-- name: calendars_of
-- The calendars in whose team a coach of the tenant is.
SELECT member.calendar_id FROM coach_calendars AS member JOIN coaches AS coach USING (coach_id)
 WHERE coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s
 ORDER BY member.calendar_id;
