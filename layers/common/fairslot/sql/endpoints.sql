-- name: lock_tenant
-- Creating a tenant's endpoints and changing their addresses, one transaction at a time.
SELECT pg_advisory_xact_lock(hashtextextended('fairslot webhook endpoints of ' || %(tenant)s, 0));

-- name: count
-- How many subscribers the tenant has.
SELECT count(*) AS n FROM webhook_endpoints WHERE tenant_id = %(tenant)s AND kind = 'standard' AND deleted_at IS NULL;

-- name: create
-- A subscriber, unless its address exists; a unique violation would write the address into Postgres's log.
SELECT * FROM engine.create_endpoint(
    p_endpoint => %(endpoint)s, p_tenant => %(tenant)s, p_url => %(url)s, p_event_types => %(event_types)s,
    p_description => %(description)s, p_headers => %(headers)s, p_secret => %(secret)s,
    p_concurrency => %(concurrency)s, p_rate_per_second => %(rate_per_second)s, p_enabled => %(enabled)s
);

-- name: list
-- The tenant's endpoints, oldest first. What stands for coaches' calendars is none that anybody sets.
SELECT engine.endpoint_json(e) AS endpoint FROM webhook_endpoints AS e
 WHERE tenant_id = %(tenant)s AND kind <> 'calendar_event' AND deleted_at IS NULL
 ORDER BY created_at, endpoint_id;

-- name: get
-- One endpoint of the tenant.
SELECT engine.endpoint_json(e) AS endpoint FROM webhook_endpoints AS e
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s AND kind <> 'calendar_event' AND deleted_at IS NULL;

-- name: get_any
-- One endpoint of the tenant, deleted or not.
SELECT engine.endpoint_json(e) AS endpoint FROM webhook_endpoints AS e
 WHERE endpoint_id = %(endpoint)s AND tenant_id = %(tenant)s AND kind <> 'calendar_event';

-- name: lock
-- Locks one endpoint of the tenant for a change.
SELECT * FROM engine.lock_endpoint(p_endpoint => %(endpoint)s, p_tenant => %(tenant)s);

-- name: update
-- Changes an endpoint of the tenant unless another has its address; enabling it clears its failures.
SELECT * FROM engine.update_endpoint(
    p_url => %(url)s, p_event_types => %(event_types)s, p_description => %(description)s, p_headers => %(headers)s,
    p_concurrency => %(concurrency)s, p_rate_per_second => %(rate_per_second)s, p_enabled => %(enabled)s,
    p_now => %(now)s, p_endpoint => %(endpoint)s, p_tenant => %(tenant)s
);

-- name: delete
-- Deletes an endpoint of the tenant; the sweep cancels its pending deliveries.
SELECT engine.delete_endpoint(p_tenant => %(tenant)s, p_now => %(now)s, p_endpoint => %(endpoint)s);

-- name: rotate
-- Sets a new secret of the tenant's endpoint unless too many are valid; with an overlap the earlier ones sign for a while.
SELECT * FROM engine.rotate_endpoint_secret(
    p_until => %(until)s, p_now => %(now)s, p_secret => %(secret)s, p_endpoint => %(endpoint)s,
    p_most_earlier => %(most_earlier)s, p_tenant => %(tenant)s
);

-- name: test
-- An event for this endpoint of the tenant alone, and its message.
SELECT engine.send_test(p_tenant => %(tenant)s, p_endpoint => %(endpoint)s) AS message;

-- name: lock_recovery
-- Recoveries of an endpoint, one transaction at a time.
SELECT pg_advisory_xact_lock(hashtextextended('fairslot recovery of ' || %(endpoint)s::text, 0));

-- name: restart_failed
-- Starts a new round of the failed and cancelled deliveries to the tenant's endpoint since an instant.
SELECT * FROM engine.restart_failed_deliveries(
    p_tenant => %(tenant)s, p_now => %(now)s, p_endpoint => %(endpoint)s, p_first => %(first)s, p_since => %(since)s
);

-- name: add_missed
-- Adds deliveries of the events since an instant that the tenant's endpoint subscribes to and missed while it was disabled;
-- none from before it was created or past their retention. What is not told yet it gets like every other endpoint.
SELECT * FROM engine.add_missed_deliveries(
    p_tenant => %(tenant)s, p_endpoint => %(endpoint)s, p_first => %(first)s, p_since => %(since)s,
    p_kept_since => %(kept_since)s
);

-- name: unpublished
-- The first messages to the tenant's endpoint that are not on the queue.
SELECT message FROM engine.delivery_messages()
 WHERE delivery_id IN (SELECT one.delivery_id
                         FROM webhook_deliveries AS one JOIN webhook_endpoints AS endpoint USING (endpoint_id)
                        WHERE endpoint.endpoint_id = %(endpoint)s AND endpoint.tenant_id = %(tenant)s
                          AND one.status = 'pending' AND one.published_at IS NULL
                        ORDER BY one.delivery_id LIMIT %(limit)s);
