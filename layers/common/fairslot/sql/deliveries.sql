-- name: list_page
-- A page of the tenant's deliveries, newest first.
SELECT one.delivery
  FROM webhook_endpoints AS endpoint
 CROSS JOIN LATERAL (
    SELECT d.delivery_id, engine.delivery_json(d) AS delivery
      FROM webhook_deliveries AS d JOIN changes AS event ON event.change_id = d.event_id
     WHERE d.endpoint_id = endpoint.endpoint_id
       AND (%(status)s::text IS NULL OR d.status = %(status)s)
       AND (%(event_type)s::text IS NULL OR event.type = %(event_type)s)
       AND (%(appointment)s::uuid IS NULL OR event.appointment_id = %(appointment)s)
       AND (%(start)s::timestamptz IS NULL OR d.created_at >= %(start)s)
       AND (%(end)s::timestamptz IS NULL OR d.created_at < %(end)s)
       AND (%(after)s::uuid IS NULL OR d.delivery_id < %(after)s)
     ORDER BY d.delivery_id DESC LIMIT %(limit)s) AS one
 WHERE endpoint.tenant_id = %(tenant)s AND (%(endpoint)s::uuid IS NULL OR endpoint.endpoint_id = %(endpoint)s)
 ORDER BY one.delivery_id DESC LIMIT %(limit)s;

-- name: get
-- One delivery of the tenant.
SELECT engine.delivery_json(d) AS delivery
  FROM webhook_deliveries AS d JOIN webhook_endpoints AS endpoint USING (endpoint_id)
 WHERE d.delivery_id = %(delivery)s AND endpoint.tenant_id = %(tenant)s;

-- name: lock
-- Locks a delivery of the tenant, null: of any, for a replay; whether its endpoint is enabled.
SELECT d.status, endpoint.enabled
  FROM webhook_deliveries AS d JOIN webhook_endpoints AS endpoint USING (endpoint_id)
 WHERE d.delivery_id = %(delivery)s AND (%(tenant)s::text IS NULL OR endpoint.tenant_id = %(tenant)s)
   FOR NO KEY UPDATE OF d;

-- name: replay
-- Starts a new round of attempts at a delivery of the tenant, null: of any, also at a delivered one.
UPDATE webhook_deliveries AS d
   SET status = 'pending', round = round + 1, replayed_at = %(now)s, published_at = NULL, next_attempt_at = NULL,
       finished_at = NULL, reason = NULL, results_missing = results_missing OR status = 'delivered'
  FROM webhook_endpoints AS endpoint
 WHERE d.delivery_id = %(delivery)s AND endpoint.endpoint_id = d.endpoint_id
   AND (%(tenant)s::text IS NULL OR endpoint.tenant_id = %(tenant)s)
RETURNING engine.delivery_json(d) AS delivery,
          (SELECT message || jsonb_build_object('round', d.round)
             FROM engine.delivery_messages() AS m WHERE m.delivery_id = d.delivery_id) AS message;

-- name: states
-- The status and round of the deliveries of dead letters.
SELECT delivery_id, status, round FROM webhook_deliveries WHERE delivery_id = ANY (%(deliveries)s::uuid[]);

-- name: mark_dead_letters_failed
-- Fails pending deliveries whose messages are dead letters, each in the round of its message.
UPDATE webhook_deliveries AS d
   SET status = 'failed', reason = 'dead_letter', finished_at = %(now)s, next_attempt_at = NULL, results_missing = true
 WHERE d.delivery_id IN (
    SELECT one.delivery_id
      FROM webhook_deliveries AS one
      JOIN unnest(%(deliveries)s::uuid[], %(rounds)s::integer[]) AS given (delivery_id, round)
        ON given.delivery_id = one.delivery_id AND given.round = one.round
     WHERE one.status = 'pending'
     ORDER BY one.delivery_id FOR NO KEY UPDATE OF one);
