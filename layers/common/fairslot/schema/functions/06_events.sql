-- Events: writing them, and the messages that are sent of them.

-- Whether patterns such as appointment.* match an event type. No subquery: it would not be inlined.
CREATE OR REPLACE FUNCTION engine.matches_type(p_patterns text[], p_type text)
    RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN p_patterns && ARRAY[p_type, split_part(p_type, '.', 1) || '.*', '*'];

-- The queue message of a delivery. Subscribers (kind standard) get no personal data.
CREATE OR REPLACE FUNCTION engine.delivery_message(d webhook_deliveries, event webhook_events, endpoint webhook_endpoints)
    RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
           'delivery_id', d.delivery_id, 'event_id', event.event_id, 'kind', endpoint.kind,
           'url', endpoint.url, 'type', event.type, 'timestamp', engine.zulu(event.created_at), 'version', event.version,
           'endpoint_id', endpoint.endpoint_id, 'revision', endpoint.revision, 'round', d.round,
           'concurrency', endpoint.concurrency, 'rate_per_second', endpoint.rate_per_second,
           'data', CASE WHEN endpoint.kind = 'standard' AND event.appointment_id IS NOT NULL
               THEN event.data - '{contact_name,contact_email,contact_id,timezone,reason}'::text[]
               ELSE event.data || d.params END)
       || CASE endpoint.kind WHEN 'standard' THEN jsonb_build_object(
              'headers', endpoint.headers,
              'secrets', CASE WHEN endpoint.older_secrets = '[]' THEN jsonb_build_array(endpoint.secret)
                              ELSE jsonb_build_array(endpoint.secret) || jsonb_path_query_array(
                                  engine.earlier_secrets(endpoint.older_secrets, now()), '$[*].secret') END)
          ELSE '{}' END;

-- The queue message of each delivery, to be filtered by its columns: Postgres inlines it like a view.
CREATE OR REPLACE FUNCTION engine.delivery_messages() RETURNS TABLE (delivery_id uuid, event_id uuid, message jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT delivery.delivery_id, delivery.event_id, engine.delivery_message(d => delivery, event => event,
                                                                            endpoint => endpoint)
      FROM webhook_deliveries AS delivery
      JOIN webhook_events AS event USING (event_id)
      JOIN webhook_endpoints AS endpoint USING (endpoint_id)
$$;

-- What the calendar API must do about a change of an appointment: release the block of the old time, make one for the
-- new. Each action names the coach and the time.
CREATE OR REPLACE FUNCTION engine.calendar_actions(p_old coach_appointments, a coach_appointments) RETURNS SETOF jsonb
    LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('action', 'release', 'coach_id', p_old.coach_id, 'block_id', p_old.external_calendar_id,
                              'start_time', engine.zulu(p_old.start_time), 'end_time', engine.zulu(p_old.end_time))
     WHERE p_old.external_calendar_id IS NOT NULL
       AND (a.status = 'cancelled' OR (p_old.coach_id, p_old.takes) IS DISTINCT FROM (a.coach_id, a.takes))
    UNION ALL
    SELECT jsonb_build_object('action', 'block', 'coach_id', a.coach_id,
                              'start_time', engine.zulu(a.start_time), 'end_time', engine.zulu(a.end_time))
      FROM coaches AS coach
     WHERE coach.coach_id = a.coach_id AND coach.calendar_kind = 'calendar_api' AND a.status = 'scheduled'
       AND (p_old.coach_id, p_old.takes) IS DISTINCT FROM (a.coach_id, a.takes)
$$;

-- Writes an event and a delivery for every endpoint that subscribes to it; returns the messages for the queue. p_old is
-- the appointment before the change, or null; p_extra is added to the event's data.
CREATE OR REPLACE FUNCTION engine.emit_event(
    p_type text, a coach_appointments, p_old coach_appointments, p_extra jsonb DEFAULT '{}'
) RETURNS jsonb LANGUAGE plpgsql AS $$
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
        'start_time', engine.zulu(a.start_time), 'end_time', engine.zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version,
        'contact_name', a.contact_name, 'contact_email', a.contact_email, 'contact_id', a.crm_contact_id) || p_extra)
    RETURNING * INTO v_event;
    FOR v_endpoint IN
        SELECT * FROM webhook_endpoints WHERE tenant_id = a.tenant_id AND enabled AND engine.matches_type(event_types, p_type)
    LOOP
        IF v_endpoint.kind <> 'calendar_api' THEN
            INSERT INTO webhook_deliveries (event_id, endpoint_id) VALUES (v_event.event_id, v_endpoint.endpoint_id)
            RETURNING * INTO v_delivery;
            v_messages := v_messages || engine.delivery_message(d => v_delivery, event => v_event, endpoint => v_endpoint);
        ELSE
            FOR v_params IN SELECT action FROM engine.calendar_actions(p_old, a) AS action LOOP
                INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
                VALUES (v_event.event_id, v_endpoint.endpoint_id, v_params)
                RETURNING * INTO v_delivery;
                v_messages := v_messages || engine.delivery_message(d => v_delivery, event => v_event,
                                                                    endpoint => v_endpoint);
            END LOOP;
        END IF;
    END LOOP;
    RETURN v_messages;
END $$;

-- Writes an event that is not about an appointment, for the subscribers of its type without p_except, or for p_only
-- alone whatever it subscribes to; returns the messages for the queue.
CREATE OR REPLACE FUNCTION engine.emit_tenant_event(
    p_tenant text, p_type text, p_data jsonb, p_except uuid DEFAULT NULL, p_only uuid DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_event uuid;
BEGIN
    INSERT INTO webhook_events (tenant_id, type, version, data) VALUES (p_tenant, p_type, 1, p_data)
    RETURNING event_id INTO v_event;
    INSERT INTO webhook_deliveries (event_id, endpoint_id)
    SELECT v_event, endpoint_id FROM webhook_endpoints
     WHERE tenant_id = p_tenant AND kind = 'standard' AND enabled AND endpoint_id IS DISTINCT FROM p_except
       AND CASE WHEN p_only IS NULL THEN engine.matches_type(event_types, p_type) ELSE endpoint_id = p_only END;
    RETURN (SELECT coalesce(jsonb_agg(message), '[]') FROM engine.delivery_messages() WHERE event_id = v_event);
END $$;

-- Notes that deliveries are on the queue. It does not wait for the disk: if a crash loses the note, they are only sent
-- again.
CREATE OR REPLACE FUNCTION engine.mark_published(p_deliveries uuid[], p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE webhook_deliveries SET published_at = p_now
     WHERE delivery_id = ANY (p_deliveries) AND published_at IS NULL;
END $$;

-- Sends deliveries again that were held back; returns the messages for the queue. Attempts go on being counted.
CREATE OR REPLACE FUNCTION engine.requeue_deliveries(p_deliveries uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_deliveries SET reason = NULL, published_at = NULL, next_attempt_at = NULL
     WHERE delivery_id = ANY (p_deliveries);
    RETURN (SELECT coalesce(jsonb_agg(one.message || jsonb_build_object('attempts', (
                SELECT attempt FROM webhook_attempts AS made
                 WHERE made.delivery_id = one.delivery_id ORDER BY at DESC LIMIT 1))), '[]')
              FROM engine.delivery_messages() AS one WHERE one.delivery_id = ANY (p_deliveries));
END $$;
