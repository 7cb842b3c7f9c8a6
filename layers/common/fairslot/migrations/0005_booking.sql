-- Booking and cancelling: one function each, called once.
--
-- Locks are always taken in this order: calendar, appointment, coach_slots by (coach_id, first_slot).
-- Errors leave by SQLSTATE: FS400 not valid (what is wrong), FS404 no such thing, FS409 no coach is free,
-- FS410 illegal transition (the current state), FS422 key used with another request, FS425 the same key was
-- answered by another transaction meanwhile: ask again.

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

CREATE FUNCTION remember_answer(
    p_tenant text, p_key text, p_fingerprint bytea, p_answer jsonb, p_keep interval, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO idempotency_keys AS known (tenant_id, key, fingerprint, answer, expires_at)
    VALUES (p_tenant, p_key, p_fingerprint, p_answer, p_now + p_keep)
    ON CONFLICT (tenant_id, key) DO UPDATE
       SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
     WHERE known.expires_at <= p_now;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS425', MESSAGE = 'answered by another transaction';
    END IF;
END $$;

CREATE TYPE candidate AS (
    coach_id text, weight bigint, credit bigint, last_seq bigint, days integer, first_slot integer, excluded text
);

-- The calendar's team for an appointment of p_count slots from p_from with its buffers: who could take it, and
-- why the others could not.
CREATE FUNCTION candidates(p_calendar text, p_from integer, p_count integer, p_before integer, p_after integer)
    RETURNS SETOF candidate LANGUAGE sql STABLE AS $$
SELECT member.coach_id, member.weight::bigint, member.credit, member.last_assigned_seq, span.days::integer, span.first_slot,
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

-- The weighted greedy carpool (docs/decisions): the largest credit + share, then the least recently assigned, then
-- the lowest id. Shares are millionths, rounded down; what rounding leaves goes to the chosen coach.
CREATE FUNCTION next_up(p_pool candidate[]) RETURNS candidate LANGUAGE sql IMMUTABLE AS $$
    SELECT one FROM unnest(p_pool) AS one, (SELECT sum(weight) AS weight FROM unnest(p_pool)) AS total
     ORDER BY one.credit + one.weight * 1000000 / total.weight DESC, one.last_seq NULLS FIRST, one.coach_id COLLATE "C"
     LIMIT 1
$$;

-- Locks the days of one of the candidates and returns it, with those it was chosen among; no candidate if none is
-- free. First whoever is not locked by others, best first; only if that finds nobody, everybody, waiting, in the
-- one order that all take. The predicate is tested again by the locking statement itself.
CREATE FUNCTION lock_coach(
    INOUT p_pool candidate[], OUT chosen candidate, p_from integer, p_count integer, p_before integer, p_after integer
) LANGUAGE plpgsql AS $$
DECLARE
    v_all   candidate[] := p_pool;
    v_from  integer := p_from - p_before;
    v_whole integer := p_before + p_count + p_after;
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(v_all) AS one WHERE one.days > 1) THEN
        WHILE cardinality(p_pool) > 0 LOOP
            chosen := next_up(p_pool);
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
    chosen := CASE WHEN p_pool IS NULL THEN NULL ELSE next_up(p_pool) END;
END $$;

-- Takes (p_by = 1) or gives back (p_by = -1) a stretch of a coach's time; it counts on the day it starts on.
CREATE FUNCTION move_time(p_coach text, p_start integer, p_from integer, p_to integer, p_by integer) RETURNS void
    LANGUAGE sql AS $$
    UPDATE coach_slots AS day
       SET taken = CASE WHEN p_by > 0 THEN day.taken | span_mask(p_from - day.first_slot, p_to - p_from, day.slot_count)
                        ELSE day.taken & ~span_mask(p_from - day.first_slot, p_to - p_from, day.slot_count) END,
           booked = day.booked + CASE WHEN p_start >= day.first_slot AND p_start < day.first_slot + day.slot_count
                                      THEN p_by ELSE 0 END
     WHERE day.coach_id = p_coach AND day.first_slot > p_from - 104 AND day.first_slot < p_to
       AND day.first_slot + day.slot_count > p_from
$$;

