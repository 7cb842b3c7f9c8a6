-- name: deliveries
-- Deletes a portion of the deliveries settled before an instant, with their attempts; locked ones stay for now.
DELETE FROM webhook_deliveries
 WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
     WHERE delivery_id < %(first)s AND status <> 'pending' AND coalesce(finished_at, created_at) < %(before)s
     ORDER BY delivery_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: events
-- Deletes a portion of the old events that have no delivery left.
DELETE FROM webhook_events
 WHERE event_id IN (
    SELECT event_id FROM webhook_events AS event
     WHERE event_id < %(first)s AND created_at < %(before)s
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.event_id)
     ORDER BY event_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: inbound
-- Deletes a portion of the inbound events processed before an instant; their keys are free again.
DELETE FROM inbound_events
 WHERE event_id IN (
    SELECT event_id FROM inbound_events
     WHERE event_id < %(first)s AND processed_at < %(before)s
     ORDER BY event_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);
