-- Choosing the coach for a time. What each statement costs: docs/decisions/0020.

-- Why a coach's days do not admit an appointment, or null if they do; it looks at several days, where candidates()
-- looks at one. Our own bookings come before the external calendar, which may be busy because of them.
CREATE OR REPLACE FUNCTION engine.exclusion_reason(p_coach text, p_from integer, p_to integer, p_before integer, p_after integer)
    RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_covered  integer := 0;
    v_admitted boolean := true;
    v_reason   integer := 5;
    day        coach_slots;
BEGIN
    FOR day IN SELECT * FROM coach_slots AS one
                WHERE one.coach_id = p_coach AND one.first_slot > p_from - p_before - 104 AND one.first_slot < p_to + p_after
                  AND one.first_slot + one.slot_count > p_from - p_before LOOP
        v_covered := v_covered + least(day.first_slot + day.slot_count, p_to + p_after)
                               - greatest(day.first_slot, p_from - p_before);
        v_admitted := v_admitted AND engine.day_admits(day => day, p_from => p_from, p_to => p_to, p_before => p_before,
                                                       p_after => p_after);
        v_reason := least(v_reason, CASE
            WHEN NOT engine.has_slots(p_bits => day.working, p_first => day.first_slot, p_count => day.slot_count,
                                      p_from => p_from, p_to => p_to) THEN 1
            WHEN NOT engine.has_slots(p_bits => ~day.taken, p_first => day.first_slot, p_count => day.slot_count,
                                      p_from => p_from, p_to => p_to) THEN 2
            WHEN NOT engine.has_slots(p_bits => day.external, p_first => day.first_slot, p_count => day.slot_count,
                                      p_from => p_from, p_to => p_to) THEN 3
            WHEN day.booked >= day.max_per_day
                 AND p_from >= day.first_slot AND p_from < day.first_slot + day.slot_count THEN 4
            ELSE 5 END);
    END LOOP;
    RETURN CASE WHEN v_covered < p_before + p_to - p_from + p_after THEN 'not_synced'
                WHEN NOT v_admitted THEN
                    ('{outside_working_hours,booked,busy_external,daily_maximum,buffer}'::text[])[v_reason] END;
END $$;

-- A calendar's team for p_count slots from p_from with buffers: who is eligible, and why the others are not. Most
-- appointments lie within one day of a coach. Shares stay null: see ranked_candidates().
CREATE OR REPLACE FUNCTION engine.candidates(
    p_calendar text, p_from integer, p_count integer, p_before integer, p_after integer
) RETURNS SETOF candidate LANGUAGE sql STABLE AS $$
SELECT member.coach_id, coach.score, member.weight::bigint, member.credit, member.last_assigned_seq,
       CASE WHEN day.coach_id IS NULL THEN 2 ELSE 1 END, day.first_slot,
       CASE WHEN NOT coach.active THEN 'inactive'
            WHEN coach.calendar_kind <> 'none' AND sync.synced_at IS NULL THEN 'not_synced'
            WHEN engine.day_admits(day => day, p_from => p_from, p_to => p_from + p_count, p_before => p_before,
                                   p_after => p_after) THEN NULL
            ELSE engine.exclusion_reason(p_coach => member.coach_id, p_from => p_from, p_to => p_from + p_count,
                                         p_before => p_before, p_after => p_after) END,
       NULL::bigint, NULL::bigint
  FROM coach_calendars AS member
  JOIN coaches AS coach USING (coach_id)
  LEFT JOIN coach_syncs AS sync USING (coach_id)
  LEFT JOIN coach_slots AS day
    ON day.coach_id = member.coach_id AND day.first_slot > p_from - p_before - 104
   AND day.first_slot <= p_from - p_before AND day.first_slot + day.slot_count >= p_from + p_count + p_after
 WHERE member.calendar_id = p_calendar
$$;

