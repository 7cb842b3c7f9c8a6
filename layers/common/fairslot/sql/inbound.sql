-- receive: keeps an event unless its key is known
INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body, received_at)
VALUES (%(tenant)s, %(key)s, %(fingerprint)s, %(type)s, %(body)s, %(now)s)
ON CONFLICT (tenant_id, key) DO NOTHING
RETURNING event_id;

-- known: what came under a key
SELECT event_id, fingerprint FROM inbound_events WHERE tenant_id = %(tenant)s AND key = %(key)s;

-- claim: an event that nobody has acted on or is acting on
SELECT event_id, tenant_id, type, body, progress FROM inbound_events
 WHERE event_id = %(event)s AND processed_at IS NULL
   FOR NO KEY UPDATE SKIP LOCKED;

-- processed: what came of an event
UPDATE inbound_events SET processed_at = %(now)s, outcome = %(outcome)s WHERE event_id = %(event)s;

-- left_over: events that were never acted on
SELECT event_id FROM inbound_events WHERE processed_at IS NULL AND received_at < %(before)s
 ORDER BY received_at LIMIT 100;

-- note_progress: how far an event's portions have come
UPDATE inbound_events SET progress = %(progress)s WHERE event_id = %(event)s;

-- give_up_some: acts on the next appointments and holds of a coach who is not there, as their calendars say
SELECT give_up_some(%(tenant)s, %(coach)s, %(from)s, %(to)s, %(after)s::timestamptz, %(most)s, %(reason)s, %(now)s) AS done;
