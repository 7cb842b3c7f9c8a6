-- Choosing a coach in fewer and lighter statements. What each of them costs and what did not help: docs/decisions/0020.

-- Of what is labelled immutable each part must be so too, or Postgres does not inline it: extract() from a timestamptz and
-- to_char() are not.
CREATE OR REPLACE FUNCTION slot_of(p_instant timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN floor(date_part('epoch', p_instant - '1970-01-01Z'::timestamptz) / 900)::integer;

CREATE OR REPLACE FUNCTION zulu(p_instant timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(p_instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- Whether patterns such as appointment.* cover a type; a subquery would not be inlined.
CREATE OR REPLACE FUNCTION wants(p_patterns text[], p_type text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN p_patterns && ARRAY[p_type, split_part(p_type, '.', 1) || '.*', '*'];

-- Raises FS426 if a hold of one of the calendar's coaches has expired and still takes time. Its clearing moves credits of
-- other calendars, whose locks come before ours, so it is a transaction of its own.
CREATE OR REPLACE FUNCTION check_holds(p_calendar text, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Most of the time nothing has expired anywhere.
    IF EXISTS (SELECT FROM coach_appointments WHERE status = 'held' AND expires_at <= p_now)
       AND EXISTS (SELECT FROM coach_appointments AS hold JOIN coach_calendars AS member USING (coach_id)
                    WHERE hold.status = 'held' AND hold.expires_at <= p_now AND member.calendar_id = p_calendar) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS426', MESSAGE = 'holds have expired';
    END IF;
END $$;

DROP FUNCTION lock_coach, next_up, decide, without_decision, place, confirm_hold, day_admits;
ALTER TABLE calendars DROP COLUMN decision_seq;
ALTER TYPE candidate RENAME ATTRIBUTE last_seq TO last;
ALTER TYPE candidate ADD ATTRIBUTE share bigint, ADD ATTRIBUTE delta bigint;

-- Whether a day has all of the slots [p_from, p_to) set that lie in it. One substring is cheaper than masks, and cheap
-- enough for Postgres to inline.
CREATE FUNCTION has_slots(p_bits bit, p_first integer, p_count smallint, p_from integer, p_to integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN position(B'0' IN substring(p_bits FROM greatest(p_from - p_first, 0) + 1
        FOR greatest(least(p_to - p_first, p_count) - greatest(p_from - p_first, 0), 0))) = 0;

-- The one predicate: does this day let an appointment of the slots [p_from, p_to) stand? The appointment itself needs
-- working hours, its buffers need not; it counts towards the maximum of the day it starts on.
CREATE FUNCTION day_admits(day coach_slots, p_from integer, p_to integer, p_before integer, p_after integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN has_slots(day.free, day.first_slot, day.slot_count, p_from, p_to)
       AND (p_before + p_after = 0 OR has_slots(day.open, day.first_slot, day.slot_count, p_from - p_before, p_to + p_after))
       AND (day.booked < day.max_per_day OR p_from < day.first_slot OR p_from >= day.first_slot + day.slot_count);

-- Why a coach's days do not admit an appointment that they have to the end, or null if they do: what a look at one day by
-- the statement that asks for everybody does not tell. What we took ourselves is told before what the calendar says, which
-- may say it for our sake.
CREATE FUNCTION obstacle(p_coach text, p_from integer, p_to integer, p_before integer, p_after integer) RETURNS text
    LANGUAGE plpgsql STABLE AS $$
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
        v_admitted := v_admitted AND day_admits(day, p_from, p_to, p_before, p_after);
        v_reason := least(v_reason, CASE
            WHEN NOT has_slots(day.working, day.first_slot, day.slot_count, p_from, p_to) THEN 1
            WHEN NOT has_slots(~day.taken, day.first_slot, day.slot_count, p_from, p_to) THEN 2
            WHEN NOT has_slots(day.external, day.first_slot, day.slot_count, p_from, p_to) THEN 3
            WHEN day.booked >= day.max_per_day
                 AND p_from >= day.first_slot AND p_from < day.first_slot + day.slot_count THEN 4
            ELSE 5 END);
    END LOOP;
    RETURN CASE WHEN v_covered < p_before + p_to - p_from + p_after THEN 'not_synced'
                WHEN NOT v_admitted THEN
                    ('{outside_working_hours,booked,busy_external,daily_maximum,buffer}'::text[])[v_reason] END;
END $$;

-- The calendar's team for p_count slots from p_from with buffers: who could take them, and why the others could not. Most
-- of the time that lies within one day of a coach. What each is due stays null: see ranked().
CREATE OR REPLACE FUNCTION candidates(p_calendar text, p_from integer, p_count integer, p_before integer, p_after integer)
    RETURNS SETOF candidate LANGUAGE sql STABLE AS $$
SELECT member.coach_id, coach.score, member.weight::bigint, member.credit, member.last_assigned_seq,
       CASE WHEN day.coach_id IS NULL THEN 2 ELSE 1 END, day.first_slot,
       CASE WHEN NOT coach.active THEN 'inactive'
            WHEN coach.calendar_kind <> 'none' AND sync.synced_at IS NULL THEN 'not_synced'
            WHEN day_admits(day, p_from, p_from + p_count, p_before, p_after) THEN NULL
            ELSE obstacle(member.coach_id, p_from, p_from + p_count, p_before, p_after) END,
       NULL::bigint, NULL::bigint
  FROM coach_calendars AS member
  JOIN coaches AS coach USING (coach_id)
  LEFT JOIN coach_syncs AS sync USING (coach_id)
  LEFT JOIN coach_slots AS day
    ON day.coach_id = member.coach_id AND day.first_slot > p_from - p_before - 104
   AND day.first_slot <= p_from - p_before AND day.first_slot + day.slot_count >= p_from + p_count + p_after
 WHERE member.calendar_id = p_calendar
$$;

-- Best first, then those who are not eligible. fair_share is the weighted greedy carpool: the largest credit + share, then
-- the least recently assigned, then the lowest id; everybody eligible gains the share and the first pays a booking.
-- highest_score: the score alone, then the same, and no credits move, as it does not share. Shares are millionths, rounded
-- down; what rounding leaves is the first one's.
CREATE FUNCTION ranked(p_policy text, p_team candidate[]) RETURNS SETOF candidate LANGUAGE sql STABLE AS $$
    SELECT one.coach_id, one.score, one.weight, one.credit, one.last, one.days, one.first_slot, one.excluded,
           CASE WHEN one.place = 1 THEN 1000000 - one.others ELSE one.share END,
           CASE WHEN p_policy = 'highest_score' THEN one.share * 0 WHEN one.place = 1 THEN -one.others ELSE one.share END
      FROM (SELECT part.*, row_number() OVER turn AS place,
                   coalesce(sum(part.share) OVER (
                       turn ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW), 0)::bigint AS others
              FROM (SELECT mate.coach_id, mate.score, mate.weight, mate.credit, mate.last, mate.days, mate.first_slot,
                           mate.excluded,
                           CASE WHEN mate.excluded IS NULL THEN
                               mate.weight * 1000000
                                   / (sum(mate.weight) FILTER (WHERE mate.excluded IS NULL) OVER ())::bigint END AS share
                      FROM unnest(p_team) AS mate) AS part
            WINDOW turn AS (ORDER BY part.excluded IS NOT NULL,
                CASE WHEN p_policy = 'highest_score' THEN part.score ELSE part.credit + part.share END DESC,
                part.last NULLS FIRST, part.coach_id COLLATE "C")) AS one
     ORDER BY one.place
$$;

-- The calendar's team for a time, best first.
CREATE FUNCTION standing(p_calendar calendars, p_from integer, p_count integer, p_before integer, p_after integer)
    RETURNS candidate[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_team candidate[] := ARRAY(SELECT one FROM candidates(p_calendar.calendar_id, p_from, p_count, p_before, p_after) AS one);
BEGIN
    RETURN ARRAY(SELECT one FROM ranked(p_calendar.policy, v_team) AS one);
END $$;

-- Locks the day of the coach whose turn it is and returns the team, that coach first; nobody is free if the first is not
-- eligible. First whoever is not locked by others, best first; only if that finds nobody, the whole team, waiting, in the
-- one order that all take. The predicate is tested again by the locking statement itself.
CREATE FUNCTION lock_coach(p_calendar calendars, p_from integer, p_count integer, p_before integer, p_after integer)
    RETURNS candidate[] LANGUAGE plpgsql AS $$
DECLARE
    v_team      candidate[] := standing(p_calendar, p_from, p_count, p_before, p_after);
    v_best      candidate := v_team[1];
    v_contended boolean := false;
BEGIN
    WHILE v_best.excluded IS NULL AND v_best.days = 1 LOOP
        PERFORM FROM coach_slots AS day
          WHERE day.coach_id = v_best.coach_id AND day.first_slot = v_best.first_slot
            AND day_admits(day, p_from, p_from + p_count, p_before, p_after)
            FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN v_team;
        END IF;
        v_contended := true;
        v_team[1].excluded := 'contended';
        v_team := ARRAY(SELECT one FROM ranked(p_calendar.policy, v_team) AS one);
        v_best := v_team[1];
    END LOOP;
    -- A day that somebody took between the look at it and the lock stays locked by us, for nothing and out of order: to wait
    -- for another now could be a deadlock, so where there is one to wait for it all begins anew.
    IF v_contended AND EXISTS (
        SELECT FROM coach_slots AS day, unnest(v_team) AS one
         WHERE one.excluded = 'contended' AND day.coach_id = one.coach_id AND day.first_slot = one.first_slot
           AND day.xmax = pg_current_xact_id()::xid) THEN
        v_team := standing(p_calendar, p_from, p_count, p_before, p_after);
        IF v_team[1].excluded IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the order of locks was lost';
        END IF;
    ELSIF v_contended OR v_best.excluded IS NULL THEN
        PERFORM FROM coach_slots AS day
          WHERE day.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = p_calendar.calendar_id)
            AND day.first_slot > p_from - p_before - 104 AND day.first_slot < p_from + p_count + p_after
          ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
        v_team := standing(p_calendar, p_from, p_count, p_before, p_after);
    END IF;
    RETURN v_team;
END $$;

-- Takes (p_by = 1) or gives back (p_by = -1) a stretch of a coach's time; it counts on the day it starts on.
CREATE OR REPLACE FUNCTION move_time(p_coach text, p_start timestamptz, p_takes tstzrange, p_by integer) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_from  integer := slot_of(lower(p_takes));
    v_to    integer := slot_of(upper(p_takes));
    v_start integer := slot_of(p_start);
BEGIN
    UPDATE coach_slots AS day
       SET taken = CASE WHEN p_by > 0 THEN day.taken | span_mask(v_from - day.first_slot, v_to - v_from, day.slot_count)
                        ELSE day.taken & ~span_mask(v_from - day.first_slot, v_to - v_from, day.slot_count) END,
           booked = day.booked + CASE WHEN v_start >= day.first_slot AND v_start < day.first_slot + day.slot_count
                                      THEN p_by ELSE 0 END
     WHERE day.coach_id = p_coach AND day.first_slot > v_from - 104 AND day.first_slot < v_to
       AND day.first_slot + day.slot_count > v_from;
END $$;
