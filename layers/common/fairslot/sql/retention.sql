-- name: deliveries
-- Deletes a portion of the deliveries settled before an instant, with their attempts; locked ones stay for now.
DELETE FROM webhook_deliveries
 WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
     WHERE delivery_id < %(first)s AND status <> 'pending' AND coalesce(finished_at, created_at) < %(before)s
     ORDER BY delivery_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: events
-- Deletes a portion of the old changes that are told, have no delivery left, no key, no decision, and are no entry of the audit.
DELETE FROM changes
 WHERE change_id IN (
    SELECT change_id FROM changes AS event
     WHERE change_id < %(first)s AND at < %(before)s AND told AND key IS NULL AND seq IS NULL AND origin IS NULL
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.change_id)
     ORDER BY change_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: decided
-- Leaves of a portion of such changes the decision, which replay needs for ever, and the entry of the audit.
UPDATE changes SET before = CASE WHEN origin IS NOT NULL THEN before END,
                   after = CASE WHEN origin IS NOT NULL THEN engine.without_contact(after) END, details = NULL
 WHERE change_id IN (
    SELECT change_id FROM changes AS event
     WHERE change_id < %(first)s AND at < %(before)s AND told AND key IS NULL AND (seq IS NOT NULL OR origin IS NOT NULL)
       AND CASE WHEN origin IS NULL THEN (after).appointment_id IS NOT NULL ELSE (after).contact_email IS NOT NULL END
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.change_id)
     ORDER BY change_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);

-- name: inbound
-- Deletes a portion of the inbound events processed before an instant; their keys are free again.
DELETE FROM inbound_events
 WHERE event_id IN (
    SELECT event_id FROM inbound_events
     WHERE event_id < %(first)s AND processed_at < %(before)s
     ORDER BY event_id LIMIT %(portion)s FOR UPDATE SKIP LOCKED);
