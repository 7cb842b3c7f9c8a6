-- Endpoints as an operator sets them, and what they missed.

-- A subscriber, unless its address exists; a unique violation would write the address into Postgres's log.
CREATE OR REPLACE FUNCTION engine.create_endpoint(
    p_endpoint uuid, p_tenant text, p_url text, p_event_types text[], p_description text, p_headers jsonb,
    p_secret text, p_concurrency integer, p_rate_per_second double precision, p_enabled boolean
) RETURNS TABLE (endpoint jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO webhook_endpoints AS e (endpoint_id, tenant_id, kind, url, event_types, description, headers, secret,
                                        concurrency, rate_per_second, enabled, disabled_reason, disabled_at)
    VALUES (p_endpoint, p_tenant, 'standard', p_url, p_event_types, p_description, p_headers, p_secret,
            p_concurrency, p_rate_per_second, p_enabled, CASE WHEN NOT p_enabled THEN 'by_request' END,
            CASE WHEN NOT p_enabled THEN now() END)
    ON CONFLICT (tenant_id, kind, url) WHERE deleted_at IS NULL DO NOTHING
    RETURNING engine.endpoint_json(e) AS endpoint
$$;

-- Locks one endpoint of the tenant for a change.
CREATE OR REPLACE FUNCTION engine.lock_endpoint(p_endpoint uuid, p_tenant text)
    RETURNS TABLE (endpoint jsonb, secret text) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT engine.endpoint_json(e) AS endpoint, secret FROM webhook_endpoints AS e
     WHERE endpoint_id = p_endpoint AND tenant_id = p_tenant AND kind <> 'calendar_event' AND deleted_at IS NULL
       FOR NO KEY UPDATE
$$;

-- Changes an endpoint of the tenant unless another has its address; enabling it clears its failures.
CREATE OR REPLACE FUNCTION engine.update_endpoint(
    p_url text, p_event_types text[], p_description text, p_headers jsonb, p_concurrency integer,
    p_rate_per_second double precision, p_enabled boolean, p_now timestamptz, p_endpoint uuid, p_tenant text
) RETURNS TABLE (endpoint jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE webhook_endpoints AS e
       SET url = p_url, event_types = p_event_types, description = p_description, headers = p_headers,
           concurrency = p_concurrency, rate_per_second = p_rate_per_second, enabled = p_enabled,
           disabled_reason = CASE WHEN NOT p_enabled THEN CASE WHEN enabled THEN 'by_request' ELSE disabled_reason END END,
           disabled_at = CASE WHEN NOT p_enabled THEN CASE WHEN enabled THEN p_now ELSE disabled_at END END,
           failing_since = CASE WHEN NOT p_enabled OR enabled THEN failing_since END,
           warned_at = CASE WHEN NOT p_enabled OR enabled THEN warned_at END,
           updated_at = p_now
     WHERE endpoint_id = p_endpoint AND tenant_id = p_tenant
       AND NOT EXISTS (SELECT FROM webhook_endpoints AS other
                        WHERE other.tenant_id = e.tenant_id AND other.kind = e.kind AND other.url = p_url
                          AND other.deleted_at IS NULL AND other.endpoint_id <> e.endpoint_id)
    RETURNING engine.endpoint_json(e) AS endpoint
$$;

-- Deletes an endpoint of the tenant; the sweep cancels its pending deliveries.
CREATE OR REPLACE FUNCTION engine.delete_endpoint(p_tenant text, p_now timestamptz, p_endpoint uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE webhook_endpoints
       SET enabled = false, disabled_reason = 'by_request', disabled_at = coalesce(disabled_at, p_now), deleted_at = p_now,
           updated_at = p_now, older_secrets = '[]'
     WHERE endpoint_id = p_endpoint AND tenant_id = p_tenant
$$;

-- Sets a new secret of the tenant's endpoint unless too many are valid; with an overlap the earlier ones sign for a while.
CREATE OR REPLACE FUNCTION engine.rotate_endpoint_secret(
    p_until timestamptz, p_now timestamptz, p_secret text, p_endpoint uuid, p_most_earlier integer, p_tenant text
) RETURNS TABLE (endpoint jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE webhook_endpoints AS e
       SET older_secrets = engine.replaced_secrets(p_secret => secret, p_older => older_secrets, p_until => p_until,
                                                   p_now => p_now),
           secret = p_secret, updated_at = p_now
     WHERE endpoint_id = p_endpoint AND tenant_id = p_tenant
       AND (p_until <= p_now
            OR jsonb_array_length(engine.earlier_secrets(p_older => older_secrets, p_after => p_now)) < p_most_earlier)
    RETURNING engine.endpoint_json(e) AS endpoint
$$;

-- Starts a new round of the failed and cancelled deliveries to the tenant's endpoint since an instant.
CREATE OR REPLACE FUNCTION engine.restart_failed_deliveries(
    p_tenant text, p_now timestamptz, p_endpoint uuid, p_first uuid, p_since timestamptz
) RETURNS TABLE (n bigint) LANGUAGE sql SECURITY DEFINER AS $$
    WITH restarted AS (
        UPDATE webhook_deliveries AS delivery
           SET status = 'pending', round = round + 1, replayed_at = p_now, published_at = NULL, next_attempt_at = NULL,
               finished_at = NULL, reason = NULL
         WHERE delivery_id IN (
            SELECT one.delivery_id FROM webhook_deliveries AS one JOIN webhook_endpoints AS endpoint USING (endpoint_id)
             WHERE endpoint.endpoint_id = p_endpoint AND endpoint.tenant_id = p_tenant
               AND one.delivery_id >= p_first AND one.created_at >= p_since AND one.status IN ('failed', 'cancelled')
             ORDER BY one.delivery_id FOR NO KEY UPDATE OF one)
        RETURNING delivery_id
    )
    SELECT count(*) AS n FROM restarted
$$;

-- Adds deliveries of the events since an instant that the tenant's endpoint subscribes to and missed while it was disabled;
-- none from before it was created or past their retention. What is not told yet it gets like every other endpoint.
CREATE OR REPLACE FUNCTION engine.add_missed_deliveries(
    p_tenant text, p_endpoint uuid, p_first uuid, p_since timestamptz, p_kept_since timestamptz
) RETURNS TABLE (n bigint) LANGUAGE sql SECURITY DEFINER AS $$
    WITH missed AS (
        INSERT INTO webhook_deliveries (event_id, endpoint_id)
        SELECT event.change_id, endpoint.endpoint_id
          FROM webhook_endpoints AS endpoint
          JOIN changes AS event ON event.tenant_id = endpoint.tenant_id
         WHERE endpoint.endpoint_id = p_endpoint AND endpoint.tenant_id = p_tenant AND endpoint.kind <> 'calendar_api'
           AND event.change_id >= p_first AND event.at >= greatest(p_since, p_kept_since, endpoint.created_at)
           AND event.told AND engine.is_event(event.type)
           AND engine.matches_type(p_patterns => endpoint.event_types, p_type => event.type)
           AND event.type <> 'endpoint.test'
           AND (event.appointment_id IS NOT NULL OR endpoint.kind = 'standard')
           AND event.details ->> 'endpoint_id' IS DISTINCT FROM endpoint.endpoint_id::text
           AND NOT EXISTS (SELECT FROM webhook_deliveries AS known
                            WHERE known.event_id = event.change_id AND known.endpoint_id = endpoint.endpoint_id)
         ORDER BY event.change_id
        RETURNING delivery_id
    )
    SELECT count(*) AS n FROM missed
$$;

-- A partner that is told of events.
CREATE OR REPLACE FUNCTION engine.add_partner(p_tenant text, p_kind text, p_types text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO webhook_endpoints (tenant_id, kind, event_types) VALUES (p_tenant, p_kind, p_types)
$$;
