-- What happens to an appointment after it is booked.

-- Moves an appointment to another start, with its coach (p_any false) or whoever's turn it is, until it begins. The coach
-- stays where the rule would choose the same one anyway, and then the credits stay too; and what would be as it is stays as
-- it is. Atomic: whatever is raised keeps the old time.
CREATE OR REPLACE FUNCTION engine.reschedule(
    p_tenant text, p_appointment uuid, p_start timestamptz, p_any boolean,
    p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := engine.lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := engine.idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    v_team     candidate[];
    v_coach    text;
    v_from     integer := engine.slot_of(p_start);
    v_count    integer := v_calendar.slot_duration / 15;
    v_before   integer := v_calendar.buffer_before / 15;
    v_after    integer := v_calendar.buffer_after / 15;
    v_takes    tstzrange := tstzrange(engine.instant_of(v_from - v_before), engine.instant_of(v_from + v_count + v_after));
    v_stays    boolean;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF v_now >= v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'has_started';
    END IF;
    v_stays := (p_start, engine.instant_of(v_from + v_count), v_takes) = (v_old.start_time, v_old.end_time, v_old.takes)
               AND NOT v_old.conflict;
    IF v_stays AND NOT p_any THEN
        RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.appointment_json(v_old), '[]');
    END IF;
    PERFORM engine.check_start(v_calendar, p_start, p_appointment, v_now);
    PERFORM engine.check_holds(v_calendar.calendar_id, v_now);
    PERFORM engine.lock_days(v_old, v_takes);
    PERFORM engine.release_time(v_old.coach_id, v_old.start_time, v_old.takes);
    v_team := engine.without_decision(
        ARRAY(SELECT one FROM engine.candidates(v_calendar.calendar_id, v_from, v_count, v_before, v_after) AS one),
        p_appointment, CASE WHEN NOT p_any THEN v_old.coach_id END, NULL);
    v_team := ARRAY(SELECT one FROM engine.ranked(v_calendar.policy, v_team) AS one);
    v_coach := CASE WHEN v_team[1].excluded IS NULL THEN v_team[1].coach_id END;
    IF v_coach IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    ELSIF v_stays AND v_coach = v_old.coach_id THEN
        PERFORM engine.take_time(v_old.coach_id, v_old.start_time, v_old.takes);
        RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.appointment_json(v_old), '[]');
    ELSIF v_coach <> v_old.coach_id THEN
        PERFORM engine.reverse_decision(p_appointment, v_now);
        PERFORM engine.decide(v_calendar, v_calendar.policy, p_appointment, v_team, v_now);
    END IF;
    UPDATE coach_appointments
       SET coach_id = v_coach, start_time = p_start, end_time = engine.instant_of(v_from + v_count), takes = v_takes,
           version = version + 1, updated_at = v_now, conflict = false,
           external_calendar_id = CASE WHEN (v_coach, v_takes) = (v_old.coach_id, v_old.takes) THEN external_calendar_id END
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.take_time(a.coach_id, a.start_time, a.takes);
    RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.appointment_json(a),
        engine.emit_event('appointment.rescheduled', a, v_old, jsonb_build_object(
            'previous_start_time', engine.zulu(v_old.start_time), 'previous_coach_id', v_old.coach_id)));
END $$;

-- Hands an appointment to a named coach of the team, or to whoever's turn it is among the others. A choice that a
-- person makes is nobody's turn: it moves no credits, and the decision that it replaces is undone.
CREATE OR REPLACE FUNCTION engine.reassign(
    p_tenant text, p_appointment uuid, p_coach text, p_reason text,
    p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := engine.lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := engine.idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_policy   text := CASE WHEN p_coach IS NULL THEN v_calendar.policy ELSE 'manual' END;
    v_old      coach_appointments;
    v_team     candidate[];
    v_from     integer;
    v_end      integer;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF p_coach = v_old.coach_id THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'same_coach';
    ELSIF p_coach IS NOT NULL AND NOT EXISTS (
        SELECT FROM coach_calendars WHERE calendar_id = v_old.calendar_id AND coach_id = p_coach) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    PERFORM engine.check_holds(v_calendar.calendar_id, v_now);
    PERFORM engine.lock_days(v_old, v_old.takes);
    v_from := engine.slot_of(v_old.start_time);
    v_end := engine.slot_of(v_old.end_time);
    v_team := engine.without_decision(
        ARRAY(SELECT one FROM engine.candidates(v_calendar.calendar_id, v_from, v_end - v_from,
            v_from - engine.slot_of(lower(v_old.takes)), engine.slot_of(upper(v_old.takes)) - v_end) AS one),
        p_appointment, p_coach, v_old.coach_id);
    v_team := ARRAY(SELECT one FROM engine.ranked(v_policy, v_team) AS one);
    IF v_team[1].coach_id IS NULL OR v_team[1].excluded IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    PERFORM engine.reverse_decision(p_appointment, v_now);
    UPDATE coach_appointments
       SET coach_id = v_team[1].coach_id, version = version + 1, updated_at = v_now,
           conflict = false, external_calendar_id = NULL
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.decide(v_calendar, v_policy, p_appointment, v_team, v_now);
    PERFORM engine.release_time(v_old.coach_id, v_old.start_time, v_old.takes);
    PERFORM engine.take_time(a.coach_id, a.start_time, a.takes);
    RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.appointment_json(a),
        engine.emit_event('appointment.reassigned', a, v_old, jsonb_build_object(
            'previous_coach_id', v_old.coach_id, 'reason', p_reason)));
END $$;

-- Says how an appointment ended that has begun, and learns from it.
CREATE OR REPLACE FUNCTION engine.report_outcome(
    p_tenant text, p_appointment uuid, p_outcome text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := engine.lock_calendars(p_tenant, p_appointment, true);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := engine.idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF v_now < v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'not_started';
    END IF;
    UPDATE coach_appointments SET status = p_outcome, version = version + 1, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.learn(v_calendar, a.coach_id, p_outcome = 'completed', v_now);
    RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.appointment_json(a),
                           engine.emit_event('appointment.' || p_outcome, a, v_old));
END $$;
