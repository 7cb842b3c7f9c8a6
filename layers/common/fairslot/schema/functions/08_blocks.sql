-- The blocks that the calendar API holds for appointments, and conflicts with time taken elsewhere: docs/decisions/0073.

-- Orders the writers of what a coach's external calendar allows and of what it is asked to do. It is taken before any
-- other lock, so that what is read afterwards stays true.
CREATE OR REPLACE FUNCTION engine.lock_external_calendar(p_coach text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(p_coach, 2))
$$;

-- The deliveries that ask or asked the calendar API for something about a coach's time in a span, and those that changes
-- will have whose deliveries are not made yet: pending ones without an id. In one statement, so that none is missed while it
-- is made. Every delivery of a block asks for it, twice: it is planned once, as planning takes longer than ten bookings'
-- rows. Each row is found by an index, however few there are; nothing takes longer than a day, so that the coach's later
-- time is not read.
CREATE OR REPLACE FUNCTION engine.overlapping_calendar_actions(p_coach text, p_from timestamptz, p_to timestamptz)
    RETURNS SETOF webhook_deliveries LANGUAGE plpgsql STABLE ROWS 1
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM webhook_deliveries
     WHERE params ? 'action' AND params ->> 'coach_id' = p_coach
       AND (params ->> 'end_time') COLLATE "C" > engine.zulu(p_from)
       AND (params ->> 'end_time') COLLATE "C" <= engine.zulu(p_to + interval '1 day')
       AND params ->> 'start_time' < engine.zulu(p_to) COLLATE "C"
    UNION ALL
    SELECT (jsonb_populate_record(NULL::webhook_deliveries, jsonb_build_object(
               'event_id', c.change_id, 'endpoint_id', plan.endpoint_id, 'params', plan.params, 'status', 'pending'))).*
      FROM changes AS c
      LEFT JOIN coaches AS coach ON coach.coach_id = (c.after).coach_id
     CROSS JOIN LATERAL engine.deliveries_of(c, coach.calendar_kind) AS plan
     WHERE NOT c.told AND p_coach IN ((c.before).coach_id, (c.after).coach_id)
       AND plan.params ->> 'coach_id' = p_coach AND (plan.params ->> 'end_time') COLLATE "C" > engine.zulu(p_from)
       AND plan.params ->> 'start_time' < engine.zulu(p_to) COLLATE "C";
END $$;

-- The other deliveries about the same coach that overlap a delivery's time.
CREATE OR REPLACE FUNCTION engine.actions_overlapping_delivery(d webhook_deliveries) RETURNS SETOF webhook_deliveries
    LANGUAGE sql STABLE AS $$
    SELECT other.* FROM engine.overlapping_calendar_actions(
               p_coach => d.params ->> 'coach_id', p_from => (d.params ->> 'start_time')::timestamptz,
               p_to => (d.params ->> 'end_time')::timestamptz) AS other
     WHERE other.delivery_id IS DISTINCT FROM d.delivery_id
$$;

-- When the answer arrived that delivered a delivery.
CREATE OR REPLACE FUNCTION engine.answered_at(p_delivery uuid) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT max(at + latency_ms * interval '1 ms') FROM webhook_attempts
     WHERE delivery_id = p_delivery AND outcome = 'delivered'
$$;

-- Whether a block that was refused by p_at may have met a block of ours: "awaits_release" while another action over its
-- time is under way, "released" if a block was released after the attempt began (clocks may be a second apart), else
-- null. Also null if the block is no longer needed: then the time was taken outside this system.
CREATE OR REPLACE FUNCTION engine.release_state(d webhook_deliveries, p_at timestamptz)
    RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN bool_or(other.status = 'pending') THEN 'awaits_release' WHEN count(*) > 0 THEN 'released' END
      FROM engine.actions_overlapping_delivery(d) AS other
       -- Two that wait for each other would wait for ever.
     WHERE (other.status = 'pending' AND other.reason IS DISTINCT FROM 'awaits_release'
            OR other.status = 'delivered' AND other.params ->> 'action' = 'release'
               AND engine.answered_at(other.delivery_id) > p_at - interval '1 second')
       AND EXISTS (SELECT FROM changes AS event JOIN coach_appointments AS a USING (appointment_id)
                    WHERE event.change_id = d.event_id AND a.status = 'scheduled' AND a.external_calendar_id IS NULL
                      AND a.coach_id = d.params ->> 'coach_id' AND engine.zulu(a.start_time) = d.params ->> 'start_time')
