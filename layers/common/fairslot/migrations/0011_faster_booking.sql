-- Booking in fewer and lighter statements. What each of them costs and what did not help: docs/decisions/0020.

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

-- Keeps a row of the record under the calendar's next number, which it returns; the caller has the calendar's lock.
CREATE FUNCTION record_decision(
    p_calendar text, p_appointment uuid, p_kind text, p_reverses bigint, p_policy text, p_version integer, p_chosen text,
    p_candidates jsonb, p_now timestamptz
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
BEGIN
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, reverses_seq, policy, policy_version, chosen,
                                  candidates, decided_at)
    VALUES (p_calendar, coalesce((SELECT max(seq) FROM distribution_log WHERE calendar_id = p_calendar), 0) + 1,
            p_appointment, p_kind, p_reverses, p_policy, p_version, p_chosen, p_candidates, p_now)
    RETURNING seq INTO v_seq;
    RETURN v_seq;
END $$;

-- Records the choice of the first of a ranked team and moves the credits by it.
CREATE FUNCTION decide(p_calendar calendars, p_policy text, p_appointment uuid, p_team candidate[], p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_chosen text := p_team[1].coach_id;
    v_seq    bigint := record_decision(
        p_calendar.calendar_id, p_appointment, 'assigned', NULL, p_policy, p_calendar.policy_version, v_chosen,
        (SELECT jsonb_agg(CASE WHEN one.excluded IS NOT NULL
                THEN jsonb_build_object('coach_id', one.coach_id, 'score', one.score, 'excluded', one.excluded)
                ELSE jsonb_build_object('coach_id', one.coach_id, 'score', one.score, 'weight', one.weight, 'credit', one.credit,
                                        'last', one.last, 'share', one.share, 'delta', one.delta)
                END ORDER BY one.coach_id COLLATE "C") FROM unnest(p_team) AS one), p_now);
BEGIN
    UPDATE coach_calendars AS member
       SET credit = member.credit + one.delta,
           last_assigned_seq = CASE WHEN one.coach_id = v_chosen THEN v_seq ELSE member.last_assigned_seq END
      FROM unnest(p_team) AS one
     WHERE member.calendar_id = p_calendar.calendar_id AND member.coach_id = one.coach_id AND one.excluded IS NULL;
END $$;

-- Undoes the credits of an appointment's standing decision, exactly.
CREATE OR REPLACE FUNCTION reverse_decision(p_appointment uuid, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
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
    UPDATE coach_calendars AS member
       SET credit = member.credit + (one.value ->> 'delta')::bigint,
           -- Who is next in a tie goes back too, unless the coach was chosen again since.
           last_assigned_seq = CASE WHEN member.last_assigned_seq = v_one.seq THEN (one.value ->> 'last')::bigint
                                    ELSE member.last_assigned_seq END
      FROM jsonb_array_elements(v_one.candidates) AS one
     WHERE member.calendar_id = v_one.calendar_id AND member.coach_id = one.value ->> 'coach_id';
    PERFORM record_decision(v_one.calendar_id, p_appointment, 'reversed', v_one.seq, v_one.policy, v_one.policy_version,
                            v_one.chosen, v_one.candidates, p_now);
END $$;

-- What the queue carries for a delivery. Subscribers of kind standard get nothing that says who the customer is.
CREATE FUNCTION delivery_message(d webhook_deliveries, event webhook_events, endpoint webhook_endpoints) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object(
           'delivery_id', d.delivery_id, 'event_id', event.event_id, 'kind', endpoint.kind,
           'url', endpoint.url, 'type', event.type, 'timestamp', zulu(event.created_at), 'version', event.version,
           'endpoint_id', endpoint.endpoint_id, 'round', d.round,
           'concurrency', endpoint.concurrency, 'rate_per_second', endpoint.rate_per_second,
           'data', CASE WHEN endpoint.kind = 'standard' AND event.appointment_id IS NOT NULL
               THEN event.data - '{contact_name,contact_email,contact_id,timezone,reason}'::text[]
               ELSE event.data || d.params END)
       || CASE endpoint.kind WHEN 'standard' THEN jsonb_build_object(
              'headers', endpoint.headers,
              'secrets', CASE WHEN endpoint.previous_until > now()
                              THEN jsonb_build_array(endpoint.secret, endpoint.previous_secret)
                              ELSE jsonb_build_array(endpoint.secret) END)
          ELSE '{}' END;

CREATE OR REPLACE VIEW delivery_messages AS
SELECT delivery.delivery_id, delivery.event_id, delivery_message(delivery, event, endpoint) AS message
  FROM webhook_deliveries AS delivery
  JOIN webhook_events AS event USING (event_id)
  JOIN webhook_endpoints AS endpoint USING (endpoint_id);

-- Writes an event and a delivery for every endpoint that wants it; returns the messages that the queue must get.
-- p_old is the appointment before the change (null: there was none); p_more goes into the event's data.
CREATE OR REPLACE FUNCTION emit_event(p_type text, a coach_appointments, p_old coach_appointments, p_more jsonb DEFAULT '{}')
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_messages jsonb := '[]';
    v_event    webhook_events;
    v_endpoint webhook_endpoints;
    v_delivery webhook_deliveries;
    v_params   jsonb;
BEGIN
    INSERT INTO webhook_events (tenant_id, type, appointment_id, version, data)
    VALUES (a.tenant_id, p_type, a.appointment_id, a.version, jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version,
        'contact_name', a.contact_name, 'contact_email', a.contact_email, 'contact_id', a.crm_contact_id) || p_more)
    RETURNING * INTO v_event;
    FOR v_endpoint IN
        SELECT * FROM webhook_endpoints WHERE tenant_id = a.tenant_id AND enabled AND wants(event_types, p_type)
    LOOP
        IF v_endpoint.kind <> 'calendar_api' THEN
            INSERT INTO webhook_deliveries (event_id, endpoint_id) VALUES (v_event.event_id, v_endpoint.endpoint_id)
            RETURNING * INTO v_delivery;
            v_messages := v_messages || delivery_message(v_delivery, v_event, v_endpoint);
        ELSE
            FOR v_params IN SELECT action FROM calendar_actions(p_old, a) AS action LOOP
                INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
                VALUES (v_event.event_id, v_endpoint.endpoint_id, v_params)
                RETURNING * INTO v_delivery;
                v_messages := v_messages || delivery_message(v_delivery, v_event, v_endpoint);
            END LOOP;
        END IF;
    END LOOP;
    RETURN v_messages;
END $$;

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
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
                           emit_event('appointment.created', a, NULL));
