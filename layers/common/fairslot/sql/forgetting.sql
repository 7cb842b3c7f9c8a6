-- name: deliveries
-- A portion of those that are settled since long ago, with their attempts; what somebody holds stays for now.
DELETE FROM webhook_deliveries
 WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
     WHERE delivery_id < %(first)s AND status <> 'pending' AND coalesce(finished_at, created_at) < %(before)s
     ORDER BY delivery_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: events
-- A portion of the old ones that no delivery is left of.
DELETE FROM webhook_events
 WHERE event_id IN (
    SELECT event_id FROM webhook_events AS event
     WHERE event_id < %(first)s AND created_at < %(before)s
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.event_id)
     ORDER BY event_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: inbound
-- A portion of what partners told us and was acted on long ago; their keys are free again.
DELETE FROM inbound_events
 WHERE event_id IN (
    SELECT event_id FROM inbound_events
     WHERE event_id < %(first)s AND processed_at < %(before)s
     ORDER BY event_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);