-- A calendar's team for a time, best first.
CREATE OR REPLACE FUNCTION engine.ranked_team(
    p_calendar calendars, p_from integer, p_count integer, p_before integer, p_after integer
) RETURNS candidate[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_team candidate[] := ARRAY(
        SELECT one FROM engine.candidates(p_calendar => p_calendar.calendar_id, p_from => p_from, p_count => p_count,
                                          p_before => p_before, p_after => p_after) AS one);
BEGIN
    RETURN ARRAY(SELECT one FROM engine.ranked_candidates(p_calendar.policy, v_team) AS one);
END $$;

-- Locks the day of the coach whose turn it is and returns the team, that coach first; if the first is not eligible,
-- nobody is free. It tries coaches whom nobody else has locked, best first, and only then waits for the whole team, in
-- the one order of locks. The locking statement checks the predicate again.
CREATE OR REPLACE FUNCTION engine.lock_coach(
    p_calendar calendars, p_from integer, p_count integer, p_before integer, p_after integer
) RETURNS candidate[] LANGUAGE plpgsql AS $$
DECLARE
    v_team      candidate[] := engine.ranked_team(p_calendar => p_calendar, p_from => p_from, p_count => p_count,
                                                  p_before => p_before, p_after => p_after);
    v_best      candidate := v_team[1];
    v_contended boolean := false;
BEGIN
    WHILE v_best.excluded IS NULL AND v_best.days = 1 LOOP
        PERFORM FROM coach_slots AS day
          WHERE day.coach_id = v_best.coach_id AND day.first_slot = v_best.first_slot
            AND engine.day_admits(day => day, p_from => p_from, p_to => p_from + p_count,
                                  p_before => p_before, p_after => p_after)
            FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN v_team;
        END IF;
        v_contended := true;
        v_team[1].excluded := 'contended';
        v_team := ARRAY(SELECT one FROM engine.ranked_candidates(p_calendar.policy, v_team) AS one);
        v_best := v_team[1];
    END LOOP;
    -- A day that was taken between our look and our lock stays locked, out of order. Waiting for another one now could
    -- be a deadlock, so if there is one to wait for, the transaction starts again.
    IF v_contended AND EXISTS (
        SELECT FROM coach_slots AS day, unnest(v_team) AS one
         WHERE one.excluded = 'contended' AND day.coach_id = one.coach_id AND day.first_slot = one.first_slot
           AND day.xmax = pg_current_xact_id()::xid) THEN
        v_team := engine.ranked_team(p_calendar => p_calendar, p_from => p_from, p_count => p_count,
                                     p_before => p_before, p_after => p_after);
        IF v_team[1].excluded IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'locks would be taken out of order';
        END IF;
    ELSIF v_contended OR v_best.excluded IS NULL THEN
        PERFORM FROM coach_slots AS day
          WHERE day.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = p_calendar.calendar_id)
            AND day.first_slot > p_from - p_before - 104 AND day.first_slot < p_from + p_count + p_after
          ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
        v_team := engine.ranked_team(p_calendar => p_calendar, p_from => p_from, p_count => p_count,
                                     p_before => p_before, p_after => p_after);
    END IF;
    RETURN v_team;
END $$;

-- Takes a span of a coach's time for an appointment that starts at p_start and counts on that day.
CREATE OR REPLACE FUNCTION engine.take_time(p_coach text, p_start timestamptz, p_takes tstzrange) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_from  integer := engine.slot_of(lower(p_takes));
    v_to    integer := engine.slot_of(upper(p_takes));
    v_start integer := engine.slot_of(p_start);
BEGIN
    UPDATE coach_slots AS day
       SET taken = day.taken | engine.span_mask(p_offset => v_from - day.first_slot, p_length => v_to - v_from,
                                                p_count => day.slot_count),
           booked = day.booked + CASE WHEN v_start >= day.first_slot AND v_start < day.first_slot + day.slot_count
                                      THEN 1 ELSE 0 END
     WHERE day.coach_id = p_coach AND day.first_slot > v_from - 104 AND day.first_slot < v_to
       AND day.first_slot + day.slot_count > v_from;
END $$;

