-- What an operator sets, and what a change of it means for appointments: docs/decisions/0101.

-- A coach's settings as the API shows them.
CREATE OR REPLACE FUNCTION engine.coach_json(c coaches) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'coach_id', c.coach_id, 'name', c.name, 'email', c.email, 'time_zone', c.time_zone, 'active', c.active,
        'working_hours', c.working_hours, 'overrides', c.overrides,
        'limits', jsonb_build_object('per_day', c.max_per_day), 'score', c.score);

-- A calendar's settings as the API shows them.
CREATE OR REPLACE FUNCTION engine.calendar_json(c calendars) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'calendar_id', c.calendar_id, 'name', c.name, 'slug', c.slug, 'description', c.description,
        'slot_duration', c.slot_duration, 'slot_interval', c.slot_interval,
        'buffers', jsonb_build_object('before', c.buffer_before, 'after', c.buffer_after),
        'notice', c.min_notice_minutes, 'horizon', c.horizon_days, 'time_zone', c.time_zone, 'max_per_day', c.max_per_day,
        'blocked_dates', to_jsonb(c.blocked_dates), 'hour_kinds', c.hour_kinds, 'policy', c.policy,
        'fairness', jsonb_build_object('gamma', c.weight_exponent, 'low', c.weight_low, 'high', c.weight_high,
                                       'prior_strength', c.prior_strength, 'half_life_days', c.half_life_days),
        'conflict_policy', c.conflict_policy, 'active', c.active);

-- The scheduled appointments and holds to come of these coaches, and those of these calendars.
CREATE OR REPLACE FUNCTION engine.coming_appointments(
    p_tenant text, p_coaches text[], p_calendars text[], p_now timestamptz
) RETURNS SETOF coach_appointments LANGUAGE sql STABLE AS $$
    SELECT * FROM coach_appointments
     WHERE tenant_id = p_tenant AND status IN ('held', 'scheduled') AND start_time > p_now
       AND (coach_id = ANY (p_coaches) OR calendar_id = ANY (p_calendars))
$$;