END $$;

-- Claims the time of the coach whose turn it is for some minutes; p_most bounds the live holds of a client.
CREATE OR REPLACE FUNCTION hold(
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
    a := place(v_calendar, p_start, v_now, 'held', NULL, NULL, NULL, NULL, '{}', p_client, v_now + p_for);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, hold_json(a), '[]');
END $$;

-- Hands an appointment to a named coach of the team, or to whoever's turn it is among the others. A choice that a
-- person makes is nobody's turn: it moves no credits, and the decision that it replaces is undone.
CREATE OR REPLACE FUNCTION reassign(
    p_tenant text, p_appointment uuid, p_coach text, p_reason text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := lock_calendars(p_tenant, p_appointment, false);
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    v_policy   text := CASE WHEN p_coach IS NULL THEN v_calendar.policy ELSE 'manual' END;
    v_old      coach_appointments;
    v_team     candidate[];
    v_from     integer;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    v_old := lock_appointment(p_tenant, p_appointment);
    IF p_coach = v_old.coach_id THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'same_coach';
    ELSIF p_coach IS NOT NULL AND NOT EXISTS (
        SELECT FROM coach_calendars WHERE calendar_id = v_old.calendar_id AND coach_id = p_coach) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    PERFORM check_holds(v_calendar.calendar_id, v_now);
    PERFORM lock_days(v_old, v_old.takes);
    v_from := slot_of(v_old.start_time);
    v_team := without_decision(ARRAY(SELECT one FROM candidates(v_calendar.calendar_id, v_from, slot_of(v_old.end_time) - v_from,
        v_from - slot_of(lower(v_old.takes)), slot_of(upper(v_old.takes)) - slot_of(v_old.end_time)) AS one), p_appointment, p_coach, v_old.coach_id);
    v_team := ARRAY(SELECT one FROM ranked(v_policy, v_team) AS one);
    IF v_team[1].coach_id IS NULL OR v_team[1].excluded IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    PERFORM reverse_decision(p_appointment, v_now);
    UPDATE coach_appointments
       SET coach_id = v_team[1].coach_id, version = version + 1, updated_at = v_now,
           conflict = false, external_calendar_id = NULL
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM decide(v_calendar, v_policy, p_appointment, v_team, v_now);
    PERFORM move_time(v_old.coach_id, v_old.start_time, v_old.takes, -1);
    PERFORM move_time(a.coach_id, a.start_time, a.takes, 1);
    RETURN remember_answer(p_tenant, p_key, p_fingerprint, p_keep, v_now, appointment_json(a),
        emit_event('appointment.reassigned', a, v_old, jsonb_build_object(
            'previous_coach_id', v_old.coach_id, 'reason', p_reason)));
END $$;

-- A coach leaves a team: the credit is spread over the rest by weight, so that it still sums to 0.
CREATE OR REPLACE FUNCTION leave_team(p_calendar text, p_coach text, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_credit bigint;
    v_log    jsonb;
BEGIN
    PERFORM FROM calendars WHERE calendar_id = p_calendar FOR NO KEY UPDATE;
    SELECT credit INTO v_credit FROM coach_calendars WHERE calendar_id = p_calendar AND coach_id = p_coach;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object('coach_id', part.coach_id, 'weight', part.weight, 'delta', part.delta)
                              ORDER BY part.coach_id COLLATE "C"), '[]')
      INTO v_log FROM spread(p_calendar, v_credit, p_coach) AS part;
    UPDATE coach_calendars AS member SET credit = member.credit + (one ->> 'delta')::bigint
      FROM jsonb_array_elements(v_log) AS one
     WHERE member.calendar_id = p_calendar AND member.coach_id = one ->> 'coach_id';
    DELETE FROM coach_calendars WHERE calendar_id = p_calendar AND coach_id = p_coach;
    PERFORM record_decision(p_calendar, NULL, 'left', NULL, policy, policy_version, p_coach,
                            v_log || jsonb_build_object('coach_id', p_coach, 'delta', -v_credit), coalesce(p_now, clock_timestamp()))
       FROM calendars WHERE calendar_id = p_calendar;
    PERFORM refresh_weights(p_calendar);
END $$;