-- Gives back what take_time() took.
CREATE OR REPLACE FUNCTION engine.release_time(p_coach text, p_start timestamptz, p_takes tstzrange) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_from  integer := engine.slot_of(lower(p_takes));
    v_to    integer := engine.slot_of(upper(p_takes));
    v_start integer := engine.slot_of(p_start);
BEGIN
    UPDATE coach_slots AS day
       SET taken = day.taken & ~engine.span_mask(p_offset => v_from - day.first_slot, p_length => v_to - v_from,
                                                 p_count => day.slot_count),
           booked = day.booked - CASE WHEN v_start >= day.first_slot AND v_start < day.first_slot + day.slot_count
                                      THEN 1 ELSE 0 END
     WHERE day.coach_id = p_coach AND day.first_slot > v_from - 104 AND day.first_slot < v_to
       AND day.first_slot + day.slot_count > v_from;
END $$;

-- Whether some expired hold still takes time; by the database's clock where p_now is null.
CREATE OR REPLACE FUNCTION engine.holds_have_expired(p_now timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM coach_appointments
                    WHERE status = 'held' AND expires_at <= coalesce(p_now, clock_timestamp()));
END $$;

-- Raises FS426 if an expired hold of one of the calendar's coaches still takes time. Clearing it moves credits of other
-- calendars, whose locks come before ours, so the caller does that in a transaction of its own.
CREATE OR REPLACE FUNCTION engine.check_expired_holds(p_calendar text, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Usually no hold has expired anywhere.
    IF engine.holds_have_expired(p_now)
       AND EXISTS (SELECT FROM coach_appointments AS hold JOIN coach_calendars AS member USING (coach_id)
                    WHERE hold.status = 'held' AND hold.expires_at <= p_now AND member.calendar_id = p_calendar) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS426', MESSAGE = 'holds have expired';
    END IF;
END $$;

-- Gives a time to the coach whose turn it is: chooses, takes the slots, writes the row and records the decision. A hold
-- ends at its start at the latest. p_metadata is a JSON object, or its text as a JSON string.
CREATE OR REPLACE FUNCTION engine.assign_coach(
    p_calendar calendars, p_start timestamptz, p_now timestamptz, p_status text, p_contact_name text, p_contact_email text,
    p_notes text, p_timezone text, p_metadata jsonb, p_held_by text, p_expires timestamptz
) RETURNS coach_appointments LANGUAGE plpgsql AS $$
DECLARE
    v_team   candidate[];
    v_from   integer := engine.slot_of(p_start);
    v_count  integer := p_calendar.slot_duration / 15;
    v_before integer := p_calendar.buffer_before / 15;
    v_after  integer := p_calendar.buffer_after / 15;
    a        coach_appointments;
BEGIN
    PERFORM engine.check_start(p_calendar => p_calendar, p_start => p_start, p_except => NULL, p_now => p_now);
    PERFORM engine.check_expired_holds(p_calendar.calendar_id, p_now);
    v_team := engine.lock_coach(p_calendar => p_calendar, p_from => v_from, p_count => v_count, p_before => v_before,
                                p_after => v_after);
    IF v_team[1].coach_id IS NULL OR v_team[1].excluded IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes, status, contact_name,
        contact_email, notes, timezone, metadata, created_at, updated_at, held_by, expires_at)
    VALUES (p_calendar.tenant_id, p_calendar.calendar_id, v_team[1].coach_id, p_start, engine.instant_of(v_from + v_count),
        tstzrange(engine.instant_of(v_from - v_before), engine.instant_of(v_from + v_count + v_after)), p_status,
        p_contact_name, p_contact_email, p_notes, p_timezone, (p_metadata #>> '{}')::json, p_now, p_now,
        p_held_by, CASE WHEN p_status = 'held' THEN least(p_expires, p_start) END)
    RETURNING * INTO a;
    PERFORM engine.take_time(p_coach => a.coach_id, p_start => a.start_time, p_takes => a.takes);
    PERFORM engine.record_assignment(p_calendar => p_calendar, p_policy => p_calendar.policy,
                                     p_appointment => a.appointment_id, p_team => v_team, p_now => p_now);
    RETURN a;
END $$;
