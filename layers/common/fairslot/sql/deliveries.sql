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
SELECT * FROM engine.lock_delivery(p_tenant => %(tenant)s, p_delivery => %(delivery)s);

-- name: replay
-- Starts a new round of attempts at a delivery of the tenant, null: of any, also at a delivered one.
SELECT * FROM engine.replay_delivery(p_tenant => %(tenant)s, p_now => %(now)s, p_delivery => %(delivery)s);

-- name: states
-- The status and round of the deliveries of dead letters.
SELECT delivery_id, status, round FROM webhook_deliveries WHERE delivery_id = ANY (%(deliveries)s::uuid[]);

-- name: mark_dead_letters_failed
-- Fails pending deliveries whose messages are dead letters, each in the round of its message.
SELECT engine.mark_dead_letters_failed(p_now => %(now)s, p_deliveries => %(deliveries)s, p_rounds => %(rounds)s) AS n;
