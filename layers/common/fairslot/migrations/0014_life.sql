-- What booking, holding and changing promise, kept to the letter.

-- What moved credits without a booking: the reversals, which the bound of the deviations counts, and the leavers.
CREATE INDEX distribution_log_undone ON distribution_log (calendar_id, decided_at) WHERE kind <> 'assigned';

-- A zone by a name that Postgres takes for one. It takes these for abbreviations, of offsets that no summer changes.
CREATE FUNCTION full_zone(p_zone text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE p_zone WHEN 'CET' THEN 'Europe/Brussels' WHEN 'MET' THEN 'Europe/Brussels' WHEN 'EET' THEN 'Europe/Athens'
                       WHEN 'WET' THEN 'Europe/Lisbon' ELSE p_zone END;

-- The first instant of a day of a zone. A day that begins twice (Havana: 00:00 to 01:00 in autumn) begins the first time.
CREATE FUNCTION day_start(p_zone text, p_day date) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN (SELECT min(one.instant)
              FROM (SELECT p_day::timestamp AT TIME ZONE full_zone(p_zone) - make_interval(mins => 15 * step) AS instant, step
                      FROM generate_series(0, 8) AS step) AS one
             WHERE one.step = 0 OR (one.instant AT TIME ZONE full_zone(p_zone))::date = p_day);

-- The days of a window on which nothing of a calendar may start: blocked dates, and days that have the calendar's maximum
-- without the appointment p_but and without holds that have expired. Instants [starts, ends); the reason of each.
DROP FUNCTION calendar_refusal, shut_days;
CREATE FUNCTION shut_days(
    p_calendar calendars, p_from timestamptz, p_to timestamptz, p_but uuid, p_now timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (starts timestamptz, ends timestamptz, reason text) LANGUAGE sql STABLE AS $$
    SELECT day_start(p_calendar.time_zone, day.on_day), day_start(p_calendar.time_zone, day.on_day + 1), day.reason
      FROM (SELECT unnest(p_calendar.blocked_dates) AS on_day, 'outside_working_hours' AS reason
             UNION ALL
            SELECT (a.start_time AT TIME ZONE full_zone(p_calendar.time_zone))::date, 'daily_maximum'
              FROM coach_appointments AS a
             WHERE p_calendar.max_per_day IS NOT NULL
               AND a.calendar_id = p_calendar.calendar_id AND a.status <> 'cancelled'
               AND a.start_time >= p_from - interval '27 hours' AND a.start_time < p_to + interval '27 hours'
               AND a.appointment_id IS DISTINCT FROM p_but
               AND (a.expires_at IS NULL OR a.expires_at > p_now)
             GROUP BY 1 HAVING count(*) >= p_calendar.max_per_day
             UNION ALL
            SELECT generate_series((p_from AT TIME ZONE full_zone(p_calendar.time_zone))::date,
                                   (p_to AT TIME ZONE full_zone(p_calendar.time_zone))::date,
                                   interval '1 day')::date, 'daily_maximum'
             WHERE p_calendar.max_per_day = 0) AS day
$$;

-- Why a calendar is shut on the day of an instant, or null.
CREATE FUNCTION shut_reason(p_calendar calendars, p_start timestamptz, p_but uuid, p_now timestamptz) RETURNS text
    LANGUAGE sql STABLE
    RETURN (SELECT shut.reason FROM shut_days(p_calendar, p_start, p_start, p_but, p_now) AS shut
             WHERE p_start >= shut.starts AND p_start < shut.ends LIMIT 1);

-- Why nothing of the calendar can start at an instant, or null.
CREATE FUNCTION calendar_refusal(p_calendar calendars, p_start timestamptz, p_but uuid, p_now timestamptz)
    RETURNS text LANGUAGE sql STABLE
    RETURN CASE
        WHEN NOT (p_calendar).active THEN 'inactive'
        WHEN p_start <= p_now OR p_start < opens_at(p_calendar, p_now) THEN 'minimum_notice'
        WHEN p_start >= closes_at(p_calendar, p_now) THEN 'beyond_horizon'
        WHEN (p_calendar).max_per_day IS NOT NULL OR (p_calendar).blocked_dates <> '{}'
            THEN shut_reason(p_calendar, p_start, p_but, p_now)
    END;

-- Gives the time to the coach whose turn it is: chooses, takes the bits, writes the row and records the decision. A hold
-- ends when what it holds begins.
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
        p_contact_email, p_notes, p_timezone, p_metadata, p_now, p_now, p_held_by,
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
           metadata = p_metadata
     WHERE appointment_id = p_hold
    RETURNING * INTO a;
    RETURN a;
END $$;

-- As in 0007; but what has begun is no longer the customer's to cancel: they came or they did not.
CREATE OR REPLACE FUNCTION cancel(
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
    IF p_by = 'customer' AND v_now >= v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'has_started';
    END IF;
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

-- As in 0007; but what has not begun cannot have ended.
CREATE OR REPLACE FUNCTION report_outcome(
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
    IF v_now < v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'not_started';
    END IF;
    UPDATE coach_appointments SET status = p_outcome, version = version + 1, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM learn(v_calendar, a.coach_id, p_outcome = 'completed', v_now);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
                           emit_event('appointment.' || p_outcome, a, v_old));
END $$;

-- Moves an appointment to another start, with its coach (p_any false) or whoever's turn it is, until it begins. The coach
-- stays where the rule would choose the same one anyway, and then the credits stay too; and what would be as it is stays as
-- it is. Atomic: whatever is raised keeps the old time.
CREATE OR REPLACE FUNCTION reschedule(
    p_tenant text, p_appointment uuid, p_start timestamptz, p_any boolean,
    p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_old      coach_appointments;
    v_team     candidate[];
    v_coach    text;
    v_from     integer := slot_of(p_start);
    v_count    integer := v_calendar.slot_duration / 15;
    v_before   integer := v_calendar.buffer_before / 15;
    v_after    integer := v_calendar.buffer_after / 15;
    v_takes    tstzrange := tstzrange(instant_of(v_from - v_before), instant_of(v_from + v_count + v_after));
    v_stays    boolean;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    v_old := lock_appointment(p_tenant, p_appointment);
    IF v_now >= v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'has_started';
    END IF;
    v_stays := (p_start, instant_of(v_from + v_count), v_takes) = (v_old.start_time, v_old.end_time, v_old.takes)
               AND NOT v_old.conflict;
    IF v_stays AND NOT p_any THEN
        RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(v_old), '[]');
    END IF;
    PERFORM check_start(v_calendar, p_start, p_appointment, v_now);
    PERFORM check_holds(v_calendar.calendar_id, v_now);
    PERFORM lock_days(v_old, v_takes);
    PERFORM move_time(v_old.coach_id, v_old.start_time, v_old.takes, -1);
    v_team := without_decision(
        ARRAY(SELECT one FROM candidates(v_calendar.calendar_id, v_from, v_count, v_before, v_after) AS one),
        p_appointment, CASE WHEN NOT p_any THEN v_old.coach_id END, NULL);
    v_team := ARRAY(SELECT one FROM ranked(v_calendar.policy, v_team) AS one);
    v_coach := CASE WHEN v_team[1].excluded IS NULL THEN v_team[1].coach_id END;
    IF v_coach IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    ELSIF v_stays AND v_coach = v_old.coach_id THEN
        PERFORM move_time(v_old.coach_id, v_old.start_time, v_old.takes, 1);
        RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(v_old), '[]');
    ELSIF v_coach <> v_old.coach_id THEN
        PERFORM reverse_decision(p_appointment, v_now);
        PERFORM decide(v_calendar, v_calendar.policy, p_appointment, v_team, v_now);
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

-- Refuses a start that cannot be meant, and one that the calendar does not take now, with the reason as its detail.
CREATE OR REPLACE FUNCTION check_start(p_calendar calendars, p_start timestamptz, p_but uuid, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_refusal text;
BEGIN
    IF instant_of(slot_of(p_start)) <> p_start OR slot_of(p_start) % ((p_calendar).slot_interval / 15) <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'off_grid';
    ELSIF p_start <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'in_the_past';
    END IF;
    v_refusal := calendar_refusal(p_calendar, p_start, p_but, p_now);
    IF v_refusal IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'the calendar does not take it', DETAIL = v_refusal;
    END IF;
END $$;

-- The team as it would be with the appointment's decision undone, without the coach p_but, who is to be replaced, and
-- anybody but p_only, who was named.
CREATE OR REPLACE FUNCTION without_decision(p_team candidate[], p_appointment uuid, p_only text, p_but text)
    RETURNS candidate[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(ROW(one.coach_id, one.score, one.weight, one.credit + coalesce(undo.delta, 0),
               CASE WHEN one.last = undo.seq THEN undo.last_seq ELSE one.last END, one.days, one.first_slot,
               CASE WHEN one.coach_id = p_but THEN 'replaced'
                    ELSE coalesce(one.excluded, CASE WHEN one.coach_id <> p_only THEN 'not_named' END) END,
               NULL, NULL)::candidate), '{}')
      FROM unnest(p_team) AS one LEFT JOIN reversal(p_appointment) AS undo USING (coach_id)
$$;
