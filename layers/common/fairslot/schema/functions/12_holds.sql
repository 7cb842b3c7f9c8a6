-- Holds: a coach's time, reserved for some minutes.

-- A hold as the API shows it.
CREATE OR REPLACE FUNCTION engine.hold_json(a appointment_image) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object('hold_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', engine.zulu(a.start_time), 'end_time', engine.zulu(a.end_time),
        'expires_at', engine.zulu(a.expires_at));

-- Holds the time of the coach whose turn it is for p_duration; p_limit is the most live holds a client may have with the tenant.
CREATE OR REPLACE FUNCTION engine.hold(
    p_tenant text, p_client text, p_limit integer, p_calendar text, p_start timestamptz, p_duration interval,
    p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, p_requires text[] DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger record;
    v_now    timestamptz;
    v_answer jsonb;
BEGIN
    -- A client's holds on several calendars are counted one after another.
    PERFORM pg_advisory_xact_lock(hashtextextended(p_client, 1));
    v_ledger := engine.lock_ledger(p_tenant => p_tenant, p_calendar => p_calendar, p_key => p_key, p_now => p_now);
    v_now := v_ledger.at;
    IF v_ledger.has_key THEN
        v_answer := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                             p_now => v_now);
        IF v_answer IS NOT NULL THEN
            RETURN engine.replayed_answer(v_answer);
        END IF;
    END IF;
    IF p_limit <= (SELECT count(*) FROM coach_appointments
                   WHERE status = 'held' AND expires_at > v_now AND held_by = p_client AND tenant_id = p_tenant) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS412', MESSAGE = 'too many holds';
    END IF;
    RETURN engine.assign_coach(
        p_calendar => v_ledger.calendar, p_turn => v_ledger.turn, p_roster => v_ledger.roster,
        p_has_expired_holds => v_ledger.has_expired_holds, p_start => p_start, p_now => v_now, p_status => 'held',
        p_contact_name => NULL, p_contact_email => NULL, p_notes => NULL, p_timezone => NULL, p_metadata => '{}',
        p_held_by => p_client, p_expires => v_now + p_duration, p_key => p_key, p_fingerprint => p_fingerprint,
        p_keep_for => p_keep_for, p_requires => p_requires);
END $$;

-- Turns a live hold into the appointment; its decision stands, with what was asked for then: p_requires is that, or null.
-- Raises FS400 once the start is past, as booking does.
CREATE OR REPLACE FUNCTION engine.confirm_hold(
    p_hold uuid, p_calendar calendars, p_start timestamptz, p_now timestamptz, p_contact_name text, p_contact_email text,
    p_notes text, p_timezone text, p_metadata jsonb, p_requires text[]
) RETURNS coach_appointments LANGUAGE plpgsql AS $$
DECLARE
    v_hold coach_appointments;
    a      coach_appointments;
