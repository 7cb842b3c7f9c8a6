-- Coaches, calendars and absences as an operator sets them.

-- Creates a calendar or replaces the settings; no row where another tenant has the id. A changed rule is a new version.
CREATE OR REPLACE FUNCTION engine.put_calendar(p_calendar text, p_tenant text, p_settings jsonb)
    RETURNS TABLE (calendar_id text) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO calendars AS known (calendar_id, tenant_id, name, slug, description, slot_duration, slot_interval,
        buffer_before, buffer_after, min_notice_minutes, horizon_days, time_zone, max_per_day, blocked_dates, hour_kinds, policy,
        weight_exponent, weight_low, weight_high, prior_strength, half_life_days, conflict_policy,
        on_unverified, requires, active)
    SELECT p_calendar, p_tenant, given ->> 'name', given ->> 'slug', given ->> 'description',
           (given ->> 'slot_duration')::smallint, (given ->> 'slot_interval')::smallint,
           (given #>> '{buffers,before}')::smallint, (given #>> '{buffers,after}')::smallint, (given ->> 'notice')::integer,
           (given ->> 'horizon')::smallint, given ->> 'time_zone', (given ->> 'max_per_day')::integer,
           ARRAY(SELECT jsonb_array_elements_text(given -> 'blocked_dates')::date), given -> 'hour_kinds', given ->> 'policy',
           (given #>> '{fairness,gamma}')::float8, (given #>> '{fairness,low}')::float8, (given #>> '{fairness,high}')::float8,
           (given #>> '{fairness,prior_strength}')::float8, (given #>> '{fairness,half_life_days}')::float8,
           given ->> 'conflict_policy', coalesce(given ->> 'on_unverified', 'allow'),
           ARRAY(SELECT jsonb_array_elements_text(given -> 'requires')), (given ->> 'active')::boolean
      FROM (SELECT p_settings::jsonb AS given) AS request
    ON CONFLICT (calendar_id) DO UPDATE
       SET name = excluded.name, slug = excluded.slug, description = excluded.description,
           slot_duration = excluded.slot_duration, slot_interval = excluded.slot_interval,
           buffer_before = excluded.buffer_before, buffer_after = excluded.buffer_after,
           min_notice_minutes = excluded.min_notice_minutes, horizon_days = excluded.horizon_days,
           time_zone = excluded.time_zone, max_per_day = excluded.max_per_day, blocked_dates = excluded.blocked_dates,
           hour_kinds = excluded.hour_kinds, policy = excluded.policy,
           weight_exponent = excluded.weight_exponent, weight_low = excluded.weight_low, weight_high = excluded.weight_high,
           prior_strength = excluded.prior_strength, half_life_days = excluded.half_life_days, conflict_policy = excluded.conflict_policy,
           on_unverified = excluded.on_unverified,
           requires = excluded.requires, active = excluded.active,
           policy_version = known.policy_version + CASE
               WHEN (known.policy, known.weight_exponent, known.weight_low, known.weight_high, known.hour_kinds)
                    IS DISTINCT FROM (excluded.policy, excluded.weight_exponent, excluded.weight_low, excluded.weight_high,
                                      excluded.hour_kinds)
               THEN 1 ELSE 0 END,
           deleted_at = NULL
     WHERE known.tenant_id = excluded.tenant_id
    RETURNING calendar_id
$$;

-- Frees a calendar's slug for another one.
CREATE OR REPLACE FUNCTION engine.release_slug(p_calendar text, p_tenant text) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE calendars SET slug = NULL WHERE calendar_id = p_calendar AND tenant_id = p_tenant
$$;

-- Marks a calendar as deleted.
CREATE OR REPLACE FUNCTION engine.delete_calendar(p_now timestamptz, p_calendar text, p_tenant text) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE calendars SET active = false, deleted_at = p_now
     WHERE calendar_id = p_calendar AND tenant_id = p_tenant AND deleted_at IS NULL
$$;

-- Creates coaches or replaces their settings; no row where another tenant has the id. If they are not scored, the known
-- scores stay.
CREATE OR REPLACE FUNCTION engine.put_coaches(
    p_tenant text, p_now timestamptz, p_coach text[], p_settings jsonb, p_scored boolean
) RETURNS TABLE (coach_id text) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO coaches AS known (coach_id, tenant_id, name, email, time_zone, active, working_hours, overrides, max_per_day,
                                  max_per_week, max_per_month, max_minutes_per_week, buffer_before, buffer_after,
                                  min_notice_minutes, attributes, score, updated_at)
    SELECT coach_id, p_tenant, given ->> 'name', given ->> 'email', given ->> 'time_zone', (given ->> 'active')::boolean,
           given -> 'working_hours', given -> 'overrides', (given #>> '{limits,per_day}')::smallint,
           (given #>> '{limits,per_week}')::smallint, (given #>> '{limits,per_month}')::smallint,
           (given #>> '{limits,minutes_per_week}')::integer, (given #>> '{buffers,before}')::smallint,
           (given #>> '{buffers,after}')::smallint, (given ->> 'notice')::integer, given -> 'attributes',
           coalesce((given ->> 'score')::double precision, 0.5), p_now
      FROM ROWS FROM (unnest(p_coach::text[]), jsonb_array_elements(p_settings)) AS request (coach_id, given)
     ORDER BY coach_id
    ON CONFLICT (coach_id) DO UPDATE
       SET name = excluded.name, email = excluded.email, time_zone = excluded.time_zone, active = excluded.active,
           working_hours = excluded.working_hours, overrides = excluded.overrides, max_per_day = excluded.max_per_day,
           max_per_week = excluded.max_per_week, max_per_month = excluded.max_per_month,
           max_minutes_per_week = excluded.max_minutes_per_week, buffer_before = excluded.buffer_before,
           buffer_after = excluded.buffer_after, min_notice_minutes = excluded.min_notice_minutes,
           attributes = excluded.attributes,
           score = CASE WHEN p_scored OR known.deleted_at IS NOT NULL THEN excluded.score ELSE known.score END,
           -- Another score is a new belief; the same one keeps its evidence.
           alpha = CASE WHEN p_scored AND known.score <> excluded.score OR known.deleted_at IS NOT NULL THEN NULL
                        ELSE known.alpha END,
           beta = CASE WHEN p_scored AND known.score <> excluded.score OR known.deleted_at IS NOT NULL THEN NULL
                       ELSE known.beta END,
           updated_at = excluded.updated_at, deleted_at = NULL
     WHERE known.tenant_id = excluded.tenant_id
    RETURNING coach_id
$$;

-- Marks coaches as deleted, without their calendars and absences.
CREATE OR REPLACE FUNCTION engine.delete_coaches(p_now timestamptz, p_coach text[], p_tenant text) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM calendar_sources WHERE coach_id = ANY (p_coach) AND tenant_id = p_tenant;
    UPDATE coaches SET active = false, deleted_at = p_now, updated_at = p_now
     WHERE coach_id = ANY (p_coach) AND tenant_id = p_tenant AND deleted_at IS NULL
$$;

-- Forgets what the calendars and absences of deleted coaches said, so that nothing of it counts if the id is used again.
CREATE OR REPLACE FUNCTION engine.forget_external_calendar(p_coach text[], p_tenant text, p_now timestamptz)
    RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    WITH own AS (
        SELECT coach_id FROM coaches WHERE coach_id = ANY (p_coach) AND tenant_id = p_tenant AND deleted_at IS NOT NULL
    ), syncs AS (
        DELETE FROM coach_syncs WHERE coach_id IN (SELECT coach_id FROM own)
    ), absences AS (
        DELETE FROM coach_absences WHERE coach_id IN (SELECT coach_id FROM own)
    )
    UPDATE coach_slots SET external = engine.span_mask(p_offset => 0, p_length => slot_count, p_count => slot_count)
     WHERE coach_id IN (SELECT coach_id FROM own) AND first_slot + slot_count > engine.slot_of(p_now)
$$;

-- Notes why a coach of the tenant is away, and what that does to the credits.
CREATE OR REPLACE FUNCTION engine.note_absence_reason(
    p_reason text, p_ledger text, p_coach text, p_event uuid, p_tenant text
) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE coach_absences AS absence SET reason = p_reason, ledger = p_ledger
      FROM coaches AS coach
     WHERE absence.coach_id = p_coach AND absence.event_id = p_event
       AND coach.coach_id = absence.coach_id AND coach.tenant_id = p_tenant
$$;

-- Deletes one absence of a coach of the tenant; returns the stretches in which the coach has no other.
CREATE OR REPLACE FUNCTION engine.delete_absence(p_coach text, p_event uuid, p_tenant text)
    RETURNS TABLE (start timestamptz, "end" timestamptz) LANGUAGE sql SECURITY DEFINER AS $$
    WITH gone AS (
        DELETE FROM coach_absences AS absence USING coaches AS coach
         WHERE absence.coach_id = p_coach AND absence.event_id = p_event
           AND coach.coach_id = absence.coach_id AND coach.tenant_id = p_tenant
        RETURNING absence.span
    )
    SELECT lower(part) AS start, upper(part) AS "end"
      FROM unnest((SELECT coalesce(range_agg(span), '{}') FROM gone)
                  - (SELECT coalesce(range_agg(span), '{}') FROM coach_absences
                      WHERE coach_id = p_coach AND event_id <> p_event)) AS part
$$;