-- Moves the credits for a choice and records it; returns nothing, leaves the log.
CREATE FUNCTION decide(p_calendar calendars, p_appointment uuid, p_team candidate[], p_pool candidate[], p_chosen text, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_seq   bigint;
    v_total bigint := (SELECT sum(weight) FROM unnest(p_pool));
    v_rest  bigint := 1000000 - (SELECT sum(weight * 1000000 / v_total) FROM unnest(p_pool));
BEGIN
    UPDATE calendars SET decision_seq = decision_seq + 1 WHERE calendar_id = p_calendar.calendar_id
    RETURNING decision_seq INTO v_seq;
    UPDATE coach_calendars AS member
       SET credit = member.credit + one.weight * 1000000 / v_total
                    + CASE WHEN one.coach_id = p_chosen THEN v_rest - 1000000 ELSE 0 END,
           last_assigned_seq = CASE WHEN one.coach_id = p_chosen THEN v_seq ELSE member.last_assigned_seq END
      FROM unnest(p_pool) AS one
     WHERE member.calendar_id = p_calendar.calendar_id AND member.coach_id = one.coach_id;
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, policy, policy_version, chosen, decided_at, candidates)
    SELECT p_calendar.calendar_id, v_seq, p_appointment, 'assigned', p_calendar.policy, p_calendar.policy_version, p_chosen, p_now,
           jsonb_agg(CASE WHEN one.coach_id IS NULL
               THEN jsonb_build_object('coach_id', mate.coach_id, 'excluded', coalesce(mate.excluded, 'contended'))
               ELSE jsonb_build_object('coach_id', one.coach_id, 'weight', one.weight, 'credit', one.credit, 'last', one.last_seq,
                   'share', one.weight * 1000000 / v_total + CASE WHEN one.coach_id = p_chosen THEN v_rest ELSE 0 END,
                   'delta', one.weight * 1000000 / v_total + CASE WHEN one.coach_id = p_chosen THEN v_rest - 1000000 ELSE 0 END)
               END ORDER BY mate.coach_id COLLATE "C")
      FROM unnest(p_team) AS mate LEFT JOIN unnest(p_pool) AS one USING (coach_id);
END $$;

CREATE FUNCTION book(
    p_tenant text, p_calendar text, p_start timestamptz, p_contact_name text, p_contact_email text, p_notes text,
    p_timezone text, p_metadata jsonb, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars;
    v_answer   jsonb;
    v_team     candidate[];
    v_pool     candidate[];
    v_locked   record;
    v_chosen   candidate;
    v_from     integer := slot_of(p_start);
    v_count    integer;
    v_before   integer;
    v_after    integer;
    a          coach_appointments;
BEGIN
    SELECT * INTO v_calendar FROM calendars WHERE calendar_id = p_calendar AND tenant_id = p_tenant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    END IF;
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, p_now);
    IF v_answer IS NOT NULL THEN
        RETURN jsonb_build_object('replayed', true, 'appointment', v_answer, 'messages', '[]'::jsonb);
    END IF;
    IF instant_of(v_from) <> p_start OR v_from % (v_calendar.slot_interval / 15) <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'off_grid';
    ELSIF p_start <= p_now THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'in_the_past';
    END IF;
    v_count := v_calendar.slot_duration / 15;
    v_before := v_calendar.buffer_before / 15;
    v_after := v_calendar.buffer_after / 15;
    IF v_calendar.active AND calendar_admits(v_calendar, p_start, p_now) THEN
        v_team := ARRAY(SELECT one FROM candidates(p_calendar, v_from, v_count, v_before, v_after) AS one);
        SELECT * INTO v_locked FROM lock_coach(
            ARRAY(SELECT one FROM unnest(v_team) AS one WHERE one.excluded IS NULL), v_from, v_count, v_before, v_after);
        v_pool := v_locked.p_pool;
        v_chosen := v_locked.chosen;
    END IF;
    IF v_chosen.coach_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;

    PERFORM move_time(v_chosen.coach_id, v_from, v_from - v_before, v_from + v_count + v_after, 1);
    INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes, contact_name,
                                    contact_email, notes, timezone, metadata, created_at, updated_at)
    VALUES (p_tenant, p_calendar, v_chosen.coach_id, p_start, instant_of(v_from + v_count),
            tstzrange(instant_of(v_from - v_before), instant_of(v_from + v_count + v_after)),
            p_contact_name, p_contact_email, p_notes, p_timezone, p_metadata, p_now, p_now)
    RETURNING * INTO a;
    PERFORM decide(v_calendar, a.appointment_id, v_team, v_pool, v_chosen.coach_id, p_now);
    v_answer := appointment_json(a);
    IF p_key IS NOT NULL THEN
        PERFORM remember_answer(p_tenant, p_key, p_fingerprint, v_answer, p_keep, p_now);
    END IF;
    RETURN jsonb_build_object('replayed', false, 'appointment', v_answer,
                              'messages', emit_event('appointment.created', a));
