-- name: receive
-- Stores an event unless its key is known.
INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body, received_at, origin)
VALUES (%(tenant)s, %(key)s, %(fingerprint)s, %(type)s, %(body)s, %(now)s, %(origin)s)
ON CONFLICT (tenant_id, key) DO NOTHING
RETURNING event_id;

-- name: known
-- The event that a key was used for.
SELECT event_id, fingerprint FROM inbound_events WHERE tenant_id = %(tenant)s AND key = %(key)s;

-- name: claim
-- Locks an event that is not processed and not being processed.
SELECT event_id, tenant_id, type, body, progress, origin FROM inbound_events
 WHERE event_id = %(event)s AND processed_at IS NULL
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: processed
-- Stores the outcome of an event.
UPDATE inbound_events SET processed_at = %(now)s, outcome = %(outcome)s WHERE event_id = %(event)s;

-- name: left_over
-- Events that were received before an instant and not processed.
SELECT event_id FROM inbound_events WHERE processed_at IS NULL AND received_at < %(before)s
 ORDER BY received_at LIMIT 100;

-- name: note_progress
-- Stores how far an event has been processed.
UPDATE inbound_events SET progress = %(progress)s WHERE event_id = %(event)s;

-- name: release_next_appointments
-- Handles the next appointments and holds of an absent coach by their calendars' policies.
SELECT engine.release_next_appointments(p_tenant => %(tenant)s, p_coach => %(coach)s, p_from => %(from)s,
                                        p_to => %(to)s, p_after => %(after)s::timestamptz, p_limit => %(most)s,
                                        p_reason => %(reason)s, p_now => %(now)s) AS done;
