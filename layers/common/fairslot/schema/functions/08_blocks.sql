-- The blocks that the calendar API holds for appointments, and conflicts with what is not ours. Why so: docs/decisions/0073.

-- Whoever writes what a coach's external calendar allows, or what is asked of it, does so one after another and takes this
-- before any other lock: what is read afterwards stays true.
CREATE OR REPLACE FUNCTION engine.lock_external(p_coach text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(p_coach, 2))
$$;

-- The deliveries that ask or asked the calendar API for something about a coach's time in a span.
CREATE OR REPLACE FUNCTION engine.calendar_actions_over(p_coach text, p_from timestamptz, p_to timestamptz)
    RETURNS SETOF webhook_deliveries LANGUAGE sql STABLE AS $$
    SELECT * FROM webhook_deliveries
     WHERE params ? 'action' AND params ->> 'coach_id' = p_coach
       AND (params ->> 'end_time') COLLATE "C" > engine.zulu(p_from)
       AND params ->> 'start_time' < engine.zulu(p_to) COLLATE "C"
$$;

-- When the answer arrived with which a delivery was delivered.
CREATE OR REPLACE FUNCTION engine.answered_at(p_delivery uuid) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT max(at + latency_ms * interval '1 ms') FROM webhook_attempts
     WHERE delivery_id = p_delivery AND outcome = 'delivered'
$$;

-- Whether a block that was refused by p_at may have met what is ours and goes: "awaits_release" while another action over
-- its time is under way, "released" if a block was given back after the attempt began (clocks may be a second apart),
-- null if neither, or if nobody wants the block any more: then somebody took that time outside this system.
CREATE OR REPLACE FUNCTION engine.block_awaits(d webhook_deliveries, p_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN bool_or(other.status = 'pending') THEN 'awaits_release' WHEN count(*) > 0 THEN 'released' END
      FROM engine.calendar_actions_over(d.params ->> 'coach_id', (d.params ->> 'start_time')::timestamptz,
                                 (d.params ->> 'end_time')::timestamptz) AS other
     WHERE other.delivery_id <> d.delivery_id
       -- Of two that wait for one another neither would ever go on.
       AND (other.status = 'pending' AND other.reason IS DISTINCT FROM 'awaits_release'
            OR other.status = 'delivered' AND other.params ->> 'action' = 'release'
               AND engine.answered_at(other.delivery_id) > p_at - interval '1 second')
       AND EXISTS (SELECT FROM webhook_events AS event JOIN coach_appointments AS a USING (appointment_id)
                    WHERE event.event_id = d.event_id AND a.status = 'scheduled' AND a.external_calendar_id IS NULL
                      AND a.coach_id = d.params ->> 'coach_id' AND engine.zulu(a.start_time) = d.params ->> 'start_time')
$$;

-- Notes the block that the calendar made for an appointment, or releases it at once where the appointment has moved, was
-- handed over or is cancelled by now; returns the messages that the queue must get.
CREATE OR REPLACE FUNCTION engine.keep_block(p_delivery webhook_deliveries, p_event webhook_events, p_block text)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_release uuid;
BEGIN
    UPDATE coach_appointments AS a SET external_calendar_id = p_block
     WHERE a.appointment_id = p_event.appointment_id AND a.status <> 'cancelled'
       AND a.coach_id = p_event.data ->> 'coach_id' AND engine.zulu(a.start_time) = p_event.data ->> 'start_time';
    IF FOUND THEN
        RETURN '[]';
    END IF;
    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    VALUES (p_event.event_id, p_delivery.endpoint_id,
            p_delivery.params || jsonb_build_object('action', 'release', 'block_id', p_block))
    RETURNING delivery_id INTO v_release;
    RETURN (SELECT jsonb_agg(message) FROM engine.delivery_messages() WHERE delivery_id = v_release);
END $$;

-- Whether the calendar may have got a block of which we know nothing: an attempt ended without an answer, or before it was
-- reported. Every attempt but the first has one before it that was to be repeated; if that is not on record, whoever made
-- it died, or its result is still on its way.
CREATE OR REPLACE FUNCTION engine.may_have_blocked(p_delivery uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM webhook_attempts AS made
         WHERE made.delivery_id = p_delivery
           AND (made.error IN ('timeout', 'connection', 'invalid_body')
                OR made.attempt > 1 AND NOT EXISTS (
                    SELECT FROM webhook_attempts AS before
                     WHERE before.delivery_id = p_delivery AND before.attempt = made.attempt - 1
                       AND before.outcome = 'retrying' AND before.round = made.round)))
$$;

-- Marks an appointment whose time somebody took outside this system, and notes which refusal says so; returns the messages
-- that the queue must get. What may be our own block is no conflict, nor is it one to be refused another block.
CREATE OR REPLACE FUNCTION engine.mark_conflict(p_delivery webhook_deliveries, p_event webhook_events, p_at timestamptz)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments AS appointment
       SET conflict = true, conflict_delivery = p_delivery.delivery_id, version = version + 1,
           updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND status = 'scheduled' AND NOT conflict AND external_calendar_id IS NULL
       AND coach_id = p_event.data ->> 'coach_id' AND engine.zulu(start_time) = p_event.data ->> 'start_time'
       AND NOT engine.may_have_blocked(p_delivery.delivery_id)
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN engine.emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;

-- Takes back a conflict that is none: what refused the block was the same block, sent twice, which the appointment has now.
-- Subscribers are told that the appointment changed. Returns the messages that the queue must get.
CREATE OR REPLACE FUNCTION engine.clear_conflict(
    p_delivery webhook_deliveries, p_event webhook_events, p_block text, p_at timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments
       SET conflict = false, conflict_delivery = NULL, version = version + 1, updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND conflict AND conflict_delivery = p_delivery.delivery_id
       AND external_calendar_id = p_block
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN engine.emit_event('appointment.updated', a, a) ELSE '[]' END;
END $$;

-- Marks an appointment whose coach is not there; returns the messages that the queue must get. What a refused block made a
-- conflict stays one from now on, whatever becomes of the block.
CREATE OR REPLACE FUNCTION engine.mark_unavailable(p_appointment uuid, p_now timestamptz)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments SET conflict_delivery = NULL
     WHERE appointment_id = p_appointment AND conflict_delivery IS NOT NULL;
    UPDATE coach_appointments SET conflict = true, version = version + 1, updated_at = p_now
     WHERE appointment_id = p_appointment AND NOT conflict
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN engine.emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;
