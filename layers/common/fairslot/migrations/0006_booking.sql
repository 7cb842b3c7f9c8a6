-- Booking and holding: one function each, called once.
--
-- Errors leave by SQLSTATE: FS400 not valid (what is wrong), FS404 no such thing, FS409 no coach is free,
-- FS410 illegal transition (the current state), FS411 the hold is gone, FS412 too many holds, FS422 key used with
-- another request, FS425 the same key was answered by another transaction meanwhile, FS426 expired holds must be
-- cleared first: the last two ask to be called again.
-- p_now may be null: the database's clock.

CREATE FUNCTION idempotent_answer(p_tenant text, p_key text, p_fingerprint bytea, p_now timestamptz) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    v_known idempotency_keys;
BEGIN
    SELECT * INTO v_known FROM idempotency_keys
     WHERE tenant_id = p_tenant AND key = p_key AND expires_at > p_now;
    IF FOUND AND v_known.fingerprint <> p_fingerprint THEN
        RAISE EXCEPTION USING ERRCODE = 'FS422', MESSAGE = 'key used with another request';
    END IF;
    RETURN v_known.answer;
END $$;

-- Keeps the answer for its key, if there is one, and returns what the caller gets.
CREATE FUNCTION remember_answer(
    p_tenant text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz, p_answer jsonb, p_messages jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS known (tenant_id, key, fingerprint, answer, expires_at)
        VALUES (p_tenant, p_key, p_fingerprint, p_answer, p_now + p_keep)
        ON CONFLICT (tenant_id, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
         WHERE known.expires_at <= p_now;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'FS425', MESSAGE = 'answered by another transaction';
        END IF;
    END IF;
    RETURN jsonb_build_object('replayed', false, 'answer', p_answer, 'messages', p_messages);
END $$;

CREATE FUNCTION replayed(p_answer jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('replayed', true, 'answer', p_answer, 'messages', '[]'::jsonb);

-- Refuses a start that cannot be meant, and one that the calendar does not take now.
CREATE FUNCTION check_start(p_calendar calendars, p_start timestamptz, p_but uuid, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF instant_of(slot_of(p_start)) <> p_start OR slot_of(p_start) % ((p_calendar).slot_interval / 15) <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'off_grid';
    ELSIF p_start <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'in_the_past';
    ELSIF calendar_refusal(p_calendar, p_start, p_but, p_now) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'the calendar does not take it';
    END IF;
END $$;

-- Raises FS426 if a hold of one of the calendar's coaches has expired and still takes time. Its clearing moves
-- credits of other calendars, whose locks come before ours, so it is a transaction of its own.
CREATE FUNCTION check_holds(p_calendar text, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM coach_appointments AS hold JOIN coach_calendars AS member USING (coach_id)
                WHERE hold.status = 'held' AND hold.expires_at <= p_now AND member.calendar_id = p_calendar) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS426', MESSAGE = 'holds have expired';
    END IF;
END $$;

-- Gives the time to the coach whose turn it is: chooses, takes the bits, writes the row as it is given (whose coach
-- is not known yet) and records the decision.
CREATE FUNCTION place(p_calendar calendars, p_start timestamptz, p_now timestamptz, INOUT a coach_appointments) LANGUAGE plpgsql AS $$
DECLARE
    v_team   candidate[];
    v_locked record;
    v_from   integer := slot_of(p_start);
    v_count  integer := p_calendar.slot_duration / 15;
    v_before integer := p_calendar.buffer_before / 15;
    v_after  integer := p_calendar.buffer_after / 15;
BEGIN
    PERFORM check_start(p_calendar, p_start, NULL, p_now);
    PERFORM check_holds(p_calendar.calendar_id, p_now);
    v_team := ARRAY(SELECT one FROM candidates(p_calendar.calendar_id, v_from, v_count, v_before, v_after) AS one);
    SELECT * INTO v_locked FROM lock_coach(p_calendar.policy,
        ARRAY(SELECT one FROM unnest(v_team) AS one WHERE one.excluded IS NULL), v_from, v_count, v_before, v_after);
    IF (v_locked.chosen).coach_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    a.appointment_id := uuidv7();
    a.tenant_id := p_calendar.tenant_id;
    a.calendar_id := p_calendar.calendar_id;
    a.coach_id := (v_locked.chosen).coach_id;
    a.start_time := p_start;
    a.end_time := instant_of(v_from + v_count);
    a.takes := tstzrange(instant_of(v_from - v_before), instant_of(v_from + v_count + v_after));
    a.version := 1;
    a.conflict := false;
    a.created_at := p_now;
    a.updated_at := p_now;
    PERFORM move_time(a.coach_id, a.start_time, a.takes, 1);
    INSERT INTO coach_appointments SELECT (a).*;
    PERFORM decide(p_calendar, p_calendar.policy, a.appointment_id, v_team, v_locked.p_pool, a.coach_id, p_now);
END $$;

-- Turns a live hold into the appointment; the decision was made when it was held.
CREATE FUNCTION confirm_hold(p_hold uuid, p_now timestamptz, INOUT a coach_appointments) LANGUAGE plpgsql AS $$
DECLARE
    v_hold coach_appointments;
BEGIN
    SELECT * INTO v_hold FROM coach_appointments
     WHERE appointment_id = p_hold AND tenant_id = a.tenant_id AND status = 'held' FOR NO KEY UPDATE;
    IF NOT FOUND OR v_hold.expires_at <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS411', MESSAGE = 'the hold is gone';
    ELSIF (v_hold.calendar_id, v_hold.start_time) <> (a.calendar_id, a.start_time) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'not_what_is_held';
    END IF;
    UPDATE coach_appointments
       SET status = 'scheduled', held_by = NULL, expires_at = NULL, created_at = p_now, updated_at = p_now,
           contact_name = a.contact_name, contact_email = a.contact_email, notes = a.notes, timezone = a.timezone,
           metadata = a.metadata
     WHERE appointment_id = p_hold
    RETURNING * INTO a;
END $$;

CREATE FUNCTION book(
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
    a.tenant_id := p_tenant;
    a.calendar_id := p_calendar;
    a.start_time := p_start;
    a.status := 'scheduled';
    a.contact_name := p_contact_name;
    a.contact_email := p_contact_email;
    a.notes := p_notes;
    a.timezone := p_timezone;
    a.metadata := p_metadata;
    a := CASE WHEN p_hold IS NULL THEN place(v_calendar, p_start, v_now, a) ELSE confirm_hold(p_hold, v_now, a) END;
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
                           emit_event('appointment.created', a, NULL));
END $$;

CREATE FUNCTION hold_json(a coach_appointments) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object('hold_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'expires_at', zulu(a.expires_at));

-- Claims the time of the coach whose turn it is for some minutes; p_most bounds the live holds of a client.
CREATE FUNCTION hold(
    p_tenant text, p_client text, p_most integer, p_calendar text, p_start timestamptz, p_for interval,
    p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now      timestamptz;
    v_calendar calendars;
    v_answer   jsonb;
    a          coach_appointments;
BEGIN
    -- A client's holds on several calendars are counted one after another.
    PERFORM pg_advisory_xact_lock(hashtextextended(p_client, 1));
    SELECT * INTO v_calendar FROM calendars WHERE calendar_id = p_calendar AND tenant_id = p_tenant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    IF p_most <= (SELECT count(*) FROM coach_appointments
                   WHERE status = 'held' AND expires_at > v_now AND held_by = p_client) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS412', MESSAGE = 'too many holds';
    END IF;
    a.status := 'held';
    a.held_by := p_client;
    a.expires_at := v_now + p_for;
    a.metadata := '{}';
    a := place(v_calendar, p_start, v_now, a);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, hold_json(a), '[]');
END $$;

-- Gives a held time back; the caller has the locks of the calendar and the row.
CREATE FUNCTION drop_hold(a coach_appointments, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM move_time(a.coach_id, a.start_time, a.takes, -1);
    PERFORM reverse_decision(a.appointment_id, p_now);
    DELETE FROM coach_appointments WHERE appointment_id = a.appointment_id;
END $$;

CREATE FUNCTION release_hold(
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
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, hold_json(a), '[]');
END $$;

-- Gives back the time of every hold that has expired; returns how many.
CREATE FUNCTION expire_holds(p_now timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_now       timestamptz := coalesce(p_now, clock_timestamp());
    v_calendars text[];
    v_holds     uuid[];
    a           coach_appointments;
BEGIN
    v_calendars := ARRAY(SELECT calendar_id FROM calendars
        WHERE calendar_id IN (SELECT calendar_id FROM coach_appointments WHERE status = 'held' AND expires_at <= v_now)
        ORDER BY calendar_id FOR NO KEY UPDATE);
    v_holds := ARRAY(SELECT appointment_id FROM coach_appointments
        WHERE status = 'held' AND expires_at <= v_now AND calendar_id = ANY (v_calendars)
        ORDER BY appointment_id FOR UPDATE);
    PERFORM FROM coach_slots AS day
      WHERE EXISTS (SELECT FROM coach_appointments AS hold
                     WHERE hold.appointment_id = ANY (v_holds) AND hold.coach_id = day.coach_id
                       AND day.first_slot > slot_of(lower(hold.takes)) - 104 AND day.first_slot < slot_of(upper(hold.takes)))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    FOR a IN SELECT * FROM coach_appointments WHERE appointment_id = ANY (v_holds) ORDER BY appointment_id LOOP
        PERFORM drop_hold(a, v_now);
    END LOOP;
    RETURN cardinality(v_holds);
END $$;