$$;

-- Whether the calendar may have a block that we do not know of: a result is missing, or an attempt ended without an
-- answer or with one that may follow a change. Every attempt but a round's first has one before it that was to be
-- retried; if that one is not on record, its process died, or its result is still on its way.
CREATE OR REPLACE FUNCTION engine.may_have_blocked(d webhook_deliveries) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT d.results_missing OR EXISTS (
        SELECT FROM webhook_attempts AS made
         WHERE made.delivery_id = d.delivery_id
           AND (made.error IN ('timeout', 'connection', 'invalid_body', 'internal')
                OR made.error ~ '^http_5' AND made.error NOT IN ('http_501', 'http_503')
                OR made.attempt > 1 AND NOT EXISTS (
                    SELECT FROM webhook_attempts AS before
                     WHERE before.delivery_id = d.delivery_id AND before.attempt = made.attempt - 1
                       AND before.outcome = 'retrying' AND before.round = made.round)))
$$;

-- Whether an appointment still stands at the time of a delivery's block.
CREATE OR REPLACE FUNCTION engine.block_is_needed(d webhook_deliveries) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM changes AS event JOIN coach_appointments AS a USING (appointment_id)
                    WHERE event.change_id = d.event_id AND a.status <> 'cancelled' AND a.coach_id = d.params ->> 'coach_id'
                      AND engine.zulu(a.start_time) = d.params ->> 'start_time')
$$;

-- Whether a block at a delivery's time belongs to another appointment or is being released.
CREATE OR REPLACE FUNCTION engine.belongs_to_another(d webhook_deliveries, p_block text)
    RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM coach_appointments AS a
                    WHERE a.coach_id = d.params ->> 'coach_id' AND a.start_time = (d.params ->> 'start_time')::timestamptz
                      AND a.external_calendar_id = p_block
                      AND a.appointment_id <> (SELECT appointment_id FROM changes WHERE change_id = d.event_id))
        OR EXISTS (SELECT FROM engine.actions_overlapping_delivery(d) AS other
                    WHERE other.params ->> 'action' = 'release' AND other.params ->> 'block_id' = p_block)
$$;

-- Other deliveries over a delivery's time whose blocks may be in the calendar without our knowing.
CREATE OR REPLACE FUNCTION engine.unconfirmed_overlapping(d webhook_deliveries) RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT other.delivery_id
                   FROM engine.actions_overlapping_delivery(d) AS other
                  WHERE other.unconfirmed_since IS NOT NULL
                  ORDER BY other.delivery_id)
$$;

-- What a calendar's refusal means. p_listed is the block at that very time in the partner's list: '' if there is none,
-- null if the list is not available. "ours": the block is this delivery's; "awaits_release" and "released": as
-- release_state() says; "block_unconfirmed": it may be ours, or another appointment's unconfirmed block;
-- "already_blocked": the time was taken outside this system.
CREATE OR REPLACE FUNCTION engine.classify_refusal(d webhook_deliveries, p_at timestamptz, p_listed text)
    RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_may    boolean := engine.may_have_blocked(d);
    v_awaits text;
BEGIN
    IF v_may AND p_listed <> '' AND NOT engine.belongs_to_another(d, p_listed) THEN
        RETURN 'ours';
    END IF;
    v_awaits := engine.release_state(d, p_at);
    IF v_awaits IS NOT NULL THEN
        RETURN v_awaits;
    ELSIF v_may AND p_listed IS NULL OR engine.unconfirmed_overlapping(d) <> '{}' THEN
        RETURN 'block_unconfirmed';
    END IF;
    RETURN 'already_blocked';