BEGIN
    IF p_start <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'in_the_past';
    END IF;
    SELECT * INTO v_hold FROM coach_appointments
     WHERE appointment_id = p_hold AND tenant_id = p_calendar.tenant_id AND status = 'held' FOR NO KEY UPDATE;
    IF NOT FOUND OR v_hold.expires_at <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS411', MESSAGE = 'the hold has expired or was released';
    ELSIF (v_hold.calendar_id, v_hold.start_time) <> (p_calendar.calendar_id, p_start) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'not_what_is_held';
    ELSIF p_requires <> coalesce(v_hold.requires, '{}') THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'not_as_held';
    ELSIF NOT (p_calendar).active THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'the calendar refuses this start', DETAIL = 'inactive';
    END IF;
    UPDATE coach_appointments
       SET status = 'scheduled', version = 1, held_by = NULL, expires_at = NULL, created_at = p_now, updated_at = p_now,
           contact_name = p_contact_name, contact_email = p_contact_email, notes = p_notes, timezone = p_timezone,
           metadata = (p_metadata #>> '{}')::json
     WHERE appointment_id = p_hold
    RETURNING * INTO a;
    RETURN a;
END $$;

-- Gives a held time back, because of p_type: hold.released or hold.expired; the answer is empty. The caller has locked the
-- calendar and the row.
CREATE OR REPLACE FUNCTION engine.drop_hold(
    a coach_appointments, p_type text, p_now timestamptz, p_key text DEFAULT NULL, p_fingerprint bytea DEFAULT NULL,
    p_keep_for interval DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_ledger   record;
    v_decision decision;
BEGIN
    SELECT * INTO v_ledger FROM engine.ledger(a.calendar_id);
    PERFORM engine.release_time(p_coach => a.coach_id, p_start => a.start_time, p_end => a.end_time, p_takes => a.takes);
    v_decision := engine.reverse_decision(p_turn => v_ledger.turn, p_roster => v_ledger.roster,
                                          p_appointment => a.appointment_id, p_now => p_now);
    DELETE FROM coach_appointments WHERE appointment_id = a.appointment_id;
    a.version := a.version + 1;
    RETURN engine.record_change(p_tenant => a.tenant_id, p_type => p_type, p_after => a, p_decision => v_decision,
                                p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => p_now);
END $$;

-- Gives a live hold back at its client's request; the answer is empty.
CREATE OR REPLACE FUNCTION engine.release_hold(
    p_tenant text, p_hold uuid, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_now    timestamptz := coalesce(p_now, clock_timestamp());
    v_answer jsonb;
    a        coach_appointments;
BEGIN
    PERFORM engine.lock_calendar(calendar_id) FROM coach_appointments
      WHERE appointment_id = p_hold AND tenant_id = p_tenant;
    -- After the lock: a caller who waited for the same release finds its answer instead of a missing hold.
    v_answer := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                         p_now => v_now);
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed_answer(v_answer);
    END IF;
    SELECT * INTO a FROM coach_appointments
     WHERE appointment_id = p_hold AND tenant_id = p_tenant AND status = 'held' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'hold';
    END IF;
    RETURN engine.drop_hold(a => a, p_type => 'hold.released', p_now => v_now, p_key => p_key,
                            p_fingerprint => p_fingerprint, p_keep_for => p_keep_for);
END $$;

-- Gives back the time of every expired hold; returns how many.
CREATE OR REPLACE FUNCTION engine.expire_holds(p_now timestamptz) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_now       timestamptz := coalesce(p_now, clock_timestamp());
    v_calendars text[];
    v_holds     uuid[];
    a           coach_appointments;
BEGIN
    v_calendars := ARRAY(SELECT calendar_id FROM coach_appointments WHERE status = 'held' AND expires_at <= v_now);
    PERFORM engine.lock_calendars(v_calendars);
    v_holds := ARRAY(SELECT appointment_id FROM coach_appointments
        WHERE status = 'held' AND expires_at <= v_now AND calendar_id = ANY (v_calendars)
        ORDER BY appointment_id FOR UPDATE);
    PERFORM FROM coach_slots AS day
      WHERE EXISTS (SELECT FROM coach_appointments AS hold
                     WHERE hold.appointment_id = ANY (v_holds) AND hold.coach_id = day.coach_id
                       AND day.first_slot > engine.slot_of(lower(hold.takes)) - 104
                       AND day.first_slot < engine.slot_of(upper(hold.takes)))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    PERFORM engine.lock_periods(p_whole => '{}', p_coaches => array_agg(coach_id),
                                p_slots => array_agg(engine.slot_of(start_time)))
       FROM coach_appointments WHERE appointment_id = ANY (v_holds);
    FOR a IN SELECT * FROM coach_appointments WHERE appointment_id = ANY (v_holds) ORDER BY appointment_id LOOP
        PERFORM engine.drop_hold(a => a, p_type => 'hold.expired', p_now => v_now);
    END LOOP;
    RETURN cardinality(v_holds);
END $$;
