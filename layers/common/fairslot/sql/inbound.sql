-- receive: keeps an event unless its key is known
INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body, received_at)
VALUES (%(tenant)s, %(key)s, %(fingerprint)s, %(type)s, %(body)s, %(now)s)
ON CONFLICT (tenant_id, key) DO NOTHING
RETURNING event_id;

-- known: what came under a key
SELECT event_id, fingerprint FROM inbound_events WHERE tenant_id = %(tenant)s AND key = %(key)s;

-- claim: an event that nobody has acted on or is acting on
SELECT event_id, tenant_id, type, body FROM inbound_events
 WHERE event_id = %(event)s AND processed_at IS NULL
   FOR NO KEY UPDATE SKIP LOCKED;

-- processed: what came of an event
UPDATE inbound_events SET processed_at = %(now)s, outcome = %(outcome)s WHERE event_id = %(event)s;

-- left_over: events that were never acted on
SELECT event_id FROM inbound_events WHERE processed_at IS NULL AND received_at < %(before)s
 ORDER BY received_at LIMIT 100;

-- give_up_time: takes a stretch of time from a coach, and with it the appointments, as their calendars say
SELECT give_up_time(%(tenant)s, %(coach)s, %(from)s, %(to)s, %(reason)s, %(now)s) AS done;
