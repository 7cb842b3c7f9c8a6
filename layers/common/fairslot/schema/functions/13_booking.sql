-- Booking and cancelling.

-- Books the time with the coach whose turn it is, or confirms the hold p_hold; the answer does not
-- say who booked.
CREATE OR REPLACE FUNCTION engine.book(
    p_tenant text, p_calendar text, p_start timestamptz, p_contact_name text, p_contact_email text, p_notes text,
    p_timezone text, p_metadata jsonb, p_hold uuid, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now      timestamptz;
    v_calendar calendars;
    v_answer   jsonb;
    a          coach_appointments;
BEGIN
    SELECT * INTO v_calendar FROM calendars WHERE calendar_id = p_calendar AND tenant_id = p_tenant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    v_answer := engine.idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed(v_answer);
    END IF;
    IF p_hold IS NULL THEN
        a := engine.assign_coach(v_calendar, p_start, v_now, 'scheduled', p_contact_name, p_contact_email, p_notes,
                                 p_timezone, p_metadata, NULL, NULL);
    ELSE
        a := engine.confirm_hold(p_hold, v_calendar, p_start, v_now, p_contact_name, p_contact_email, p_notes, p_timezone,
                                 p_metadata);
    END IF;
    RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.booked_json(a),
                                  engine.emit_event('appointment.created', a, NULL));
END $$;

-- Cancels a scheduled appointment: frees the time and, unless the coach cancels, undoes the decision. What has begun is no
-- longer the customer's to cancel: they came or they did not.
CREATE OR REPLACE FUNCTION engine.cancel(
    p_tenant text, p_appointment uuid, p_by text, p_reason text,
    p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := engine.lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := engine.idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF p_by = 'customer' AND v_now >= v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'has_started';
    END IF;
    UPDATE coach_appointments
       SET status = 'cancelled', version = version + 1, cancelled_by = p_by, cancel_reason = p_reason,
           cancelled_at = v_now, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.release_time(a.coach_id, a.start_time, a.takes);
    IF p_by <> 'coach' THEN
        PERFORM engine.reverse_decision(p_appointment, v_now);
    END IF;
    RETURN engine.remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, engine.appointment_json(a),
                           engine.emit_event('appointment.cancelled', a, v_old, jsonb_build_object('cancelled_by', p_by)));
END $$;
