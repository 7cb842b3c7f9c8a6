-- Events: how they are written, what is sent of them, and what comes back.

CREATE FUNCTION appointment_json(a coach_appointments) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'contact_name', a.contact_name, 'contact_email', a.contact_email,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version, 'notes', a.notes, 'metadata', a.metadata,
        'crm_contact_id', a.crm_contact_id, 'external_calendar_id', a.external_calendar_id,
        'conflict', a.conflict, 'created_at', zulu(a.created_at), 'updated_at', zulu(a.updated_at),
        'cancelled_at', zulu(a.cancelled_at));

-- What the queue carries for a delivery.
CREATE VIEW delivery_messages AS
SELECT delivery.delivery_id, delivery.event_id,
       jsonb_build_object(
           'delivery_id', delivery.delivery_id, 'event_id', event.event_id, 'kind', endpoint.kind,
           'url', endpoint.url, 'type', event.type, 'timestamp', zulu(event.created_at), 'version', event.version,
           'data', event.data || delivery.params) AS message
  FROM webhook_deliveries AS delivery
  JOIN webhook_events AS event USING (event_id)
  JOIN webhook_endpoints AS endpoint USING (endpoint_id);

-- What the calendar API has to do when an appointment goes from p_old to a: release the block that it gave, and
-- block the time that is taken now. A block that is still on its way is released by whoever records it.
CREATE FUNCTION calendar_actions(p_old coach_appointments, a coach_appointments) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('action', 'release', 'coach_id', p_old.coach_id, 'block_id', p_old.external_calendar_id)
     WHERE p_old.external_calendar_id IS NOT NULL
       AND (a.status = 'cancelled' OR (p_old.coach_id, p_old.takes) IS DISTINCT FROM (a.coach_id, a.takes))
    UNION ALL
    SELECT jsonb_build_object('action', 'block')
      FROM coaches AS coach
     WHERE coach.coach_id = a.coach_id AND coach.calendar_kind = 'calendar_api' AND a.status = 'scheduled'
       AND (p_old.coach_id, p_old.takes) IS DISTINCT FROM (a.coach_id, a.takes)
$$;

-- Writes an event and a delivery for every endpoint that wants it; returns the messages that the queue must get.
-- p_old is the appointment before the change (null: there was none); p_more goes into the event's data.
CREATE FUNCTION emit_event(p_type text, a coach_appointments, p_old coach_appointments, p_more jsonb DEFAULT '{}')
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_event uuid;
BEGIN
    INSERT INTO webhook_events (tenant_id, type, appointment_id, version, data)
    VALUES (a.tenant_id, p_type, a.appointment_id, a.version, jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version,
        'contact_name', a.contact_name, 'contact_email', a.contact_email, 'contact_id', a.crm_contact_id) || p_more)
    RETURNING event_id INTO v_event;
    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    SELECT v_event, endpoint.endpoint_id, told.params
      FROM webhook_endpoints AS endpoint
     CROSS JOIN LATERAL (
        SELECT '{}'::jsonb AS params WHERE endpoint.kind <> 'calendar_api'
         UNION ALL
        SELECT action FROM calendar_actions(p_old, a) AS action WHERE endpoint.kind = 'calendar_api') AS told
     WHERE endpoint.tenant_id = a.tenant_id AND endpoint.enabled
       AND EXISTS (SELECT FROM unnest(endpoint.event_types) AS pattern WHERE p_type LIKE replace(pattern, '*', '%'));
    RETURN (SELECT coalesce(jsonb_agg(message), '[]') FROM delivery_messages WHERE event_id = v_event);
END $$;

