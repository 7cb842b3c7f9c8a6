-- Booking and cancelling.

-- Books a time with the coach whose turn it is, or confirms the hold p_hold; the answer has no personal data. p_requires is
-- what the coach has to meet beyond what the calendar requires, null: nothing.
CREATE OR REPLACE FUNCTION engine.book(
    p_tenant text, p_calendar text, p_start timestamptz, p_contact_name text, p_contact_email text, p_notes text,
    p_timezone text, p_metadata jsonb, p_hold uuid, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz,
    p_requires text[] DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger record := engine.lock_ledger(p_tenant => p_tenant, p_calendar => p_calendar, p_key => p_key,
                                            p_now => p_now);
    v_now    timestamptz := v_ledger.at;
    v_answer jsonb;
BEGIN
    IF v_ledger.has_key THEN
        v_answer := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                             p_now => v_now);
        IF v_answer IS NOT NULL THEN
            RETURN engine.replayed_answer(v_answer);
        END IF;
    END IF;
    IF p_hold IS NULL THEN
        RETURN engine.assign_coach(
            p_calendar => v_ledger.calendar, p_turn => v_ledger.turn, p_roster => v_ledger.roster,
            p_has_expired_holds => v_ledger.has_expired_holds, p_start => p_start, p_now => v_now,
            p_status => 'scheduled', p_contact_name => p_contact_name, p_contact_email => p_contact_email,
            p_notes => p_notes, p_timezone => p_timezone, p_metadata => p_metadata, p_held_by => NULL, p_expires => NULL,
            p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_requires => p_requires);
    END IF;
    RETURN engine.record_change(
        p_tenant => p_tenant, p_type => 'appointment.created', p_key => p_key, p_fingerprint => p_fingerprint,
        p_keep_for => p_keep_for, p_now => v_now,
        p_after => engine.confirm_hold(
            p_hold => p_hold, p_calendar => v_ledger.calendar, p_start => p_start, p_now => v_now,
            p_contact_name => p_contact_name, p_contact_email => p_contact_email, p_notes => p_notes,
            p_timezone => p_timezone, p_metadata => p_metadata, p_requires => p_requires));
END $$;

-- Cancels a scheduled appointment: frees the time and, unless the coach cancels, undoes the decision. A customer can
-- only cancel before it starts.
CREATE OR REPLACE FUNCTION engine.cancel(
    p_tenant text, p_appointment uuid, p_cancelled_by text, p_reason text,
    p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger record := engine.lock_ledger_of(p_tenant => p_tenant, p_appointment => p_appointment, p_all_of_coach => false);
    v_now    timestamptz := coalesce(p_now, clock_timestamp());
    v_answer jsonb := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                               p_now => v_now);
    v_old    coach_appointments;
    v_undone decision;
    a        coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed_answer(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF p_cancelled_by = 'customer' AND v_now >= v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'has_started';
    END IF;
    UPDATE coach_appointments
       SET status = 'cancelled', version = version + 1, cancelled_by = p_cancelled_by, cancel_reason = p_reason,
           cancelled_at = v_now, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.release_time(p_coach => a.coach_id, p_start => a.start_time, p_end => a.end_time, p_takes => a.takes);
    IF p_cancelled_by <> 'coach' THEN
        v_undone := engine.reverse_decision(p_turn => v_ledger.turn, p_roster => v_ledger.roster,
                                            p_appointment => p_appointment, p_now => v_now);
    END IF;
    RETURN engine.record_change(
        p_tenant => p_tenant, p_type => 'appointment.cancelled', p_before => v_old, p_after => a,
        p_details => jsonb_build_object('cancelled_by', p_cancelled_by), p_decision => v_undone,
        p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => v_now);
END $$;