END $$;

-- Undoes the credits of an appointment's standing decision, exactly.
CREATE FUNCTION reverse_decision(p_appointment uuid, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_made distribution_log;
    v_seq  bigint;
BEGIN
    SELECT * INTO v_made FROM distribution_log AS made
     WHERE made.appointment_id = p_appointment AND made.kind = 'assigned'
       AND NOT EXISTS (SELECT FROM distribution_log AS undone
                        WHERE undone.appointment_id = p_appointment AND undone.reverses_seq = made.seq)
     ORDER BY made.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE calendars SET decision_seq = decision_seq + 1 WHERE calendar_id = v_made.calendar_id
    RETURNING decision_seq INTO v_seq;
    UPDATE coach_calendars AS member
       SET credit = member.credit - (one.value ->> 'delta')::bigint,
           -- Who is next in a tie goes back too, unless the coach was chosen again since.
           last_assigned_seq = CASE WHEN member.last_assigned_seq = v_made.seq THEN (one.value ->> 'last')::bigint
                                    ELSE member.last_assigned_seq END
      FROM jsonb_array_elements(v_made.candidates) AS one
     WHERE member.calendar_id = v_made.calendar_id AND member.coach_id = one.value ->> 'coach_id' AND one.value ? 'delta';
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, reverses_seq, policy, policy_version, chosen, decided_at, candidates)
    SELECT v_made.calendar_id, v_seq, p_appointment, 'reversed', v_made.seq, v_made.policy, v_made.policy_version, v_made.chosen, p_now,
           coalesce(jsonb_agg(jsonb_build_object('coach_id', one.value -> 'coach_id', 'share', -(one.value ->> 'share')::bigint,
               'delta', -(one.value ->> 'delta')::bigint)), '[]')
      FROM jsonb_array_elements(v_made.candidates) AS one WHERE one.value ? 'delta';
END $$;

CREATE FUNCTION cancel(
    p_tenant text, p_appointment uuid, p_by text, p_reason text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_answer jsonb;
    a        coach_appointments;
BEGIN
    PERFORM FROM calendars
      WHERE calendar_id = (SELECT calendar_id FROM coach_appointments WHERE appointment_id = p_appointment AND tenant_id = p_tenant)
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'appointment';
    END IF;
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, p_now);
    IF v_answer IS NOT NULL THEN
        RETURN jsonb_build_object('replayed', true, 'appointment', v_answer, 'messages', '[]'::jsonb);
    END IF;
    SELECT * INTO a FROM coach_appointments WHERE appointment_id = p_appointment FOR NO KEY UPDATE;
    IF a.status <> 'scheduled' THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = a.status;
    END IF;
    UPDATE coach_appointments
       SET status = 'cancelled', version = version + 1, cancelled_by = p_by, cancel_reason = p_reason,
           cancelled_at = p_now, updated_at = p_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM move_time(a.coach_id, slot_of(a.start_time), slot_of(lower(a.takes)), slot_of(upper(a.takes)), -1);
    IF p_by <> 'coach' THEN
        PERFORM reverse_decision(p_appointment, p_now);
    END IF;
    v_answer := appointment_json(a);
    IF p_key IS NOT NULL THEN
        PERFORM remember_answer(p_tenant, p_key, p_fingerprint, v_answer, p_keep, p_now);
    END IF;
    RETURN jsonb_build_object('replayed', false, 'appointment', v_answer,
                              'messages', emit_event('appointment.cancelled', a));
END $$;