-- Notes that deliveries are on the queue. Losing this note in a crash only sends them once more, so it does not
-- wait for the disk.
CREATE FUNCTION mark_published(p_deliveries uuid[], p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE webhook_deliveries SET published_at = p_now
     WHERE delivery_id = ANY (p_deliveries) AND published_at IS NULL;
END $$;

-- Keeps the block that the calendar gave for an event, or has it released when the appointment has moved on
-- meanwhile; returns the messages that the queue must get.
CREATE FUNCTION keep_block(p_delivery webhook_deliveries, p_event webhook_events, p_block text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_release uuid;
BEGIN
    UPDATE coach_appointments AS a SET external_calendar_id = p_block
     WHERE a.appointment_id = p_event.appointment_id AND a.status <> 'cancelled'
       AND a.coach_id = p_event.data ->> 'coach_id' AND zulu(a.start_time) = p_event.data ->> 'start_time';
    IF FOUND THEN
        RETURN '[]';
    END IF;
    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    VALUES (p_event.event_id, p_delivery.endpoint_id, jsonb_build_object(
        'action', 'release', 'coach_id', p_event.data ->> 'coach_id', 'block_id', p_block))
    RETURNING delivery_id INTO v_release;
    RETURN (SELECT jsonb_agg(message) FROM delivery_messages WHERE delivery_id = v_release);
END $$;

-- Marks an appointment whose time somebody took outside this system; returns the messages that the queue must get.
-- After an attempt that ended without an answer the block may well be our own.
CREATE FUNCTION mark_conflict(p_delivery webhook_deliveries, p_event webhook_events, p_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments AS appointment
       SET conflict = true, version = version + 1, updated_at = p_at
     WHERE appointment_id = p_event.appointment_id AND status = 'scheduled' AND NOT conflict
       AND coach_id = p_event.data ->> 'coach_id' AND zulu(start_time) = p_event.data ->> 'start_time'
       AND NOT EXISTS (SELECT FROM webhook_attempts
                        WHERE delivery_id = p_delivery.delivery_id AND error IN ('timeout', 'connection', 'invalid_body'))
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;

-- Records one attempt of a delivery and what the partner's answer means for the appointment.
-- Returns {"messages": [to publish], "sync": coach whose calendar should be read again, or null}.
CREATE FUNCTION record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_nothing  jsonb := '{"messages": [], "sync": null}';
    v_delivery webhook_deliveries;
    v_kind     text;
    v_event    webhook_events;
BEGIN
    SELECT * INTO v_delivery FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN v_nothing;
    END IF;
    INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt)
    VALUES (p_delivery, p_attempt, p_at, p_outcome, p_status_code, p_latency_ms, p_error, p_excerpt)
    ON CONFLICT DO NOTHING;
    -- Results may come late or twice: what was delivered stays delivered, and a success undoes a failure.
    IF NOT FOUND OR v_delivery.status IN ('delivered', 'cancelled') THEN
        RETURN v_nothing;
    END IF;
    UPDATE webhook_deliveries
       SET status = CASE p_outcome WHEN 'retrying' THEN status ELSE p_outcome END,
           published_at = coalesce(published_at, p_at),
           next_attempt_at = p_next,
           finished_at = CASE WHEN p_outcome <> 'retrying' THEN p_at END
     WHERE delivery_id = p_delivery;
    SELECT kind INTO v_kind FROM webhook_endpoints WHERE endpoint_id = v_delivery.endpoint_id;
    SELECT * INTO v_event FROM webhook_events WHERE event_id = v_delivery.event_id;

    IF v_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = v_event.appointment_id AND crm_contact_id IS NULL;
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_answer ->> 'block_id' IS NOT NULL THEN
        RETURN v_nothing || jsonb_build_object('messages', keep_block(v_delivery, v_event, p_answer ->> 'block_id'));
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_error = 'already_blocked' THEN
        RETURN jsonb_build_object('messages', mark_conflict(v_delivery, v_event, p_at), 'sync', v_event.data ->> 'coach_id');
    ELSIF v_delivery.params ->> 'action' = 'release' AND p_outcome = 'delivered' THEN
        -- What the last reading took for busy was this block.
        RETURN v_nothing || jsonb_build_object('sync', v_delivery.params ->> 'coach_id');
    END IF;
    RETURN v_nothing;
END $$;
