-- What a calendar allows: its notice, its horizon, and the days on which nothing may start.

-- The first instant that the calendar's notice allows.
CREATE OR REPLACE FUNCTION engine.opens_at(p_calendar calendars, p_now timestamptz)
    RETURNS timestamptz LANGUAGE sql STABLE
    RETURN p_now + make_interval(mins => (p_calendar).min_notice_minutes);

-- The first instant beyond the calendar's horizon.
CREATE OR REPLACE FUNCTION engine.closes_at(p_calendar calendars, p_now timestamptz)
    RETURNS timestamptz LANGUAGE sql STABLE
    RETURN p_now + make_interval(hours => 24 * (p_calendar).horizon_days);

-- Since when each of a coach's external calendars must have been read for the coach to be booked in a calendar; null: whenever.
CREATE OR REPLACE FUNCTION engine.verified_since(p_calendar calendars, p_now timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN CASE WHEN (p_calendar).on_unverified = 'block' THEN p_now - interval '15 minutes' END;

-- A roster in which nobody can be booked whose external calendars were not all read since p_since; null: the one given. Whoever
-- cannot be booked anyway keeps the reason.
CREATE OR REPLACE FUNCTION engine.verified_roster(p_roster rosters, p_since timestamptz) RETURNS rosters
    LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF p_since IS NOT NULL THEN
        p_roster.absent := ARRAY(
            SELECT CASE WHEN mate.absent IS NULL AND coach.calendar_kind <> 'none' AND sync.synced_at < p_since
                        THEN 'unverified' ELSE mate.absent END
              FROM unnest(p_roster.coach_ids, p_roster.absent) WITH ORDINALITY AS mate (coach_id, absent, i)
              LEFT JOIN coaches AS coach USING (coach_id)
              LEFT JOIN coach_syncs AS sync USING (coach_id)
             ORDER BY mate.i);
    END IF;
    RETURN p_roster;
END $$;

-- The days around a window on which nothing may start in a calendar, as instants [starts, ends) with the reason:
-- blocked dates, and days that have reached the calendar's maximum. The appointment p_except and expired holds do not
-- count.
CREATE OR REPLACE FUNCTION engine.closed_days(
    p_calendar calendars, p_from timestamptz, p_to timestamptz, p_except uuid, p_now timestamptz
) RETURNS TABLE (starts timestamptz, ends timestamptz, reason text) LANGUAGE sql STABLE AS $$
    SELECT engine.day_start(p_calendar.time_zone, day.on_day), engine.day_start(p_calendar.time_zone, day.on_day + 1),
           day.reason
      FROM (SELECT unnest(p_calendar.blocked_dates) AS on_day, 'outside_working_hours' AS reason
             UNION ALL
            SELECT (a.start_time AT TIME ZONE engine.full_zone(p_calendar.time_zone))::date, 'daily_maximum'
              FROM coach_appointments AS a
             WHERE p_calendar.max_per_day IS NOT NULL
               AND a.calendar_id = p_calendar.calendar_id AND a.status <> 'cancelled'
               AND a.start_time >= p_from - interval '27 hours' AND a.start_time < p_to + interval '27 hours'
               AND a.appointment_id IS DISTINCT FROM p_except
               AND (a.expires_at IS NULL OR a.expires_at > p_now)
             GROUP BY 1 HAVING count(*) >= p_calendar.max_per_day
             UNION ALL
            SELECT generate_series((p_from AT TIME ZONE engine.full_zone(p_calendar.time_zone))::date,
                                   (p_to AT TIME ZONE engine.full_zone(p_calendar.time_zone))::date,
                                   interval '1 day')::date, 'daily_maximum'
             WHERE p_calendar.max_per_day = 0) AS day
$$;

-- Why a calendar is closed on the day of an instant, or null.
CREATE OR REPLACE FUNCTION engine.closed_reason(p_calendar calendars, p_start timestamptz, p_except uuid, p_now timestamptz)
    RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT closed.reason FROM engine.closed_days(p_calendar => p_calendar, p_from => p_start, p_to => p_start,
                                                       p_except => p_except, p_now => p_now) AS closed
             WHERE p_start >= closed.starts AND p_start < closed.ends LIMIT 1);

-- Why the calendar allows no start at an instant, or null.
CREATE OR REPLACE FUNCTION engine.calendar_refusal(
    p_calendar calendars, p_start timestamptz, p_except uuid, p_now timestamptz
) RETURNS text LANGUAGE sql STABLE
    RETURN CASE
        WHEN NOT (p_calendar).active THEN 'inactive'
        WHEN p_start <= p_now OR p_start < engine.opens_at(p_calendar, p_now) THEN 'minimum_notice'
        WHEN p_start >= engine.closes_at(p_calendar, p_now) THEN 'beyond_horizon'
        WHEN (p_calendar).max_per_day IS NOT NULL OR (p_calendar).blocked_dates <> '{}'
            THEN engine.closed_reason(p_calendar => p_calendar, p_start => p_start, p_except => p_except, p_now => p_now)
    END;

-- The slot at which a start begins; raises FS400 for one off the grid or in the past, and FS409 for one that the calendar
-- refuses, with the reason as DETAIL.
CREATE OR REPLACE FUNCTION engine.check_start(p_calendar calendars, p_start timestamptz, p_except uuid, p_now timestamptz)
    RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_slot    integer := engine.slot_of(p_start);
    v_refusal text;
BEGIN
    IF engine.instant_of(v_slot) <> p_start OR v_slot % (p_calendar.slot_interval / 15) <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'off_grid';
    ELSIF p_start <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'in_the_past';
    END IF;
    v_refusal := engine.calendar_refusal(p_calendar => p_calendar, p_start => p_start, p_except => p_except,
                                         p_now => p_now);
    IF v_refusal IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'the calendar refuses this start', DETAIL = v_refusal;
    END IF;
    RETURN v_slot;
END $$;
