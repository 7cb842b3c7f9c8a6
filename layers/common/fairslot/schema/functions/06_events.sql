-- Events: their deliveries, and the messages that are sent of them.

-- Whether patterns such as appointment.* match an event type. No subquery: it would not be inlined.
CREATE OR REPLACE FUNCTION engine.matches_type(p_patterns text[], p_type text)
    RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN p_patterns && ARRAY[p_type, split_part(p_type, '.', 1) || '.*', '*'];

-- What an event says.
CREATE OR REPLACE FUNCTION engine.event_data(c changes) RETURNS jsonb LANGUAGE sql STABLE
    RETURN CASE WHEN c.appointment_id IS NULL THEN c.details ELSE jsonb_build_object(
        'appointment_id', c.appointment_id, 'calendar_id', (c.after).calendar_id, 'coach_id', (c.after).coach_id,
        'start_time', engine.zulu((c.after).start_time), 'end_time', engine.zulu((c.after).end_time),
        'timezone', (c.after).timezone, 'status', (c.after).status, 'version', c.version,
        'contact_name', (c.after).contact_name, 'contact_email', (c.after).contact_email,
        'contact_id', (c.after).crm_contact_id) || coalesce(c.details, '{}') END;

-- Whether a message names the customer: the CRM alone is told who it is, once, with the booking.
CREATE OR REPLACE FUNCTION engine.carries_contact(p_kind text, p_type text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN p_kind = 'crm' AND p_type = 'appointment.created';

-- What the messages of deliveries to every kind of endpoint have. Personal data is where it is needed alone.
CREATE OR REPLACE FUNCTION engine.message_to_any(
    p_delivery uuid, p_params jsonb, p_round integer, event changes, endpoint webhook_endpoints, p_data jsonb
) RETURNS json LANGUAGE sql STABLE
    RETURN json_build_object(
        'delivery_id', p_delivery, 'event_id', event.change_id, 'kind', endpoint.kind,
        'url', endpoint.url, 'type', event.type, 'timestamp', engine.zulu(event.at), 'version', coalesce(event.version, 1),
        'endpoint_id', endpoint.endpoint_id, 'revision', endpoint.revision, 'round', p_round,
        'concurrency', endpoint.concurrency, 'rate_per_second', endpoint.rate_per_second,
        'data', CASE WHEN event.appointment_id IS NULL THEN p_data || p_params
                     WHEN endpoint.kind = 'standard'
                     THEN p_data - '{contact_name,contact_email,contact_id,timezone,reason}'::text[]
                     WHEN engine.carries_contact(p_kind => endpoint.kind, p_type => event.type) THEN p_data || p_params
                     ELSE p_data - '{contact_name,contact_email,timezone,reason}'::text[] || p_params END);

-- What is to be written by a delivery, as the dispatcher needs it: nothing ("none") if it is not the one under way, as when an
-- old one is sent again. p_params are the delivery's.
CREATE OR REPLACE FUNCTION engine.calendar_event_data(p_delivery uuid, p_params jsonb) RETURNS jsonb LANGUAGE sql STABLE
    RETURN coalesce(
        (SELECT p_params || jsonb_build_object(
                    'kind', source.kind, 'url', source.url, 'calendar_ref', source.calendar_ref,
                    'credentials', source.credentials, 'source_generation', source.generation, 'time_zone', coach.time_zone,
                    'ref', CASE WHEN event.generation = (p_params ->> 'generation')::integer THEN event.ref END,
                    'title', 'Booked: ' || calendar.name)
           FROM calendar_events AS event
           JOIN calendar_sources AS source USING (source_id)
           JOIN coaches AS coach USING (coach_id)
           JOIN coach_appointments AS a USING (appointment_id)
           JOIN calendars AS calendar ON calendar.calendar_id = a.calendar_id
          WHERE event.appointment_id = (p_params ->> 'appointment_id')::uuid
            AND event.source_id = (p_params ->> 'source_id')::uuid AND event.delivery_id = p_delivery),
        p_params || '{"write": "none"}');

-- The queue message of a delivery of an event that says p_data. It is json: that is written once, where jsonb is built, copied
-- into the array of messages, and then written.
CREATE OR REPLACE FUNCTION engine.delivery_message(
    p_delivery uuid, p_params jsonb, p_round integer, event changes, endpoint webhook_endpoints, p_data jsonb
) RETURNS json LANGUAGE sql STABLE
    RETURN CASE endpoint.kind WHEN 'standard' THEN (
        engine.message_to_any(p_delivery => p_delivery, p_params => p_params, p_round => p_round, event => event,
                              endpoint => endpoint, p_data => p_data)::jsonb
        || jsonb_build_object(
            'headers', endpoint.headers,
            'secrets', CASE WHEN endpoint.older_secrets = '[]' THEN jsonb_build_array(endpoint.secret)
                            ELSE jsonb_build_array(endpoint.secret) || jsonb_path_query_array(
                                engine.earlier_secrets(endpoint.older_secrets, now()), '$[*].secret') END))::json
        WHEN 'calendar_event' THEN (
            engine.message_to_any(p_delivery => p_delivery, p_params => p_params, p_round => p_round, event => event,
                                  endpoint => endpoint, p_data => p_data)::jsonb
            || jsonb_build_object('data', engine.calendar_event_data(p_delivery => p_delivery, p_params => p_params)))::json
        ELSE engine.message_to_any(p_delivery => p_delivery, p_params => p_params, p_round => p_round, event => event,
                                   endpoint => endpoint, p_data => p_data) END;

-- The queue message of each delivery, to be filtered by its columns: Postgres inlines it like a view.
CREATE OR REPLACE FUNCTION engine.delivery_messages() RETURNS TABLE (delivery_id uuid, event_id uuid, message jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT delivery.delivery_id, delivery.event_id, engine.delivery_message(
               p_delivery => delivery.delivery_id, p_params => delivery.params, p_round => delivery.round, event => event,
               endpoint => endpoint, p_data => engine.event_data(event))::jsonb
      FROM webhook_deliveries AS delivery
      JOIN changes AS event ON event.change_id = delivery.event_id
      JOIN webhook_endpoints AS endpoint USING (endpoint_id)
$$;

-- What the calendar API must do about a change of an appointment: release the block of the old time, make one for the
-- new. Each action names the coach and the time. p_calendar is the kind of calendar of the coach who has it afterwards.
CREATE OR REPLACE FUNCTION engine.calendar_actions(p_before appointment_place, p_after appointment_image, p_calendar text)
    RETURNS jsonb[] LANGUAGE sql STABLE
    RETURN array_remove(ARRAY[
        CASE WHEN p_before.external_calendar_id IS NOT NULL
              AND (p_after.status = 'cancelled'
                   OR (p_before.coach_id, p_before.takes) IS DISTINCT FROM (p_after.coach_id, p_after.takes)) THEN
            jsonb_build_object('action', 'release', 'coach_id', p_before.coach_id,
                               'block_id', p_before.external_calendar_id,
                               'start_time', engine.zulu(p_before.start_time), 'end_time', engine.zulu(p_before.end_time)) END,
        CASE WHEN p_calendar = 'calendar_api' AND p_after.status = 'scheduled'
              AND (p_before.coach_id, p_before.takes) IS DISTINCT FROM (p_after.coach_id, p_after.takes) THEN
            jsonb_build_object('action', 'block', 'coach_id', p_after.coach_id,
                               'start_time', engine.zulu(p_after.start_time), 'end_time', engine.zulu(p_after.end_time)) END
        ], NULL);

-- The deliveries of an event: one for each endpoint that is enabled now, was there when it happened and subscribes to its
-- type; for the calendar API one an action. Events of no appointment are for subscribers: a test for the endpoint that it
-- names, anything else for all but that one. p_calendar is as in calendar_actions(). Without a join of its own, so that
-- Postgres reads the columns of a change that it needs, and does not make a row of all of them for each.
CREATE OR REPLACE FUNCTION engine.deliveries_of(c changes, p_calendar text) RETURNS TABLE (endpoint_id uuid, params jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT endpoint.endpoint_id, plan.params
      FROM webhook_endpoints AS endpoint
     CROSS JOIN LATERAL unnest(CASE WHEN endpoint.kind <> 'calendar_api' THEN ARRAY[jsonb '{}']
                                    ELSE engine.calendar_actions(p_before => c.before, p_after => c.after,
                                                                 p_calendar => p_calendar) END) AS plan (params)
     WHERE endpoint.tenant_id = c.tenant_id AND endpoint.enabled AND endpoint.created_at <= c.at
       AND CASE WHEN c.type = 'endpoint.test' THEN endpoint.endpoint_id::text = c.details ->> 'endpoint_id'
                ELSE engine.matches_type(endpoint.event_types, c.type) END
       AND (c.appointment_id IS NOT NULL
            OR endpoint.kind = 'standard' AND (c.type = 'endpoint.test'
                OR endpoint.endpoint_id::text IS DISTINCT FROM c.details ->> 'endpoint_id'))
$$;

-- Makes the deliveries of up to p_limit events that have none yet, the oldest first, or of p_only alone; returns how many
-- events, and the messages for the queue. Claimed by state and not by order, so that none that commits late is
-- missed; others that make deliveries pass over these. Its commit waits for the disk whatever the session is set to, and
-- with it for those of the changes: nothing may be sent that a crash could undo. With p_alone it does nothing, and events is
-- null, while another session does so too: that one looks again afterwards. Each row is found by an index, however few there
-- are. What coaches' calendars are to show of the appointments follows here, as they are by now: see 37_calendar_events.sql.
CREATE OR REPLACE FUNCTION engine.make_deliveries(
    p_limit integer, p_only uuid, p_alone boolean, OUT events integer, OUT messages json
) RETURNS record LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    v_due    tid[];
    v_booked uuid[];
BEGIN
    messages := '[]';
    IF p_alone AND NOT pg_try_advisory_xact_lock(hashtextextended('make_deliveries', 0)) THEN
        RETURN;
    END IF;
    v_due := ARRAY(SELECT ctid FROM changes WHERE NOT told AND (p_only IS NULL OR change_id = p_only)
                    ORDER BY change_id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);
    events := cardinality(v_due);
    IF events = 0 THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'on', true);
    WITH plan AS MATERIALIZED (
        SELECT uuidv7() AS delivery_id, one.*
          FROM (SELECT c.change_id, c.ctid AS place, plan.endpoint_id, plan.params
                  FROM changes AS c
                  LEFT JOIN coaches AS coach ON coach.coach_id = (c.after).coach_id
                 CROSS JOIN LATERAL engine.deliveries_of(c, coach.calendar_kind) AS plan
                 WHERE c.ctid = ANY (v_due)
                 ORDER BY c.change_id) AS one
    ), said AS MATERIALIZED (
        SELECT c.change_id, engine.event_data(c) AS data FROM changes AS c WHERE c.ctid = ANY (v_due)
    ), made AS (
        INSERT INTO webhook_deliveries (delivery_id, event_id, endpoint_id, params)
        SELECT delivery_id, change_id, endpoint_id, params FROM plan
    )
    SELECT coalesce(json_agg(engine.delivery_message(
               p_delivery => plan.delivery_id, p_params => plan.params, p_round => 1, event => c, endpoint => endpoint,
               p_data => said.data) ORDER BY plan.delivery_id), '[]')
      INTO messages
      FROM plan
      JOIN changes AS c ON c.ctid = plan.place
      JOIN said ON said.change_id = plan.change_id
      JOIN webhook_endpoints AS endpoint USING (endpoint_id);
    IF EXISTS (SELECT FROM calendar_sources WHERE writes AND kind IN ('google', 'microsoft', 'caldav')) THEN
        v_booked := ARRAY(SELECT appointment_id FROM changes WHERE ctid = ANY (v_due) AND type LIKE 'appointment.%');
        PERFORM engine.want_calendar_events(v_booked);
        messages := (messages::jsonb || engine.send_calendar_events(p_appointments => v_booked, p_limit => NULL))::json;
    END IF;
    UPDATE changes SET told = true WHERE ctid = ANY (v_due);
END $$;

-- Notes that deliveries are on the queue; returns whether there are events without deliveries. It does not wait for the
-- disk: if a crash loses the note, they are only sent again.
CREATE OR REPLACE FUNCTION engine.mark_published(p_deliveries uuid[], p_now timestamptz)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE webhook_deliveries SET published_at = p_now
     WHERE delivery_id = ANY (p_deliveries) AND published_at IS NULL;
    RETURN EXISTS (SELECT FROM changes WHERE NOT told);
END $$;

-- Sends deliveries again that were held back; returns the messages for the queue. Attempts go on being counted. Mostly
-- there are none: the statements would be planned anew for them each time, which costs a whole booking.
CREATE OR REPLACE FUNCTION engine.requeue_deliveries(p_deliveries uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF p_deliveries = '{}' THEN
        RETURN '[]';
    END IF;
    UPDATE webhook_deliveries SET reason = NULL, published_at = NULL, next_attempt_at = NULL
     WHERE delivery_id = ANY (p_deliveries);
    RETURN (SELECT coalesce(jsonb_agg(one.message || jsonb_build_object('attempts', (
                SELECT attempt FROM webhook_attempts AS made
                 WHERE made.delivery_id = one.delivery_id ORDER BY at DESC LIMIT 1))), '[]')
              FROM engine.delivery_messages() AS one WHERE one.delivery_id = ANY (p_deliveries));
END $$;
