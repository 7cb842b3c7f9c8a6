-- name: deliveries
-- Deletes a portion of the deliveries settled before an instant, with their attempts; locked ones stay for now.
DELETE FROM webhook_deliveries
 WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
     WHERE delivery_id < %(first)s AND status <> 'pending' AND coalesce(finished_at, created_at) < %(before)s
     ORDER BY delivery_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: events
-- Deletes a portion of the old changes that are told, have no delivery left, no key, and no decision.
DELETE FROM changes
 WHERE change_id IN (
    SELECT change_id FROM changes AS event
     WHERE change_id < %(first)s AND at < %(before)s AND told AND key IS NULL AND seq IS NULL
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.change_id)
     ORDER BY change_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: decided
-- Leaves of a portion of such changes with a decision nothing but that, which replay needs for ever.
UPDATE changes SET before = NULL, after = NULL, details = NULL
 WHERE change_id IN (
    SELECT change_id FROM changes AS event
     WHERE change_id < %(first)s AND at < %(before)s AND told AND key IS NULL AND seq IS NOT NULL
       AND (after).appointment_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.change_id)
     ORDER BY change_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: inbound
-- Deletes a portion of the inbound events processed before an instant; their keys are free again.
DELETE FROM inbound_events
 WHERE event_id IN (
    SELECT event_id FROM inbound_events
     WHERE event_id < %(first)s AND processed_at < %(before)s
     ORDER BY event_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);
