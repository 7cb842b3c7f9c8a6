-- Who is told of events and how they are doing: subscribers of our customers beside the two partners.

ALTER TABLE webhook_endpoints
    ADD COLUMN description      text NOT NULL DEFAULT '',
    ADD COLUMN headers          jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN secret           text,
    ADD COLUMN previous_secret  text,
    ADD COLUMN previous_until   timestamptz,
    ADD COLUMN concurrency      integer CHECK (concurrency > 0),
    ADD COLUMN rate_per_second  double precision CHECK (rate_per_second > 0),
    ADD COLUMN disabled_reason  text CHECK (disabled_reason IN ('by_request', 'gone', 'failing')),
    ADD COLUMN disabled_at      timestamptz,
    ADD COLUMN failing_since    timestamptz,
    ADD COLUMN warned_at        timestamptz,
    ADD COLUMN updated_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN deleted_at       timestamptz,
    ADD CHECK (kind <> 'standard' OR secret IS NOT NULL),
    ADD CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    ADD CHECK (deleted_at IS NULL OR NOT enabled),
    DROP CONSTRAINT webhook_endpoints_tenant_id_kind_url_key;
CREATE UNIQUE INDEX webhook_endpoints_live ON webhook_endpoints (tenant_id, kind, url) NULLS NOT DISTINCT
    WHERE deleted_at IS NULL;
COMMENT ON COLUMN webhook_endpoints.secret IS
    'ciphertext, base64, with the endpoint''s id as its encryption context; who can read this table cannot sign';
COMMENT ON COLUMN webhook_endpoints.previous_secret IS 'signs too until previous_until';
COMMENT ON COLUMN webhook_endpoints.deleted_at IS 'the row stays for the deliveries that name it';
COMMENT ON COLUMN webhook_endpoints.concurrency IS 'attempts under way at once; null: what the dispatcher allows everybody';

ALTER TABLE webhook_deliveries
    ADD COLUMN round        integer NOT NULL DEFAULT 1,
    ADD COLUMN replayed_at  timestamptz,
    ADD COLUMN reason       text;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, delivery_id);
COMMENT ON COLUMN webhook_deliveries.round IS 'each replay begins another series of attempts';
COMMENT ON COLUMN webhook_deliveries.reason IS 'why it failed: the last attempt''s error, dead_letter or endpoint_disabled';

ALTER TABLE coach_syncs ADD COLUMN stale_told_at timestamptz;

-- Whether patterns such as appointment.* cover a type.
CREATE FUNCTION wants(p_patterns text[], p_type text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN EXISTS (SELECT FROM unnest(p_patterns) AS pattern WHERE p_type LIKE replace(pattern, '*', '%'));

-- What the queue carries for a delivery. Subscribers of kind standard get nothing that says who the customer is.
CREATE OR REPLACE VIEW delivery_messages AS
SELECT delivery.delivery_id, delivery.event_id,
       jsonb_build_object(
           'delivery_id', delivery.delivery_id, 'event_id', event.event_id, 'kind', endpoint.kind,
           'url', endpoint.url, 'type', event.type, 'timestamp', zulu(event.created_at), 'version', event.version,
           'endpoint_id', endpoint.endpoint_id, 'round', delivery.round,
           'concurrency', endpoint.concurrency, 'rate_per_second', endpoint.rate_per_second,
           'data', CASE WHEN endpoint.kind = 'standard' AND event.appointment_id IS NOT NULL
               THEN event.data - '{contact_name,contact_email,contact_id,timezone,reason}'::text[]
               ELSE event.data || delivery.params END)
       || CASE endpoint.kind WHEN 'standard' THEN jsonb_build_object(
              'headers', endpoint.headers,
              'secrets', CASE WHEN endpoint.previous_until > now()
                              THEN jsonb_build_array(endpoint.secret, endpoint.previous_secret)
                              ELSE jsonb_build_array(endpoint.secret) END)
          ELSE '{}' END AS message
  FROM webhook_deliveries AS delivery
  JOIN webhook_events AS event USING (event_id)
  JOIN webhook_endpoints AS endpoint USING (endpoint_id);

CREATE FUNCTION endpoint_json(e webhook_endpoints) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'endpoint_id', e.endpoint_id, 'kind', e.kind, 'url', e.url, 'event_types', e.event_types,
        'description', e.description, 'headers', e.headers, 'concurrency', e.concurrency,
        'rate_per_second', e.rate_per_second, 'enabled', e.enabled, 'disabled_reason', e.disabled_reason,
        'disabled_at', zulu(e.disabled_at), 'failing_since', zulu(e.failing_since),
        'previous_secret_until', zulu(e.previous_until),
        'created_at', zulu(e.created_at), 'updated_at', zulu(e.updated_at));

