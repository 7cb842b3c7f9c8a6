-- name: receive
-- Keeps an event unless its key is known.
INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body, received_at)
VALUES (%(tenant)s, %(key)s, %(fingerprint)s, %(type)s, %(body)s, %(now)s)
ON CONFLICT (tenant_id, key) DO NOTHING
RETURNING event_id;

-- name: known
-- What came under a key.
SELECT event_id, fingerprint FROM inbound_events WHERE tenant_id = %(tenant)s AND key = %(key)s;

-- name: claim
-- An event that nobody has acted on or is acting on.
SELECT event_id, tenant_id, type, body, progress FROM inbound_events
 WHERE event_id = %(event)s AND processed_at IS NULL
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: processed
-- What came of an event.
UPDATE inbound_events SET processed_at = %(now)s, outcome = %(outcome)s WHERE event_id = %(event)s;

-- name: left_over
-- Events that were never acted on.
SELECT event_id FROM inbound_events WHERE processed_at IS NULL AND received_at < %(before)s
 ORDER BY received_at LIMIT 100;

-- name: note_progress
-- How far an event's portions have come.
UPDATE inbound_events SET progress = %(progress)s WHERE event_id = %(event)s;

-- name: release_next_appointments
-- Acts on the next appointments and holds of a coach who is not there, as their calendars say.
SELECT engine.release_next_appointments(p_tenant => %(tenant)s, p_coach => %(coach)s, p_from => %(from)s,
                                        p_to => %(to)s, p_after => %(after)s::timestamptz, p_limit => %(most)s,
                                        p_reason => %(reason)s, p_now => %(now)s) AS done;
