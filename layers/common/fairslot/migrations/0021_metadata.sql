-- Metadata as it was written, and answers kept without what they do not say: docs/decisions/0045.

-- json keeps the text; jsonb writes every number out, and 9e307 has 308 digits then.
DROP FUNCTION appointment_json(coach_appointments);  -- it holds on to the column's type
ALTER TABLE coach_appointments ALTER COLUMN metadata DROP DEFAULT, ALTER COLUMN metadata TYPE json USING metadata::json,
    ALTER COLUMN metadata SET DEFAULT '{}';
COMMENT ON COLUMN coach_appointments.metadata IS 'as the client wrote it, without spaces';

-- Metadata is its text here: within jsonb its numbers would be written anew.
CREATE FUNCTION appointment_json(a coach_appointments) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'contact_name', a.contact_name, 'contact_email', a.contact_email,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version, 'notes', a.notes, 'metadata', a.metadata::text,
        'crm_contact_id', a.crm_contact_id, 'external_calendar_id', a.external_calendar_id,
        'external_block', CASE WHEN a.block_unconfirmed THEN 'unconfirmed'
                               WHEN a.external_calendar_id IS NOT NULL AND a.status <> 'cancelled' THEN 'confirmed' END,
        'conflict', a.conflict, 'created_at', zulu(a.created_at), 'updated_at', zulu(a.updated_at),
        'cancelled_at', zulu(a.cancelled_at));

-- The answer to a booking: nothing that says who the customer is.
CREATE FUNCTION booked_json(a coach_appointments) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'status', a.status, 'version', a.version);

-- Gives the time to the coach whose turn it is: chooses, takes the bits, writes the row and records the decision. A hold
-- ends when what it holds begins.
-- p_metadata is a JSON object, or its text as a JSON string.
CREATE OR REPLACE FUNCTION place(
    p_calendar calendars, p_start timestamptz, p_now timestamptz, p_status text, p_contact_name text, p_contact_email text,
    p_notes text, p_timezone text, p_metadata jsonb, p_held_by text, p_expires timestamptz
) RETURNS coach_appointments LANGUAGE plpgsql AS $$
DECLARE
    v_team   candidate[];
    v_from   integer := slot_of(p_start);
    v_count  integer := p_calendar.slot_duration / 15;
    v_before integer := p_calendar.buffer_before / 15;
    v_after  integer := p_calendar.buffer_after / 15;
    a        coach_appointments;
BEGIN
    PERFORM check_start(p_calendar, p_start, NULL, p_now);
    PERFORM check_holds(p_calendar.calendar_id, p_now);
    v_team := lock_coach(p_calendar, v_from, v_count, v_before, v_after);
    IF v_team[1].coach_id IS NULL OR v_team[1].excluded IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes, status, contact_name,
        contact_email, notes, timezone, metadata, created_at, updated_at, held_by, expires_at)
    VALUES (p_calendar.tenant_id, p_calendar.calendar_id, v_team[1].coach_id, p_start, instant_of(v_from + v_count),
        tstzrange(instant_of(v_from - v_before), instant_of(v_from + v_count + v_after)), p_status, p_contact_name,
        p_contact_email, p_notes, p_timezone, (p_metadata #>> '{}')::json, p_now, p_now, p_held_by,
        CASE WHEN p_status = 'held' THEN least(p_expires, p_start) END)
    RETURNING * INTO a;
    PERFORM move_time(a.coach_id, a.start_time, a.takes, 1);
    PERFORM decide(p_calendar, p_calendar.policy, a.appointment_id, v_team, p_now);
    RETURN a;
END $$;

-- Turns a live hold into the appointment; the decision was made when it was held. What cannot begin any more is refused as
-- booking refuses it.
CREATE OR REPLACE FUNCTION confirm_hold(
    p_hold uuid, p_calendar calendars, p_start timestamptz, p_now timestamptz, p_contact_name text, p_contact_email text,
    p_notes text, p_timezone text, p_metadata jsonb
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
        RAISE EXCEPTION USING ERRCODE = 'FS411', MESSAGE = 'the hold is gone';
    ELSIF (v_hold.calendar_id, v_hold.start_time) <> (p_calendar.calendar_id, p_start) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'not_what_is_held';
    ELSIF NOT (p_calendar).active THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'the calendar does not take it', DETAIL = 'inactive';
    END IF;
    UPDATE coach_appointments
       SET status = 'scheduled', held_by = NULL, expires_at = NULL, created_at = p_now, updated_at = p_now,
           contact_name = p_contact_name, contact_email = p_contact_email, notes = p_notes, timezone = p_timezone,
           metadata = (p_metadata #>> '{}')::json
     WHERE appointment_id = p_hold
    RETURNING * INTO a;
    RETURN a;
END $$;

-- Answers with the booking alone: who booked is not kept with the key.
CREATE OR REPLACE FUNCTION book(
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
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    IF p_hold IS NULL THEN
        a := place(v_calendar, p_start, v_now, 'scheduled', p_contact_name, p_contact_email, p_notes, p_timezone, p_metadata,
                   NULL, NULL);
    ELSE
        a := confirm_hold(p_hold, v_calendar, p_start, v_now, p_contact_name, p_contact_email, p_notes, p_timezone, p_metadata);
    END IF;
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, booked_json(a),
                           emit_event('appointment.created', a, NULL));
END $$;

-- Answers with nothing.
CREATE OR REPLACE FUNCTION release_hold(
    p_tenant text, p_hold uuid, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz := coalesce(p_now, clock_timestamp());
    v_answer jsonb;
    a        coach_appointments;
BEGIN
    PERFORM FROM calendars
      WHERE calendar_id = (SELECT calendar_id FROM coach_appointments WHERE appointment_id = p_hold AND tenant_id = p_tenant)
        FOR NO KEY UPDATE;
    -- Only now: who waited for the same release finds its answer and no hold.
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    SELECT * INTO a FROM coach_appointments WHERE appointment_id = p_hold AND tenant_id = p_tenant AND status = 'held' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'hold';
    END IF;
    PERFORM drop_hold(a, v_now);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, '{}', '[]');
END $$;
