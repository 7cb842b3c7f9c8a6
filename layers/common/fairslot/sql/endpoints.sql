-- name: lock_tenant
-- Creating a tenant's endpoints and changing their addresses, one transaction at a time.
SELECT pg_advisory_xact_lock(hashtextextended('fairslot webhook endpoints of ' || %(tenant)s, 0));

-- name: count
-- How many subscribers the tenant has.
SELECT count(*) AS n FROM webhook_endpoints WHERE tenant_id = %(tenant)s AND kind = 'standard' AND deleted_at IS NULL;

-- name: create
-- A subscriber, unless its address exists; a unique violation would write the address into Postgres's log.
INSERT INTO webhook_endpoints AS e (endpoint_id, tenant_id, kind, url, event_types, description, headers, secret,
                                    concurrency, rate_per_second, enabled, disabled_reason, disabled_at)
VALUES (%(endpoint)s, %(tenant)s, 'standard', %(url)s, %(event_types)s, %(description)s, %(headers)s, %(secret)s,
        %(concurrency)s, %(rate_per_second)s, %(enabled)s, CASE WHEN NOT %(enabled)s THEN 'by_request' END,
        CASE WHEN NOT %(enabled)s THEN now() END)
ON CONFLICT (tenant_id, kind, url) WHERE deleted_at IS NULL DO NOTHING
RETURNING engine.endpoint_json(e) AS endpoint;

-- name: list
-- The tenant's endpoints, oldest first.
SELECT engine.endpoint_json(e) AS endpoint FROM webhook_endpoints AS e
 WHERE tenant_id = %(tenant)s AND deleted_at IS NULL
 ORDER BY created_at, endpoint_id;

-- name: get
-- One endpoint of the tenant.
SELECT engine.endpoint_json(e) AS endpoint FROM webhook_endpoints AS e
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s AND deleted_at IS NULL;

-- name: get_any
-- One endpoint of the tenant, deleted or not.
SELECT engine.endpoint_json(e) AS endpoint FROM webhook_endpoints AS e
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s;

-- name: lock
-- Locks one endpoint of the tenant for a change.
SELECT engine.endpoint_json(e) AS endpoint, secret FROM webhook_endpoints AS e
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s AND deleted_at IS NULL
   FOR NO KEY UPDATE;

-- name: update
-- Changes an endpoint of the tenant unless another has its address; enabling it clears its failures.
UPDATE webhook_endpoints AS e
   SET url = %(url)s, event_types = %(event_types)s, description = %(description)s, headers = %(headers)s,
       concurrency = %(concurrency)s, rate_per_second = %(rate_per_second)s, enabled = %(enabled)s,
       disabled_reason = CASE WHEN NOT %(enabled)s THEN CASE WHEN enabled THEN 'by_request' ELSE disabled_reason END END,
       disabled_at = CASE WHEN NOT %(enabled)s THEN CASE WHEN enabled THEN %(now)s ELSE disabled_at END END,
       failing_since = CASE WHEN NOT %(enabled)s OR enabled THEN failing_since END,
       warned_at = CASE WHEN NOT %(enabled)s OR enabled THEN warned_at END,
       updated_at = %(now)s
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s
   AND NOT EXISTS (SELECT FROM webhook_endpoints AS other
                    WHERE other.tenant_id = e.tenant_id AND other.kind = e.kind AND other.url = %(url)s
                      AND other.deleted_at IS NULL AND other.endpoint_id <> e.endpoint_id)
RETURNING engine.endpoint_json(e) AS endpoint;

-- name: delete
-- Deletes an endpoint of the tenant; the sweep cancels its pending deliveries.
UPDATE webhook_endpoints
   SET enabled = false, disabled_reason = 'by_request', disabled_at = coalesce(disabled_at, %(now)s), deleted_at = %(now)s,
       updated_at = %(now)s, older_secrets = '[]'
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s;

-- name: rotate
-- Sets a new secret of the tenant's endpoint unless too many are valid; with an overlap the earlier ones sign for a while.
UPDATE webhook_endpoints AS e
   SET older_secrets = engine.replaced_secrets(p_secret => secret, p_older => older_secrets, p_until => %(until)s,
                                               p_now => %(now)s),
       secret = %(secret)s, updated_at = %(now)s
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s
   AND (%(until)s <= %(now)s
        OR jsonb_array_length(engine.earlier_secrets(p_older => older_secrets, p_after => %(now)s)) < %(most_earlier)s)
RETURNING engine.endpoint_json(e) AS endpoint;

-- name: test
-- An event for this endpoint of the tenant alone, and its message.
SELECT engine.send_test(p_tenant => %(tenant)s, p_endpoint => %(endpoint)s) AS message;

-- name: lock_recovery
-- Recoveries of an endpoint, one transaction at a time.
SELECT pg_advisory_xact_lock(hashtextextended('fairslot recovery of ' || %(endpoint)s::text, 0));

-- name: restart_failed
-- Starts a new round of the failed and cancelled deliveries to the tenant's endpoint since an instant.
WITH restarted AS (
    UPDATE webhook_deliveries AS delivery
       SET status = 'pending', round = round + 1, replayed_at = %(now)s, published_at = NULL, next_attempt_at = NULL,
           finished_at = NULL, reason = NULL
     WHERE delivery_id IN (
        SELECT one.delivery_id FROM webhook_deliveries AS one JOIN webhook_endpoints AS endpoint USING (endpoint_id)
         WHERE endpoint.endpoint_id = %(endpoint)s AND endpoint.tenant_id = %(tenant)s
           AND one.delivery_id >= %(first)s AND one.created_at >= %(since)s AND one.status IN ('failed', 'cancelled')
         ORDER BY one.delivery_id FOR NO KEY UPDATE OF one)
    RETURNING delivery_id
)
SELECT count(*) AS n FROM restarted;

-- name: add_missed
-- Adds deliveries of the events since an instant that the tenant's endpoint subscribes to and missed while it was disabled;
-- none from before it was created or past their retention. What is not told yet it gets like every other endpoint.
WITH missed AS (
    INSERT INTO webhook_deliveries (event_id, endpoint_id)
    SELECT event.change_id, endpoint.endpoint_id
      FROM webhook_endpoints AS endpoint
      JOIN changes AS event ON event.tenant_id = endpoint.tenant_id
     WHERE endpoint.endpoint_id = %(endpoint)s AND endpoint.tenant_id = %(tenant)s AND endpoint.kind <> 'calendar_api'
       AND event.change_id >= %(first)s AND event.at >= greatest(%(since)s, %(kept_since)s, endpoint.created_at)
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
SELECT count(*) AS n FROM missed;

-- name: unpublished
-- The first messages to the tenant's endpoint that are not on the queue.
SELECT message FROM engine.delivery_messages()
 WHERE delivery_id IN (SELECT one.delivery_id
                         FROM webhook_deliveries AS one JOIN webhook_endpoints AS endpoint USING (endpoint_id)
                        WHERE endpoint.endpoint_id = %(endpoint)s AND endpoint.tenant_id = %(tenant)s
                          AND one.status = 'pending' AND one.published_at IS NULL
                        ORDER BY one.delivery_id LIMIT %(limit)s);
