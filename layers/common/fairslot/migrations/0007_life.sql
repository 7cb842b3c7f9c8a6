-- What happens to an appointment after it is booked: one function each, called once. Errors as in 0006.

-- Locks an appointment's calendar and the appointment, and returns it; only a scheduled one goes on.
CREATE FUNCTION lock_appointment(p_tenant text, p_appointment uuid) RETURNS coach_appointments LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    SELECT * INTO a FROM coach_appointments WHERE appointment_id = p_appointment FOR NO KEY UPDATE;
    IF NOT FOUND OR a.tenant_id <> p_tenant OR a.status = 'held' THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'appointment';
    ELSIF a.status <> 'scheduled' THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = a.status;
    END IF;
    RETURN a;
END $$;

-- Locks the calendar of an appointment, or with p_all every calendar of its coach, in order; returns its own.
CREATE FUNCTION lock_calendars(p_tenant text, p_appointment uuid, p_all boolean) RETURNS calendars LANGUAGE plpgsql AS $$
DECLARE
    v_coach    text := (SELECT coach_id FROM coach_appointments WHERE appointment_id = p_appointment);
    v_calendar calendars;
BEGIN
    PERFORM FROM calendars AS calendar
      WHERE EXISTS (SELECT FROM coach_appointments AS a
                     WHERE a.appointment_id = p_appointment AND a.tenant_id = p_tenant
                       AND (a.calendar_id = calendar.calendar_id OR p_all AND EXISTS (
                           SELECT FROM coach_calendars AS member
                            WHERE member.calendar_id = calendar.calendar_id AND member.coach_id = a.coach_id)))
      ORDER BY calendar_id FOR NO KEY UPDATE;
    SELECT calendar.* INTO v_calendar FROM calendars AS calendar JOIN coach_appointments AS a USING (calendar_id)
     WHERE a.appointment_id = p_appointment AND a.tenant_id = p_tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'appointment';
    ELSIF p_all AND v_coach <> (SELECT coach_id FROM coach_appointments WHERE appointment_id = p_appointment) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the appointment was handed over meanwhile';
    END IF;
    RETURN v_calendar;
END $$;

-- Locks every day that moving an appointment to p_takes could touch, in the one order, so that what is read
-- afterwards stays true.
CREATE FUNCTION lock_days(a coach_appointments, p_takes tstzrange) RETURNS void LANGUAGE sql AS $$
    SELECT FROM coach_slots AS day
     WHERE (day.coach_id = a.coach_id
            AND day.first_slot > slot_of(lower(a.takes)) - 104 AND day.first_slot < slot_of(upper(a.takes)))
        OR (day.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = a.calendar_id)
            AND day.first_slot > slot_of(lower(p_takes)) - 104 AND day.first_slot < slot_of(upper(p_takes)))
     ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE
$$;

CREATE FUNCTION cancel(
    p_tenant text, p_appointment uuid, p_by text, p_reason text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    v_old := lock_appointment(p_tenant, p_appointment);
    UPDATE coach_appointments
       SET status = 'cancelled', version = version + 1, cancelled_by = p_by, cancel_reason = p_reason,
           cancelled_at = v_now, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM move_time(a.coach_id, a.start_time, a.takes, -1);
    IF p_by <> 'coach' THEN
        PERFORM reverse_decision(p_appointment, v_now);
    END IF;
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
                           emit_event('appointment.cancelled', a, v_old, jsonb_build_object('cancelled_by', p_by)));
END $$;

