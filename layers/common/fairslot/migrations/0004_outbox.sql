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

-- What the queue carries for a delivery. The block's id is read now: it may be younger than the event.
CREATE VIEW delivery_messages AS
SELECT delivery.delivery_id, delivery.event_id,
       jsonb_build_object(
           'delivery_id', delivery.delivery_id, 'event_id', event.event_id, 'kind', endpoint.kind,
           'url', endpoint.url, 'type', event.type, 'timestamp', zulu(event.created_at), 'version', event.version,
           'data', event.data || jsonb_build_object('block_id', appointment.external_calendar_id)) AS message
  FROM webhook_deliveries AS delivery
  JOIN webhook_events AS event USING (event_id)
  JOIN webhook_endpoints AS endpoint USING (endpoint_id)
  LEFT JOIN coach_appointments AS appointment USING (appointment_id);

-- Writes an event and a delivery for every endpoint that wants it; returns the messages that the queue must get.
-- Only a coach whose calendar is behind the calendar API is blocked there, and only what was blocked is released.
CREATE FUNCTION emit_event(p_type text, a coach_appointments) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_event uuid;
BEGIN
    INSERT INTO webhook_events (tenant_id, type, appointment_id, version, data)
    VALUES (a.tenant_id, p_type, a.appointment_id, a.version, jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version,
        'contact_name', a.contact_name, 'contact_email', a.contact_email, 'contact_id', a.crm_contact_id))
    RETURNING event_id INTO v_event;
    INSERT INTO webhook_deliveries (event_id, endpoint_id)
    SELECT v_event, endpoint.endpoint_id
      FROM webhook_endpoints AS endpoint
     WHERE endpoint.tenant_id = a.tenant_id AND endpoint.enabled
       AND EXISTS (SELECT FROM unnest(endpoint.event_types) AS pattern WHERE p_type LIKE replace(pattern, '*', '%'))
       AND (endpoint.kind <> 'calendar_api'
            OR (EXISTS (SELECT FROM coaches WHERE coach_id = a.coach_id AND calendar_kind = 'calendar_api')
                AND (p_type = 'appointment.created' OR a.external_calendar_id IS NOT NULL)));
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

-- Records one attempt of a delivery and what the partner's answer means for the appointment.
-- Returns {"messages": [to publish], "sync": coach whose calendar changed or null}.
CREATE FUNCTION record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_delivery webhook_deliveries;
    v_kind     text;
    v_event    webhook_events;
    v_new      uuid;
    a          coach_appointments;
BEGIN
    SELECT * INTO v_delivery FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt)
    VALUES (p_delivery, p_attempt, p_at, p_outcome, p_status_code, p_latency_ms, p_error, p_excerpt)
    ON CONFLICT DO NOTHING;
    -- Results may come late or twice: what was delivered stays delivered, and a success undoes a failure.
    IF NOT FOUND OR v_delivery.status IN ('delivered', 'cancelled') THEN
        RETURN '{"messages": [], "sync": null}';
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
    ELSIF v_kind = 'calendar_api' AND v_event.type = 'appointment.created' AND p_answer ->> 'block_id' IS NOT NULL THEN
        UPDATE coach_appointments SET external_calendar_id = p_answer ->> 'block_id'
         WHERE appointment_id = v_event.appointment_id
        RETURNING * INTO a;
        IF a.status = 'cancelled' THEN
            -- It was cancelled while the block was on its way: release it under the event that said so.
            INSERT INTO webhook_deliveries (event_id, endpoint_id)
            SELECT event_id, v_delivery.endpoint_id FROM webhook_events
             WHERE appointment_id = a.appointment_id AND type = 'appointment.cancelled'
            RETURNING event_id INTO v_new;
            RETURN jsonb_build_object('sync', NULL, 'messages', (
                SELECT coalesce(jsonb_agg(message), '[]') FROM delivery_messages AS outgoing
                  JOIN webhook_deliveries AS fresh USING (delivery_id)
                 WHERE outgoing.event_id = v_new AND fresh.endpoint_id = v_delivery.endpoint_id));
        END IF;
    ELSIF v_kind = 'calendar_api' AND p_error = 'already_blocked' THEN
        -- After an attempt that ended without an answer the block may well be our own.
        UPDATE coach_appointments AS appointment
           SET conflict = true, version = version + 1, updated_at = p_at
         WHERE appointment_id = v_event.appointment_id AND status = 'scheduled' AND NOT conflict
           AND NOT EXISTS (SELECT FROM webhook_attempts
                            WHERE delivery_id = p_delivery AND error IN ('timeout', 'connection'))
        RETURNING * INTO a;
        IF FOUND THEN
            RETURN jsonb_build_object('sync', a.coach_id, 'messages', emit_event('appointment.conflict', a));
        END IF;
    ELSIF v_kind = 'calendar_api' AND v_event.type = 'appointment.cancelled' AND p_outcome = 'delivered' THEN
        RETURN jsonb_build_object('sync', v_event.data ->> 'coach_id', 'messages', '[]'::jsonb);
    END IF;
    RETURN '{"messages": [], "sync": null}';
END $$;
