-- What an operator sets, and what a change of it means for appointments: docs/decisions/0101.

-- A coach's settings as the API shows them.
CREATE OR REPLACE FUNCTION engine.coach_json(c coaches) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'coach_id', c.coach_id, 'name', c.name, 'email', c.email, 'time_zone', c.time_zone, 'active', c.active,
        'working_hours', c.working_hours, 'overrides', c.overrides,
        'limits', jsonb_build_object('per_day', c.max_per_day, 'per_week', c.max_per_week, 'per_month', c.max_per_month,
                                     'minutes_per_week', c.max_minutes_per_week),
        'buffers', jsonb_build_object('before', c.buffer_before, 'after', c.buffer_after),
        'notice', c.min_notice_minutes, 'attributes', c.attributes, 'score', c.score);

-- A coach's place in a team as the API shows it.
CREATE OR REPLACE FUNCTION engine.member_json(m coach_calendars) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'calendar_id', m.calendar_id, 'coach_id', m.coach_id, 'weight', m.manual_weight,
        'buffers', jsonb_build_object('before', m.buffer_before, 'after', m.buffer_after),
        'notice', m.min_notice_minutes);

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
        'conflict_policy', c.conflict_policy, 'requires', to_jsonb(c.requires), 'active', c.active);

-- Adds coaches to teams, or changes what is set of them there: the n-th coach in the n-th calendar. Buffers and notices are
-- minutes.
CREATE OR REPLACE FUNCTION engine.join_teams(
    p_calendars text[], p_coaches text[], p_manual_weights double precision[], p_buffers_before integer[],
    p_buffers_after integer[], p_notices integer[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM engine.lock_calendars(p_calendars);
    INSERT INTO coach_calendars AS member (calendar_id, coach_id, manual_weight, buffer_before, buffer_after,
                                           min_notice_minutes)
    SELECT * FROM unnest(p_calendars, p_coaches, p_manual_weights, p_buffers_before, p_buffers_after, p_notices)
    ON CONFLICT (calendar_id, coach_id) DO UPDATE
       SET manual_weight = excluded.manual_weight, buffer_before = excluded.buffer_before,
           buffer_after = excluded.buffer_after, min_notice_minutes = excluded.min_notice_minutes;
END $$;

-- Adds a coach to a team with a manual weight and without rules there, or makes it so.
CREATE OR REPLACE FUNCTION engine.join_team(p_calendar text, p_coach text, p_manual_weight double precision)
    RETURNS void LANGUAGE sql
    RETURN engine.join_teams(p_calendars => ARRAY[p_calendar], p_coaches => ARRAY[p_coach],
                             p_manual_weights => ARRAY[p_manual_weight], p_buffers_before => '{0}',
                             p_buffers_after => '{0}', p_notices => '{0}');

-- Removes coaches from teams, the n-th from the n-th; raises FS404. Each leaves with the credit of then, one after the other.
CREATE OR REPLACE FUNCTION engine.leave_teams(p_calendars text[], p_coaches text[], p_now timestamptz)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_one record;
BEGIN
    PERFORM engine.lock_calendars(p_calendars);
    FOR v_one IN SELECT * FROM unnest(p_calendars, p_coaches) AS one (calendar_id, coach_id) LOOP
        IF NOT EXISTS (SELECT FROM coach_calendars
                        WHERE calendar_id = v_one.calendar_id AND coach_id = v_one.coach_id) THEN
            RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
        END IF;
        PERFORM engine.retire_coach(p_calendar => v_one.calendar_id, p_coach => v_one.coach_id,
                                    p_now => coalesce(p_now, clock_timestamp()));
    END LOOP;
    -- In one statement: after it every roster is made once.
    DELETE FROM coach_calendars USING unnest(p_calendars, p_coaches) AS one (calendar_id, coach_id)
     WHERE coach_calendars.calendar_id = one.calendar_id AND coach_calendars.coach_id = one.coach_id;
END $$;

-- Removes a coach from a team; raises FS404.
CREATE OR REPLACE FUNCTION engine.leave_team(p_calendar text, p_coach text, p_now timestamptz)
    RETURNS void LANGUAGE sql
    RETURN engine.leave_teams(p_calendars => ARRAY[p_calendar], p_coaches => ARRAY[p_coach], p_now => p_now);

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
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
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
            -- Whoever takes over may have longer buffers.
            ON near.coach_id = member.coach_id AND near.first_slot > engine.slot_of(lower(a.takes)) - 16 - 104
           AND near.first_slot < engine.slot_of(upper(a.takes)) + 16
         WHERE a.appointment_id = ANY (v_ids))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    PERFORM engine.lock_periods(
        p_whole => v_coaches,
        p_coaches => ARRAY(SELECT coach_id FROM coach_appointments WHERE appointment_id = ANY (v_ids)
                            UNION
                           SELECT member.coach_id FROM coach_appointments AS a JOIN coach_calendars AS member USING (calendar_id)
                            WHERE a.appointment_id = ANY (v_ids)),
        p_slots => ARRAY(SELECT engine.slot_of(start_time) FROM coach_appointments WHERE appointment_id = ANY (v_ids)));
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
) RETURNS TABLE (appointment_id uuid, outcome text, coach_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
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

-- The absences of a coach of the tenant; where a part of one has ended, from its first instant to its last.
CREATE OR REPLACE FUNCTION engine.absences_of(p_tenant text, p_coach text)
    RETURNS TABLE (absence_id uuid, start timestamptz, "end" timestamptz, reason text, ledger text) LANGUAGE sql STABLE AS $$
    SELECT absence.event_id, min(lower(absence.span)), max(upper(absence.span)), max(absence.reason), max(absence.ledger)
      FROM coach_absences AS absence JOIN coaches AS coach USING (coach_id)
     WHERE absence.coach_id = p_coach AND coach.tenant_id = p_tenant AND coach.deleted_at IS NULL
     GROUP BY absence.event_id
$$;