END $$;

-- Whether another copy of a delivered block's message may still be on its way. Once the first block is released, the copy
-- makes another, and its result may be lost like any other.
CREATE OR REPLACE FUNCTION engine.may_have_copy(d webhook_deliveries) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT d.status = 'delivered' AND d.results_missing AND d.params ->> 'action' = 'block'
$$;

-- Notes that a block became unconfirmed, or no longer is, whatever ends its delivery. The block that another copy may
-- make is looked for once the appointment is gone; until then the appointment's own block is known, and in its way.
CREATE OR REPLACE FUNCTION engine.note_unconfirmed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_was boolean := OLD.unconfirmed_since IS NOT NULL AND OLD.status <> 'delivered';
    v_is  boolean;
BEGIN
    NEW.unconfirmed_since := CASE
        WHEN NEW.status = 'pending' THEN OLD.unconfirmed_since
        WHEN engine.may_have_copy(NEW)
             OR NEW.status <> 'delivered' AND NEW.reason IS DISTINCT FROM 'already_blocked'
                AND (NEW.reason = 'block_unconfirmed' OR engine.may_have_blocked(NEW))
        THEN coalesce(OLD.unconfirmed_since, NEW.finished_at, now()) END;
    v_is := NEW.unconfirmed_since IS NOT NULL AND NEW.status <> 'delivered';
    IF v_is <> v_was THEN
        UPDATE coach_appointments AS a
           SET block_unconfirmed = v_is OR EXISTS (
               SELECT FROM changes AS event JOIN webhook_deliveries AS other ON other.event_id = event.change_id
                WHERE event.appointment_id = a.appointment_id AND other.delivery_id <> NEW.delivery_id
                  AND other.unconfirmed_since IS NOT NULL AND other.status <> 'delivered')
         WHERE a.appointment_id = (SELECT appointment_id FROM changes WHERE change_id = NEW.event_id);
    END IF;
    RETURN NEW;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'webhook_deliveries_unconfirmed') THEN
        CREATE TRIGGER webhook_deliveries_unconfirmed BEFORE UPDATE ON webhook_deliveries
            FOR EACH ROW WHEN (NEW.params ->> 'action' IN ('block', 'find')
                               AND (NEW.status, NEW.reason) IS DISTINCT FROM (OLD.status, OLD.reason))
            EXECUTE FUNCTION engine.note_unconfirmed();
    END IF;
END $$;

-- Begins a round that makes no block and only looks for one that is no longer needed; returns the messages for the
-- queue.
CREATE OR REPLACE FUNCTION engine.find_blocks(p_deliveries uuid[], p_now timestamptz)
    RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_deliveries
       SET params = params || '{"action": "find"}', status = 'pending', round = round + 1, replayed_at = p_now,
           looked_at = p_now, published_at = NULL, next_attempt_at = NULL, finished_at = NULL, reason = NULL
     WHERE delivery_id = ANY (p_deliveries) AND status <> 'pending';
    RETURN (SELECT coalesce(jsonb_agg(message), '[]')
              FROM engine.delivery_messages() JOIN webhook_deliveries USING (delivery_id)
             WHERE delivery_id = ANY (p_deliveries) AND looked_at = p_now);
END $$;

-- Stores the calendar's block with the event's appointment, or releases it if the appointment has moved on or has
-- another; a block that belongs to another appointment or is being released stays. Returns the messages for the queue.
CREATE OR REPLACE FUNCTION engine.attach_block(p_delivery webhook_deliveries, p_event changes, p_block text)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_release uuid;
BEGIN
    IF engine.belongs_to_another(p_delivery, p_block) THEN
        RETURN '[]';
    END IF;
    UPDATE coach_appointments AS a SET external_calendar_id = p_block
     WHERE a.appointment_id = p_event.appointment_id AND a.status <> 'cancelled'
       AND (a.coach_id, a.start_time) = ((p_event.after).coach_id, (p_event.after).start_time)
       AND coalesce(a.external_calendar_id, p_block) = p_block;
    IF FOUND THEN
        RETURN '[]';
    END IF;
    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    VALUES (p_event.change_id, p_delivery.endpoint_id,
            p_delivery.params || jsonb_build_object('action', 'release', 'block_id', p_block))
    RETURNING delivery_id INTO v_release;
    RETURN (SELECT jsonb_agg(message) FROM engine.delivery_messages() WHERE delivery_id = v_release);
