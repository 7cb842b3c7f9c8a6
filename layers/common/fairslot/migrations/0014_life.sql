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
