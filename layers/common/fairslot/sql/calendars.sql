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
INSERT INTO calendars AS known (calendar_id, tenant_id, name, slug, description, slot_duration, slot_interval,
    buffer_before, buffer_after, min_notice_minutes, horizon_days, time_zone, max_per_day, blocked_dates, hour_kinds, policy,
    weight_exponent, weight_low, weight_high, prior_strength, half_life_days, conflict_policy, requires, active)
SELECT %(calendar)s, %(tenant)s, given ->> 'name', given ->> 'slug', given ->> 'description',
       (given ->> 'slot_duration')::smallint, (given ->> 'slot_interval')::smallint,
       (given #>> '{buffers,before}')::smallint, (given #>> '{buffers,after}')::smallint, (given ->> 'notice')::integer,
       (given ->> 'horizon')::smallint, given ->> 'time_zone', (given ->> 'max_per_day')::integer,
       ARRAY(SELECT jsonb_array_elements_text(given -> 'blocked_dates')::date), given -> 'hour_kinds', given ->> 'policy',
       (given #>> '{fairness,gamma}')::float8, (given #>> '{fairness,low}')::float8, (given #>> '{fairness,high}')::float8,
       (given #>> '{fairness,prior_strength}')::float8, (given #>> '{fairness,half_life_days}')::float8,
       given ->> 'conflict_policy', ARRAY(SELECT jsonb_array_elements_text(given -> 'requires')), (given ->> 'active')::boolean
  FROM (SELECT %(settings)s::jsonb AS given) AS request
ON CONFLICT (calendar_id) DO UPDATE
   SET name = excluded.name, slug = excluded.slug, description = excluded.description,
       slot_duration = excluded.slot_duration, slot_interval = excluded.slot_interval,
       buffer_before = excluded.buffer_before, buffer_after = excluded.buffer_after,
       min_notice_minutes = excluded.min_notice_minutes, horizon_days = excluded.horizon_days,
       time_zone = excluded.time_zone, max_per_day = excluded.max_per_day, blocked_dates = excluded.blocked_dates,
       hour_kinds = excluded.hour_kinds, policy = excluded.policy, weight_exponent = excluded.weight_exponent, weight_low = excluded.weight_low,
       weight_high = excluded.weight_high, prior_strength = excluded.prior_strength,
       half_life_days = excluded.half_life_days, conflict_policy = excluded.conflict_policy, requires = excluded.requires,
       active = excluded.active,
       policy_version = known.policy_version + CASE
           WHEN (known.policy, known.weight_exponent, known.weight_low, known.weight_high, known.hour_kinds)
                IS DISTINCT FROM (excluded.policy, excluded.weight_exponent, excluded.weight_low, excluded.weight_high,
                                  excluded.hour_kinds)
           THEN 1 ELSE 0 END,
       deleted_at = NULL
 WHERE known.tenant_id = excluded.tenant_id
RETURNING calendar_id;

-- name: release_slug
-- Frees a calendar's slug for another one.
UPDATE calendars SET slug = NULL WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s;

-- name: delete
-- Marks a calendar as deleted.
UPDATE calendars SET active = false, deleted_at = %(now)s
 WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s AND deleted_at IS NULL;
