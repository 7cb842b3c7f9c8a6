-- What booking, holding and changing promise, kept to the letter.

-- What moved credits without a booking: the reversals, which the bound of the deviations counts, and the leavers.
CREATE INDEX distribution_log_undone ON distribution_log (calendar_id, decided_at) WHERE kind <> 'assigned';

-- The first instant of a day of a zone. A day that begins twice (Havana: 00:00 to 01:00 in autumn) begins the first time.
CREATE FUNCTION day_start(p_zone text, p_day date) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN (SELECT min(one.instant)
              FROM (SELECT p_day::timestamp AT TIME ZONE p_zone - make_interval(mins => 15 * step) AS instant, step
                      FROM generate_series(0, 8) AS step) AS one
             WHERE one.step = 0 OR (one.instant AT TIME ZONE p_zone)::date = p_day);

-- The days of a window on which nothing of a calendar may start: blocked dates, and days that have the calendar's maximum
-- without the appointment p_but and without holds that have expired. Instants [starts, ends); the reason of each.
DROP FUNCTION calendar_refusal, shut_reason, shut_days;
CREATE FUNCTION shut_days(
    p_calendar calendars, p_from timestamptz, p_to timestamptz, p_but uuid, p_now timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (starts timestamptz, ends timestamptz, reason text) LANGUAGE sql STABLE AS $$
    SELECT day_start(p_calendar.time_zone, day.on_day), day_start(p_calendar.time_zone, day.on_day + 1), day.reason
      FROM (SELECT unnest(p_calendar.blocked_dates) AS on_day, 'outside_working_hours' AS reason
             UNION ALL
            SELECT (a.start_time AT TIME ZONE p_calendar.time_zone)::date, 'daily_maximum'
              FROM coach_appointments AS a
             WHERE p_calendar.max_per_day IS NOT NULL
               AND a.calendar_id = p_calendar.calendar_id AND a.status <> 'cancelled'
               AND a.start_time >= p_from - interval '27 hours' AND a.start_time < p_to + interval '27 hours'
               AND a.appointment_id IS DISTINCT FROM p_but
               AND (a.expires_at IS NULL OR a.expires_at > p_now)
             GROUP BY 1 HAVING count(*) >= p_calendar.max_per_day
             UNION ALL
            SELECT generate_series(p_from - interval '1 day', p_to + interval '1 day', '1 day')::date, 'daily_maximum'
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
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'the calendar does not take it';
    END IF;
    UPDATE coach_appointments
       SET status = 'scheduled', held_by = NULL, expires_at = NULL, created_at = p_now, updated_at = p_now,
           contact_name = p_contact_name, contact_email = p_contact_email, notes = p_notes, timezone = p_timezone,
           metadata = p_metadata
     WHERE appointment_id = p_hold
    RETURNING * INTO a;
    RETURN a;
END $$;
