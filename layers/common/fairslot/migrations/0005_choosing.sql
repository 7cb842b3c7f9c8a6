-- Who could take a time, who gets it, and what it does to the credits.
--
-- Locks are always taken in this order: calendars by id, appointments, coach_slots by (coach_id, first_slot).

-- The calendar's own part of the predicate: the notice it wants, how far ahead it opens, ...
CREATE FUNCTION opens_at(p_calendar calendars, p_now timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN p_now + make_interval(mins => (p_calendar).min_notice_minutes);

CREATE FUNCTION closes_at(p_calendar calendars, p_now timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN p_now + make_interval(hours => 24 * (p_calendar).horizon_days);

-- ... and the days on which nothing may start: blocked dates, and days that have the calendar's maximum without
-- the appointment p_but. Instants [starts, ends) of the calendar's zone, within a window; the reason of each.
CREATE FUNCTION shut_days(p_calendar calendars, p_from timestamptz, p_to timestamptz, p_but uuid)
    RETURNS TABLE (starts timestamptz, ends timestamptz, reason text) LANGUAGE sql STABLE AS $$
    SELECT day.on_day::timestamp AT TIME ZONE p_calendar.time_zone,
           (day.on_day + 1)::timestamp AT TIME ZONE p_calendar.time_zone, day.reason
      FROM (SELECT unnest(p_calendar.blocked_dates) AS on_day, 'outside_working_hours' AS reason
             UNION ALL
            SELECT (a.start_time AT TIME ZONE p_calendar.time_zone)::date, 'daily_maximum'
              FROM coach_appointments AS a
             WHERE p_calendar.max_per_day IS NOT NULL
               AND a.calendar_id = p_calendar.calendar_id AND a.status <> 'cancelled'
               AND a.start_time >= p_from - interval '27 hours' AND a.start_time < p_to + interval '27 hours'
               AND a.appointment_id IS DISTINCT FROM p_but
             GROUP BY 1 HAVING count(*) >= p_calendar.max_per_day
             UNION ALL
            SELECT generate_series(p_from - interval '1 day', p_to + interval '1 day', '1 day')::date, 'daily_maximum'
             WHERE p_calendar.max_per_day = 0) AS day
$$;

-- Why nothing of the calendar can start at an instant, or null.
CREATE FUNCTION calendar_refusal(p_calendar calendars, p_start timestamptz, p_but uuid, p_now timestamptz)
    RETURNS text LANGUAGE sql STABLE
    RETURN CASE
        WHEN NOT (p_calendar).active THEN 'inactive'
        WHEN p_start <= p_now OR p_start < opens_at(p_calendar, p_now) THEN 'minimum_notice'
        WHEN p_start >= closes_at(p_calendar, p_now) THEN 'beyond_horizon'
        WHEN (p_calendar).max_per_day IS NOT NULL OR (p_calendar).blocked_dates <> '{}' THEN (
            SELECT shut.reason FROM shut_days(p_calendar, p_start, p_start, p_but) AS shut
             WHERE p_start >= shut.starts AND p_start < shut.ends LIMIT 1)
    END;

CREATE TYPE candidate AS (
    coach_id text, score double precision, weight bigint, credit bigint, last_seq bigint,
    days integer, first_slot integer, excluded text
);

-- The calendar's team for p_count slots from p_from with buffers: who could take them, and why the others could not.
CREATE FUNCTION candidates(p_calendar text, p_from integer, p_count integer, p_before integer, p_after integer)
    RETURNS SETOF candidate LANGUAGE sql STABLE AS $$
SELECT member.coach_id, coach.score, member.weight::bigint, member.credit, member.last_assigned_seq,
       span.days::integer, span.first_slot,
       CASE WHEN NOT coach.active THEN 'inactive'
            WHEN coach.calendar_kind <> 'none' AND sync.synced_at IS NULL THEN 'not_synced'
            WHEN coalesce(span.covered, 0) < p_before + p_count + p_after THEN 'not_synced'
            WHEN span.admitted THEN NULL
            WHEN NOT span.in_hours THEN 'outside_working_hours'
            WHEN NOT span.not_busy THEN 'busy_external'
            WHEN NOT span.not_taken THEN 'booked'
            WHEN span.is_full THEN 'daily_maximum'
            ELSE 'buffer' END
  FROM coach_calendars AS member
  JOIN coaches AS coach USING (coach_id)
  LEFT JOIN coach_syncs AS sync USING (coach_id)
 CROSS JOIN LATERAL (
    SELECT count(*) AS days, min(day.first_slot) AS first_slot,
           sum(least(day.first_slot + day.slot_count, p_from + p_count + p_after)
               - greatest(day.first_slot, p_from - p_before)) AS covered,
           bool_and(day_admits(day.free, day.open, day.booked, day.max_per_day, mask.core, mask.whole, mask.starts)) AS admitted,
           bool_and((day.working & mask.core) = mask.core) AS in_hours,
           bool_and((day.external & mask.core) = mask.core) AS not_busy,
           bool_and((day.taken & mask.core) = 0::bit(104)) AS not_taken,
           bool_or(mask.starts AND day.booked >= day.max_per_day) AS is_full
      FROM coach_slots AS day
     CROSS JOIN LATERAL (
        SELECT span_mask(p_from - day.first_slot, p_count, day.slot_count) AS core,
               span_mask(p_from - p_before - day.first_slot, p_before + p_count + p_after, day.slot_count) AS whole,
               p_from >= day.first_slot AND p_from < day.first_slot + day.slot_count AS starts) AS mask
     WHERE day.coach_id = member.coach_id
       AND day.first_slot > p_from - p_before - 104
       AND day.first_slot < p_from + p_count + p_after
       AND day.first_slot + day.slot_count > p_from - p_before) AS span
 WHERE member.calendar_id = p_calendar
$$;

-- Best first. fair_share is the weighted greedy carpool: the largest credit + share, then the least recently
-- assigned, then the lowest id; shares are millionths, rounded down. highest_score: the score alone, then the same.
CREATE FUNCTION next_up(p_policy text, p_pool candidate[]) RETURNS candidate LANGUAGE sql IMMUTABLE AS $$
    SELECT one FROM unnest(p_pool) AS one, (SELECT sum(weight)::bigint AS weight FROM unnest(p_pool)) AS total
     ORDER BY CASE WHEN p_policy = 'highest_score' THEN one.score END DESC,
              CASE WHEN p_policy <> 'highest_score' THEN one.credit + one.weight * 1000000 / total.weight END DESC,
              one.last_seq NULLS FIRST, one.coach_id COLLATE "C"
     LIMIT 1
$$;

-- Locks the days of one of the candidates and returns it, with those it was chosen among; no candidate if none is
-- free. First whoever is not locked by others, best first; only if that finds nobody, everybody, waiting, in the
-- one order that all take. The predicate is tested again by the locking statement itself.
CREATE FUNCTION lock_coach(
    p_policy text, INOUT p_pool candidate[], OUT chosen candidate,
    p_from integer, p_count integer, p_before integer, p_after integer
) LANGUAGE plpgsql AS $$
DECLARE
    v_all   candidate[] := p_pool;
    v_from  integer := p_from - p_before;
    v_whole integer := p_before + p_count + p_after;
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(v_all) AS one WHERE one.days > 1) THEN
        WHILE cardinality(p_pool) > 0 LOOP
            chosen := next_up(p_policy, p_pool);
            PERFORM FROM coach_slots AS day
              WHERE day.coach_id = chosen.coach_id AND day.first_slot = chosen.first_slot
                AND day_admits(day.free, day.open, day.booked, day.max_per_day,
                               span_mask(p_from - day.first_slot, p_count, day.slot_count),
                               span_mask(v_from - day.first_slot, v_whole, day.slot_count), true)
                FOR NO KEY UPDATE SKIP LOCKED;
            IF FOUND THEN
                RETURN;
            END IF;
            p_pool := ARRAY(SELECT one FROM unnest(p_pool) AS one WHERE one.coach_id <> chosen.coach_id);
        END LOOP;
        -- A day that somebody took between the look at it and the lock stays locked by us, for nothing and out of order:
        -- to wait for another now could be a deadlock, so where there is one to wait for it all begins anew.
        IF EXISTS (SELECT FROM coach_slots AS day, unnest(v_all) AS one
                    WHERE day.coach_id = one.coach_id AND day.first_slot = one.first_slot
                      AND day.xmax = pg_current_xact_id()::xid)
           AND EXISTS (SELECT FROM coach_slots AS day, unnest(v_all) AS one
                        WHERE day.coach_id = one.coach_id AND day.first_slot = one.first_slot
                          AND day_admits(day.free, day.open, day.booked, day.max_per_day,
                                         span_mask(p_from - day.first_slot, p_count, day.slot_count),
                                         span_mask(v_from - day.first_slot, v_whole, day.slot_count), true)) THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the order of locks was lost';
        END IF;
    END IF;
    WITH locked AS MATERIALIZED (
        SELECT day.coach_id
          FROM coach_slots AS day
         WHERE day.coach_id IN (SELECT one.coach_id FROM unnest(v_all) AS one)
           AND day.first_slot > v_from - 104 AND day.first_slot < v_from + v_whole
           AND day.first_slot + day.slot_count > v_from
           AND day_admits(day.free, day.open, day.booked, day.max_per_day,
                          span_mask(p_from - day.first_slot, p_count, day.slot_count),
                          span_mask(v_from - day.first_slot, v_whole, day.slot_count),
                          p_from >= day.first_slot AND p_from < day.first_slot + day.slot_count)
         ORDER BY day.coach_id, day.first_slot
           FOR NO KEY UPDATE)
    SELECT array_agg(one) INTO p_pool
      FROM unnest(v_all) AS one
     WHERE one.days = (SELECT count(*) FROM locked WHERE locked.coach_id = one.coach_id);
    chosen := CASE WHEN p_pool IS NULL THEN NULL ELSE next_up(p_policy, p_pool) END;
END $$;

-- Takes (p_by = 1) or gives back (p_by = -1) a stretch of a coach's time; it counts on the day it starts on.
CREATE FUNCTION move_time(p_coach text, p_start timestamptz, p_takes tstzrange, p_by integer) RETURNS void
    LANGUAGE sql AS $$
    UPDATE coach_slots AS day
       SET taken = CASE WHEN p_by > 0 THEN day.taken | span_mask(span.first - day.first_slot, span.size, day.slot_count)
                        ELSE day.taken & ~span_mask(span.first - day.first_slot, span.size, day.slot_count) END,
           booked = day.booked + CASE WHEN slot_of(p_start) >= day.first_slot
                                       AND slot_of(p_start) < day.first_slot + day.slot_count THEN p_by ELSE 0 END
      FROM (SELECT slot_of(lower(p_takes)) AS first, slot_of(upper(p_takes)) - slot_of(lower(p_takes)) AS size) AS span
     WHERE day.coach_id = p_coach AND day.first_slot > span.first - 104 AND day.first_slot < span.first + span.size
       AND day.first_slot + day.slot_count > span.first
$$;

-- Records a choice and moves the credits by it: each of the pool gains its share, the chosen coach pays a booking and
-- gets what rounding left. highest_score moves no credits: it does not share.
CREATE FUNCTION decide(
    p_calendar calendars, p_policy text, p_appointment uuid, p_team candidate[], p_pool candidate[], p_chosen text, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_seq   bigint;
    v_pays  integer := CASE WHEN p_policy = 'highest_score' THEN 0 ELSE 1 END;
    v_total bigint := (SELECT sum(weight) FROM unnest(p_pool));
    v_rest  bigint := 1000000 - (SELECT sum(weight * 1000000 / v_total) FROM unnest(p_pool));
BEGIN
    UPDATE calendars SET decision_seq = decision_seq + 1 WHERE calendar_id = p_calendar.calendar_id
    RETURNING decision_seq INTO v_seq;
    UPDATE coach_calendars AS member
       SET credit = member.credit + v_pays * (one.weight * 1000000 / v_total
                    + CASE WHEN one.coach_id = p_chosen THEN v_rest - 1000000 ELSE 0 END),
           last_assigned_seq = CASE WHEN one.coach_id = p_chosen THEN v_seq ELSE member.last_assigned_seq END
      FROM unnest(p_pool) AS one
     WHERE member.calendar_id = p_calendar.calendar_id AND member.coach_id = one.coach_id;
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, policy, policy_version, chosen, decided_at, candidates)
    SELECT p_calendar.calendar_id, v_seq, p_appointment, 'assigned', p_policy, p_calendar.policy_version, p_chosen, p_now,
           jsonb_agg(CASE WHEN one.coach_id IS NULL
               THEN jsonb_build_object('coach_id', mate.coach_id, 'score', mate.score, 'excluded', coalesce(mate.excluded, 'contended'))
               ELSE jsonb_build_object('coach_id', one.coach_id, 'score', one.score, 'weight', one.weight,
                   'credit', one.credit, 'last', one.last_seq,
                   'share', one.weight * 1000000 / v_total + CASE WHEN one.coach_id = p_chosen THEN v_rest ELSE 0 END,
                   'delta', v_pays * (one.weight * 1000000 / v_total
                            + CASE WHEN one.coach_id = p_chosen THEN v_rest - 1000000 ELSE 0 END))
               END ORDER BY mate.coach_id COLLATE "C")
      FROM unnest(p_team) AS mate LEFT JOIN unnest(p_pool) AS one USING (coach_id);
END $$;

-- Spreads an amount of credit over a calendar's team by weight; what rounding leaves goes to the lowest id.
CREATE FUNCTION spread(p_calendar text, p_amount bigint, p_but text DEFAULT NULL)
    RETURNS TABLE (coach_id text, weight integer, delta bigint) LANGUAGE sql STABLE AS $$
    SELECT part.coach_id, part.weight,
           part.share + CASE WHEN part.place = 1 THEN p_amount - (sum(part.share) OVER ())::bigint ELSE 0 END
      FROM (SELECT member.coach_id, member.weight, row_number() OVER (ORDER BY member.coach_id COLLATE "C") AS place,
                   div(p_amount::numeric * member.weight, sum(member.weight) OVER ())::bigint AS share
              FROM coach_calendars AS member
             WHERE member.calendar_id = p_calendar AND member.coach_id IS DISTINCT FROM p_but) AS part
$$;

-- What undoing an appointment's standing decision does, coach by coach; nothing where there is none. What a coach
-- who has left the team would give back is spread over the rest.
CREATE FUNCTION reversal(p_appointment uuid) RETURNS TABLE (
    calendar_id text, seq bigint, policy text, policy_version integer, chosen text,
    coach_id text, weight integer, share bigint, delta bigint, last_seq bigint
) LANGUAGE sql STABLE AS $$
    WITH made AS (
        SELECT log.* FROM distribution_log AS log
         WHERE log.appointment_id = p_appointment AND log.kind = 'assigned'
           AND NOT EXISTS (SELECT FROM distribution_log AS undone
                            WHERE undone.appointment_id = p_appointment AND undone.reverses_seq = log.seq)
         ORDER BY log.seq DESC LIMIT 1
    ), moved AS (
        SELECT one ->> 'coach_id' AS coach_id, -(one ->> 'share')::bigint AS share, -(one ->> 'delta')::bigint AS delta,
               (one ->> 'last')::bigint AS last_seq
          FROM made CROSS JOIN LATERAL jsonb_array_elements(made.candidates) AS one WHERE one ? 'share'
    ), gone AS (
        SELECT coalesce(sum(moved.delta), 0)::bigint AS delta
          FROM moved WHERE NOT EXISTS (SELECT FROM made JOIN coach_calendars AS member USING (calendar_id)
                                        WHERE member.coach_id = moved.coach_id)
    )
    SELECT made.calendar_id, made.seq, made.policy, made.policy_version, made.chosen, member.coach_id, member.weight,
           coalesce(moved.share, 0), coalesce(moved.delta, 0) + coalesce(extra.delta, 0), moved.last_seq
      FROM made
      JOIN coach_calendars AS member ON member.calendar_id = made.calendar_id
      LEFT JOIN moved ON moved.coach_id = member.coach_id
      LEFT JOIN LATERAL (SELECT part.delta FROM gone, spread(made.calendar_id, gone.delta) AS part
                          WHERE gone.delta <> 0 AND part.coach_id = member.coach_id) AS extra ON true
     WHERE moved.coach_id IS NOT NULL OR extra.delta IS NOT NULL
$$;

-- Undoes the credits of an appointment's standing decision, exactly.
CREATE FUNCTION reverse_decision(p_appointment uuid, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
    v_of  text;
    v_log jsonb;
    v_one record;
BEGIN
    SELECT undo.calendar_id, undo.seq, undo.policy, undo.policy_version, undo.chosen,
           jsonb_agg(jsonb_build_object('coach_id', undo.coach_id, 'weight', undo.weight, 'share', undo.share,
                                        'delta', undo.delta, 'last', undo.last_seq)
                     ORDER BY undo.coach_id COLLATE "C") AS candidates
      INTO v_one FROM reversal(p_appointment) AS undo GROUP BY 1, 2, 3, 4, 5;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE calendars SET decision_seq = decision_seq + 1 WHERE calendar_id = v_one.calendar_id
    RETURNING decision_seq INTO v_seq;
    UPDATE coach_calendars AS member
       SET credit = member.credit + (one.value ->> 'delta')::bigint,
           -- Who is next in a tie goes back too, unless the coach was chosen again since.
           last_assigned_seq = CASE WHEN member.last_assigned_seq = v_one.seq THEN (one.value ->> 'last')::bigint
                                    ELSE member.last_assigned_seq END
      FROM jsonb_array_elements(v_one.candidates) AS one
     WHERE member.calendar_id = v_one.calendar_id AND member.coach_id = one.value ->> 'coach_id';
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, reverses_seq, policy, policy_version, chosen, decided_at, candidates)
    VALUES (v_one.calendar_id, v_seq, p_appointment, 'reversed', v_one.seq, v_one.policy, v_one.policy_version, v_one.chosen, p_now,
            v_one.candidates);
END $$;

-- The team as it would be with the appointment's decision undone.
CREATE FUNCTION without_decision(p_team candidate[], p_appointment uuid) RETURNS candidate[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(ROW(one.coach_id, one.score, one.weight, one.credit + coalesce(undo.delta, 0),
               CASE WHEN one.last_seq = undo.seq THEN undo.last_seq ELSE one.last_seq END,
               one.days, one.first_slot, one.excluded)::candidate), '{}')
      FROM unnest(p_team) AS one LEFT JOIN reversal(p_appointment) AS undo USING (coach_id)
$$;