-- Takes every lock that a change of a team needs, in the one order. p_coaches: whose time or teams change; p_calendars:
-- whose weights, credits or settings change; p_closing: those of them whose appointments may no longer fit. Who may take
-- an appointment over is locked too. Coaches of other tenants are left out: what follows refuses them.
CREATE OR REPLACE FUNCTION engine.lock_team_change(
    p_tenant text, p_coaches text[], p_calendars text[], p_closing text[], p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_from      integer := engine.slot_of(p_now);
    v_coaches   text[] := ARRAY(SELECT coach_id FROM coaches WHERE tenant_id = p_tenant AND coach_id = ANY (p_coaches)
                                 ORDER BY coach_id);
    v_coach     text;
    v_calendars text[];
    v_ids       uuid[];
BEGIN
    FOREACH v_coach IN ARRAY v_coaches LOOP
        PERFORM engine.lock_external_calendar(v_coach);
    END LOOP;
    v_calendars := ARRAY(
        SELECT calendar_id FROM calendars WHERE tenant_id = p_tenant AND calendar_id = ANY (p_calendars)
         UNION
        SELECT engine.calendars_of_coach(one, v_from) FROM unnest(v_coaches) AS one);
    PERFORM engine.lock_calendars(v_calendars);
    v_ids := ARRAY(
        SELECT appointment_id FROM coach_appointments
         WHERE appointment_id IN (SELECT appointment_id
                                    FROM engine.coming_appointments(p_tenant => p_tenant, p_coaches => v_coaches,
                                                                    p_calendars => p_closing, p_now => p_now))
         ORDER BY appointment_id FOR UPDATE);
    IF EXISTS (SELECT FROM unnest(v_coaches) AS one, engine.calendars_of_coach(one, v_from) AS calendar_id
                WHERE calendar_id <> ALL (v_calendars)) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'a coach was booked in another calendar meanwhile';
    END IF;
    PERFORM FROM coach_slots AS day
      WHERE (day.coach_id, day.first_slot) IN (
        SELECT own.coach_id, own.first_slot FROM coach_slots AS own
         WHERE own.coach_id = ANY (v_coaches) AND own.first_slot > v_from - 104
         UNION
        SELECT near.coach_id, near.first_slot
          FROM coach_appointments AS a
          JOIN coach_calendars AS member USING (calendar_id)
          JOIN coach_slots AS near
            ON near.coach_id = member.coach_id AND near.first_slot > engine.slot_of(lower(a.takes)) - 104
           AND near.first_slot < engine.slot_of(upper(a.takes))
         WHERE a.appointment_id = ANY (v_ids))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
END $$;

-- Which appointments and holds to come of these coaches and calendars no longer fit what is set, and why.
CREATE OR REPLACE FUNCTION engine.misfits(
    p_tenant text, p_coaches text[], p_calendars text[], p_now timestamptz
) RETURNS TABLE (appointment_id uuid, reason text) LANGUAGE sql STABLE AS $$
    SELECT a.appointment_id, judged.reason
      FROM engine.coming_appointments(p_tenant => p_tenant, p_coaches => p_coaches, p_calendars => p_calendars,
                                      p_now => p_now) AS a
      JOIN calendars AS calendar USING (calendar_id)
      JOIN coaches AS coach USING (coach_id)
     CROSS JOIN LATERAL (SELECT CASE
        WHEN calendar.deleted_at IS NOT NULL THEN 'calendar_deleted'
        WHEN (a.start_time AT TIME ZONE engine.full_zone(calendar.time_zone))::date = ANY (calendar.blocked_dates)
            THEN 'calendar_closed'
        WHEN NOT coach.active THEN 'inactive'
        WHEN NOT EXISTS (SELECT FROM coach_calendars AS member
                          WHERE member.calendar_id = a.calendar_id AND member.coach_id = a.coach_id) THEN 'left_team'
        WHEN EXISTS (SELECT FROM coach_absences AS absence
                      WHERE absence.coach_id = a.coach_id AND absence.span && tstzrange(a.start_time, a.end_time))
            THEN 'absent'
        WHEN EXISTS (SELECT FROM coach_slots AS day
                      WHERE day.coach_id = a.coach_id AND day.first_slot > engine.slot_of(a.start_time) - 104
                        AND day.first_slot < engine.slot_of(a.end_time)
                        AND NOT engine.has_slots(p_bits => day.working, p_first => day.first_slot,
                                                 p_count => day.slot_count, p_from => engine.slot_of(a.start_time),
                                                 p_to => engine.slot_of(a.end_time)))
            THEN 'outside_working_hours' END AS reason) AS judged
     WHERE judged.reason IS NOT NULL
$$;

-- Does with appointments that no longer fit what an operator chose: reassign, cancel or keep. Holds are dropped. Returns
-- what became of each: "reassigned", "cancelled", "kept" (and marked), "released" (a hold), or "nobody_free", with which
-- nothing was done to it. The caller has the locks.
CREATE OR REPLACE FUNCTION engine.settle_misfits(
    p_tenant text, p_ids uuid[], p_reasons text[], p_action text, p_reason text, p_now timestamptz
) RETURNS TABLE (appointment_id uuid, outcome text, coach_id text) LANGUAGE plpgsql AS $$
DECLARE
    v_one record;
    a     coach_appointments;
BEGIN
    FOR v_one IN
        SELECT given.id, given.reason LIKE 'calendar\_%' AS calendar_closed
          FROM unnest(p_ids, p_reasons) AS given (id, reason)
          JOIN coach_appointments AS known ON known.appointment_id = given.id AND known.tenant_id = p_tenant
         ORDER BY known.status <> 'held', known.start_time, given.id
    LOOP
        SELECT * INTO a FROM coach_appointments AS known WHERE known.appointment_id = v_one.id;
        IF a.status = 'held' THEN
            PERFORM engine.drop_hold(a => a, p_type => 'hold.released', p_now => p_now);
            outcome := 'released';
        ELSIF v_one.calendar_closed AND p_action = 'reassign' THEN
            outcome := 'nobody_free';
        ELSIF v_one.calendar_closed AND p_action = 'cancel' THEN
            -- It is not the coach who is away, so the credit goes back.
            PERFORM engine.cancel(p_tenant => p_tenant, p_appointment => v_one.id, p_cancelled_by => 'system',
                                  p_reason => p_reason, p_key => NULL, p_fingerprint => NULL, p_keep_for => NULL,
                                  p_now => p_now);
            outcome := 'cancelled';
        ELSE
            outcome := engine.apply_conflict_policy(p_policy => p_action, p_tenant => p_tenant, p_appointment => v_one.id,
                                                    p_reason => p_reason, p_now => p_now);
            IF p_action = 'reassign' AND outcome = 'kept' THEN
                outcome := 'nobody_free';
            END IF;
        END IF;
        appointment_id := v_one.id;
        coach_id := (SELECT known.coach_id FROM coach_appointments AS known WHERE known.appointment_id = v_one.id);
        RETURN NEXT;
    END LOOP;
END $$;