-- Moves an appointment to another start, with its coach (p_any false) or whoever's turn it is. The coach stays where
-- the rule would choose the same one anyway, and then the credits stay too. Atomic: whatever is raised keeps the old time.
CREATE FUNCTION reschedule(
    p_tenant text, p_appointment uuid, p_start timestamptz, p_any boolean,
    p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    v_team     candidate[];
    v_pool     candidate[];
    v_coach    text;
    v_from     integer := slot_of(p_start);
    v_count    integer := v_calendar.slot_duration / 15;
    v_before   integer := v_calendar.buffer_before / 15;
    v_after    integer := v_calendar.buffer_after / 15;
    v_takes    tstzrange := tstzrange(instant_of(v_from - v_before), instant_of(v_from + v_count + v_after));
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    v_old := lock_appointment(p_tenant, p_appointment);
    PERFORM check_start(v_calendar, p_start, p_appointment, v_now);
    PERFORM check_holds(v_calendar.calendar_id, v_now);
    PERFORM lock_days(v_old, v_takes);
    PERFORM move_time(v_old.coach_id, v_old.start_time, v_old.takes, -1);
    v_team := without_decision(
        ARRAY(SELECT one FROM candidates(v_calendar.calendar_id, v_from, v_count, v_before, v_after) AS one), p_appointment);
    v_pool := ARRAY(SELECT one FROM unnest(v_team) AS one
                     WHERE one.excluded IS NULL AND (p_any OR one.coach_id = v_old.coach_id));
    v_coach := (next_up(v_calendar.policy, v_pool)).coach_id;
    IF v_coach IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    ELSIF v_coach <> v_old.coach_id THEN
        PERFORM reverse_decision(p_appointment, v_now);
        PERFORM decide(v_calendar, v_calendar.policy, p_appointment, v_team, v_pool, v_coach, v_now);
    END IF;
    UPDATE coach_appointments
       SET coach_id = v_coach, start_time = p_start, end_time = instant_of(v_from + v_count), takes = v_takes,
           version = version + 1, updated_at = v_now, conflict = false,
           external_calendar_id = CASE WHEN (v_coach, v_takes) = (v_old.coach_id, v_old.takes) THEN external_calendar_id END
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM move_time(a.coach_id, a.start_time, a.takes, 1);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
        emit_event('appointment.rescheduled', a, v_old, jsonb_build_object(
            'previous_start_time', zulu(v_old.start_time), 'previous_coach_id', v_old.coach_id)));
END $$;

-- Hands an appointment to a named coach of the team, or to whoever's turn it is among the others. A choice that a
-- person makes is nobody's turn: it moves no credits, and the decision that it replaces is undone.
CREATE FUNCTION reassign(
    p_tenant text, p_appointment uuid, p_coach text, p_reason text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_policy   text := CASE WHEN p_coach IS NULL THEN v_calendar.policy ELSE 'manual' END;
    v_old      coach_appointments;
    v_team     candidate[];
    v_pool     candidate[];
    v_from     integer;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    v_old := lock_appointment(p_tenant, p_appointment);
    IF p_coach = v_old.coach_id THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'same_coach';
    ELSIF p_coach IS NOT NULL AND NOT EXISTS (
        SELECT FROM coach_calendars WHERE calendar_id = v_old.calendar_id AND coach_id = p_coach) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    PERFORM check_holds(v_calendar.calendar_id, v_now);
    PERFORM lock_days(v_old, v_old.takes);
    v_from := slot_of(v_old.start_time);
    v_team := without_decision(ARRAY(SELECT one FROM candidates(v_calendar.calendar_id, v_from, slot_of(v_old.end_time) - v_from,
        v_from - slot_of(lower(v_old.takes)), slot_of(upper(v_old.takes)) - slot_of(v_old.end_time)) AS one), p_appointment);
    v_pool := ARRAY(SELECT one FROM unnest(v_team) AS one
                     WHERE one.excluded IS NULL AND one.coach_id <> v_old.coach_id
                       AND (p_coach IS NULL OR one.coach_id = p_coach));
    IF cardinality(v_pool) = 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    PERFORM reverse_decision(p_appointment, v_now);
    UPDATE coach_appointments
       SET coach_id = (next_up(v_policy, v_pool)).coach_id, version = version + 1, updated_at = v_now,
           conflict = false, external_calendar_id = NULL
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM decide(v_calendar, v_policy, p_appointment, v_team, v_pool, a.coach_id, v_now);
    PERFORM move_time(v_old.coach_id, v_old.start_time, v_old.takes, -1);
    PERFORM move_time(a.coach_id, a.start_time, a.takes, 1);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
        emit_event('appointment.reassigned', a, v_old, jsonb_build_object(
            'previous_coach_id', v_old.coach_id, 'reason', p_reason)));
END $$;

