-- Records and messages of bookings in fewer and lighter statements. Measured in docs/decisions/0020.

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