CREATE FUNCTION delivery_json(d webhook_deliveries) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'delivery_id', d.delivery_id, 'event_id', d.event_id, 'event_type', event.type, 'endpoint_id', d.endpoint_id,
        'appointment_id', event.appointment_id, 'version', event.version, 'status', d.status, 'reason', d.reason,
        'created_at', zulu(d.created_at), 'finished_at', zulu(d.finished_at), 'next_attempt_at', zulu(d.next_attempt_at),
        'attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'attempt', a.attempt, 'at', zulu(a.at), 'status_code', a.status_code, 'latency_ms', a.latency_ms,
                'error', a.error, 'response_excerpt', a.response_excerpt) ORDER BY a.at, a.attempt), '[]')
            FROM webhook_attempts AS a WHERE a.delivery_id = d.delivery_id))
      FROM webhook_events AS event WHERE event.event_id = d.event_id
$$;

-- Writes an event that is about no appointment, for subscribers that want it (all but p_but), or for p_only whether
-- it wants it or not; returns the messages that the queue must get.
CREATE FUNCTION emit_notice(p_tenant text, p_type text, p_data jsonb, p_but uuid DEFAULT NULL, p_only uuid DEFAULT NULL)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_event uuid;
BEGIN
    INSERT INTO webhook_events (tenant_id, type, version, data) VALUES (p_tenant, p_type, 1, p_data)
    RETURNING event_id INTO v_event;
    INSERT INTO webhook_deliveries (event_id, endpoint_id)
    SELECT v_event, endpoint_id FROM webhook_endpoints
     WHERE tenant_id = p_tenant AND kind = 'standard' AND enabled AND endpoint_id IS DISTINCT FROM p_but
       AND CASE WHEN p_only IS NULL THEN wants(event_types, p_type) ELSE endpoint_id = p_only END;
    RETURN (SELECT coalesce(jsonb_agg(message), '[]') FROM delivery_messages WHERE event_id = v_event);
END $$;