-- The score is a Beta belief whose prior is the team's mean. The excess over the prior fades first, then the outcome
-- counts one; every calendar that the coach serves gets its weights anew.
CREATE FUNCTION learn(p_calendar calendars, p_coach text, p_completed boolean, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mean  double precision;
    v_one   record;
    v_fades double precision;
BEGIN
    PERFORM FROM coaches WHERE coach_id = p_coach FOR NO KEY UPDATE;
    SELECT avg(mate.score) INTO v_mean FROM coach_calendars JOIN coaches AS mate USING (coach_id)
     WHERE calendar_id = p_calendar.calendar_id;
    SELECT coalesce(alpha, p_calendar.prior_strength * score) - p_calendar.prior_strength * v_mean AS alpha,
           coalesce(beta, p_calendar.prior_strength * (1 - score)) - p_calendar.prior_strength * (1 - v_mean) AS beta,
           greatest(0, extract(epoch FROM p_now - coalesce(evidence_at, p_now)) / 86400) AS days
      INTO v_one FROM coaches WHERE coach_id = p_coach;
    v_fades := power(2, -v_one.days / p_calendar.half_life_days);
    UPDATE coaches
       SET alpha = greatest(p_calendar.prior_strength * v_mean + v_one.alpha * v_fades, 1e-6) + CASE WHEN p_completed THEN 1 ELSE 0 END,
           beta = greatest(p_calendar.prior_strength * (1 - v_mean) + v_one.beta * v_fades, 1e-6) + CASE WHEN p_completed THEN 0 ELSE 1 END,
           evidence_at = p_now, updated_at = p_now
     WHERE coach_id = p_coach;
    UPDATE coaches SET score = alpha / (alpha + beta) WHERE coach_id = p_coach;
    PERFORM refresh_weights(calendar_id) FROM coach_calendars WHERE coach_id = p_coach ORDER BY calendar_id;
END $$;

CREATE FUNCTION report_outcome(
    p_tenant text, p_appointment uuid, p_outcome text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := lock_calendars(p_tenant, p_appointment, true);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    v_old := lock_appointment(p_tenant, p_appointment);
    UPDATE coach_appointments SET status = p_outcome, version = version + 1, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM learn(v_calendar, a.coach_id, p_outcome = 'completed', v_now);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
                           emit_event('appointment.' || p_outcome, a, v_old));
END $$;

-- A coach leaves a team: the credit is spread over the rest by weight, so that it still sums to 0.
CREATE FUNCTION leave_team(p_calendar text, p_coach text, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_seq    bigint;
    v_credit bigint;
    v_log    jsonb;
BEGIN
    PERFORM FROM calendars WHERE calendar_id = p_calendar FOR NO KEY UPDATE;
    SELECT credit INTO v_credit FROM coach_calendars WHERE calendar_id = p_calendar AND coach_id = p_coach;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object('coach_id', part.coach_id, 'weight', part.weight, 'delta', part.delta)
                              ORDER BY part.coach_id COLLATE "C"), '[]')
      INTO v_log FROM spread(p_calendar, v_credit, p_coach) AS part;
    UPDATE coach_calendars AS member SET credit = member.credit + (one ->> 'delta')::bigint
      FROM jsonb_array_elements(v_log) AS one
     WHERE member.calendar_id = p_calendar AND member.coach_id = one ->> 'coach_id';
    DELETE FROM coach_calendars WHERE calendar_id = p_calendar AND coach_id = p_coach;
    UPDATE calendars SET decision_seq = decision_seq + 1 WHERE calendar_id = p_calendar RETURNING decision_seq INTO v_seq;
    INSERT INTO distribution_log (calendar_id, seq, kind, policy, policy_version, chosen, decided_at, candidates)
    SELECT p_calendar, v_seq, 'left', policy, policy_version, p_coach, coalesce(p_now, clock_timestamp()),
           v_log || jsonb_build_object('coach_id', p_coach, 'delta', -v_credit)
      FROM calendars WHERE calendar_id = p_calendar;
    PERFORM refresh_weights(p_calendar);
END $$;

-- A coach joins a team with no credit and no debt, so as to be neither flooded nor starved.
CREATE FUNCTION join_team(p_calendar text, p_coach text, p_manual_weight double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM calendars WHERE calendar_id = p_calendar FOR NO KEY UPDATE;
    INSERT INTO coach_calendars AS member (calendar_id, coach_id, manual_weight) VALUES (p_calendar, p_coach, p_manual_weight)
    ON CONFLICT (calendar_id, coach_id) DO UPDATE SET manual_weight = excluded.manual_weight;
    PERFORM refresh_weights(p_calendar);
END $$;