END $$;

-- Marks an appointment whose time was taken outside this system, and notes which refusal says so; returns whether it did.
-- An appointment that has its block is no conflict.
CREATE OR REPLACE FUNCTION engine.mark_conflict(p_delivery webhook_deliveries, p_event changes, p_at timestamptz)
    RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    PERFORM engine.lock_calendar(calendar_id) FROM coach_appointments WHERE appointment_id = p_event.appointment_id;
    UPDATE coach_appointments AS appointment
       SET conflict = true, conflict_delivery = p_delivery.delivery_id, version = version + 1,
           updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND status = 'scheduled' AND NOT conflict AND external_calendar_id IS NULL
       AND (coach_id, start_time) = ((p_event.after).coach_id, (p_event.after).start_time)
    RETURNING * INTO a;
    IF FOUND THEN
        PERFORM engine.record_change(p_tenant => a.tenant_id, p_type => 'appointment.conflict', p_before => a, p_after => a);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Ends the doubt about an unconfirmed block once every attempt is on record and none can have made it: then what ended
-- the delivery stands. Returns whether the appointment became a conflict.
CREATE OR REPLACE FUNCTION engine.resolve_unconfirmed(p_delivery uuid, p_event changes, p_at timestamptz)
    RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    d       webhook_deliveries;
    v_error text;
BEGIN
    SELECT * INTO d FROM webhook_deliveries WHERE delivery_id = p_delivery;
    IF d.status <> 'failed' OR d.unconfirmed_since IS NULL OR engine.may_have_blocked(d)
       OR engine.unconfirmed_overlapping(d) <> '{}' THEN
        RETURN false;
    END IF;
    SELECT error INTO v_error FROM webhook_attempts
     WHERE delivery_id = p_delivery AND outcome = 'failed' AND round = d.round ORDER BY at DESC LIMIT 1;
    UPDATE webhook_deliveries SET reason = v_error WHERE delivery_id = p_delivery;
    RETURN v_error = 'already_blocked' AND engine.mark_conflict(p_delivery => d, p_event => p_event, p_at => p_at);
END $$;

-- Clears a conflict whose refusal came from the appointment's own block, sent twice; subscribers get
-- appointment.updated. Returns whether it did.
CREATE OR REPLACE FUNCTION engine.clear_conflict(
    p_delivery webhook_deliveries, p_event changes, p_block text, p_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    PERFORM engine.lock_calendar(calendar_id) FROM coach_appointments WHERE appointment_id = p_event.appointment_id;
    UPDATE coach_appointments
       SET conflict = false, conflict_delivery = NULL, version = version + 1, updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND conflict AND conflict_delivery = p_delivery.delivery_id
       AND external_calendar_id = p_block
    RETURNING * INTO a;
    IF FOUND THEN
        PERFORM engine.record_change(p_tenant => a.tenant_id, p_type => 'appointment.updated', p_before => a, p_after => a);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Marks an appointment whose coach is away. If a refused block had made it a conflict, it now stays one whatever becomes of
-- the block.
CREATE OR REPLACE FUNCTION engine.mark_unavailable(p_appointment uuid, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments SET conflict_delivery = NULL
     WHERE appointment_id = p_appointment AND conflict_delivery IS NOT NULL;
    UPDATE coach_appointments SET conflict = true, version = version + 1, updated_at = p_now
     WHERE appointment_id = p_appointment AND NOT conflict
    RETURNING * INTO a;
    IF FOUND THEN
        PERFORM engine.record_change(p_tenant => a.tenant_id, p_type => 'appointment.conflict', p_before => a, p_after => a);
    END IF;
END $$;