-- Turns an endpoint off and tells the tenant's other subscribers why.
CREATE FUNCTION disable_endpoint(e webhook_endpoints, p_reason text, p_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_endpoints SET enabled = false, disabled_reason = p_reason, disabled_at = p_at, updated_at = p_at
     WHERE endpoint_id = e.endpoint_id;
    RETURN emit_notice(e.tenant_id, 'endpoint.disabled', jsonb_build_object(
        'endpoint_id', e.endpoint_id, 'kind', e.kind, 'description', e.description, 'reason', p_reason,
        'failing_since', zulu(e.failing_since), 'disabled_at', zulu(p_at)), e.endpoint_id);
END $$;

-- What an attempt says of the endpoint's health. 410 turns it off at once, save for the calendar API, where it speaks
-- of one block or coach. Attempts that failed over four days without a success between are told of, and a day after
-- that, five days in all, turn it off. Returns the messages that the queue must get.
CREATE FUNCTION judge_endpoint(p_endpoint uuid, p_at timestamptz, p_outcome text, p_error text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_gone boolean := p_outcome = 'failed' AND p_error = 'http_410';
    e      webhook_endpoints;
BEGIN
    IF p_outcome = 'delivered' THEN
        UPDATE webhook_endpoints SET failing_since = NULL, warned_at = NULL
         WHERE endpoint_id = p_endpoint AND failing_since <= p_at;
        RETURN '[]';
    ELSIF p_error IN ('already_blocked', 'invalid_message', 'unknown_kind', 'internal') THEN
        RETURN '[]';
    END IF;
    -- Most failures change nothing here, and must not wait for one another.
    PERFORM FROM webhook_endpoints
      WHERE endpoint_id = p_endpoint AND enabled
        AND (v_gone OR failing_since IS NULL OR failing_since <= p_at - interval '4 days');
    IF NOT FOUND THEN
        RETURN '[]';
    END IF;
    SELECT * INTO e FROM webhook_endpoints WHERE endpoint_id = p_endpoint AND enabled FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '[]';
    ELSIF v_gone AND e.kind <> 'calendar_api' THEN
        RETURN disable_endpoint(e, 'gone', p_at);
    ELSIF e.failing_since IS NULL THEN
        UPDATE webhook_endpoints SET failing_since = p_at WHERE endpoint_id = p_endpoint;
    ELSIF e.warned_at IS NULL AND e.failing_since <= p_at - interval '4 days' THEN
        UPDATE webhook_endpoints SET warned_at = p_at WHERE endpoint_id = p_endpoint;
        RETURN emit_notice(e.tenant_id, 'endpoint.failing', jsonb_build_object(
            'endpoint_id', e.endpoint_id, 'kind', e.kind, 'description', e.description,
            'failing_since', zulu(e.failing_since),
            'disabled_after', zulu(greatest(e.failing_since + interval '5 days', p_at + interval '1 day'))), e.endpoint_id);
    ELSIF e.failing_since <= p_at - interval '5 days' AND e.warned_at <= p_at - interval '1 day' THEN
        RETURN disable_endpoint(e, 'failing', p_at);
    END IF;
    RETURN '[]';
END $$;

CREATE OR REPLACE FUNCTION record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_sync     text;
    v_messages jsonb;
    v_delivery webhook_deliveries;
    v_kind     text;
    v_event    webhook_events;
BEGIN
    SELECT * INTO v_delivery FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt)
    VALUES (p_delivery, p_attempt, p_at, p_outcome, p_status_code, p_latency_ms, p_error, p_excerpt)
    ON CONFLICT DO NOTHING;
    -- Results may come late or twice: what was delivered stays delivered, and a success undoes a failure. What failed
    -- before a replay says nothing about the replay.
    IF NOT FOUND OR v_delivery.status IN ('delivered', 'cancelled')
        OR (p_outcome <> 'delivered' AND p_at < v_delivery.replayed_at) THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    UPDATE webhook_deliveries
       SET status = CASE p_outcome WHEN 'retrying' THEN status ELSE p_outcome END,
           reason = CASE WHEN p_outcome = 'failed' THEN p_error WHEN p_outcome = 'retrying' THEN reason END,
           published_at = coalesce(published_at, p_at),
           next_attempt_at = p_next,
           finished_at = CASE WHEN p_outcome <> 'retrying' THEN p_at END
     WHERE delivery_id = p_delivery;
    SELECT kind INTO v_kind FROM webhook_endpoints WHERE endpoint_id = v_delivery.endpoint_id;
    SELECT * INTO v_event FROM webhook_events WHERE event_id = v_delivery.event_id;
    v_messages := judge_endpoint(v_delivery.endpoint_id, p_at, p_outcome, p_error);

    IF v_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = v_event.appointment_id AND crm_contact_id IS NULL;
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_answer ->> 'block_id' IS NOT NULL THEN
        v_messages := v_messages || keep_block(v_delivery, v_event, p_answer ->> 'block_id');
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_error = 'already_blocked' THEN
        v_messages := v_messages || mark_conflict(v_delivery, v_event, p_at);
        v_sync := v_event.data ->> 'coach_id';
    ELSIF v_delivery.params ->> 'action' = 'release' AND p_outcome = 'delivered' THEN
        -- What the last reading took for busy was this block.
        v_sync := v_delivery.params ->> 'coach_id';
    END IF;
    RETURN jsonb_build_object('messages', v_messages, 'sync', v_sync);
END $$;

-- Tells, once a lapse, of external calendars that nobody could read since p_before; returns the messages that the
-- queue must get. A reading that succeeds ends the lapse.
CREATE FUNCTION tell_stale(p_before timestamptz, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_one      record;
    v_messages jsonb := '[]';
BEGIN
    FOR v_one IN
        SELECT sync.*, coach.tenant_id FROM coach_syncs AS sync JOIN coaches AS coach USING (coach_id)
         WHERE coach.active AND coach.calendar_kind <> 'none'
           AND coalesce(sync.synced_at, sync.first_requested_at) < p_before
           AND (sync.stale_told_at IS NULL OR sync.stale_told_at < sync.synced_at)
         ORDER BY coach_id LIMIT 500 FOR NO KEY UPDATE OF sync SKIP LOCKED
    LOOP
        UPDATE coach_syncs SET stale_told_at = p_now WHERE coach_id = v_one.coach_id;
        v_messages := v_messages || emit_notice(v_one.tenant_id, 'calendar.stale', jsonb_build_object(
            'coach_id', v_one.coach_id, 'synced_at', zulu(v_one.synced_at), 'error', v_one.error,
            'calendar_ids', (SELECT coalesce(jsonb_agg(calendar_id ORDER BY calendar_id), '[]')
                               FROM coach_calendars WHERE coach_id = v_one.coach_id)));
    END LOOP;
    RETURN v_messages;
END $$;
