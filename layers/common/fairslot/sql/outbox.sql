-- mark_published: notes that deliveries are on the queue
SELECT mark_published(%(deliveries)s::uuid[], %(now)s);

-- claim: pending deliveries that are not on the queue, or have been silent for too long
SELECT delivery.delivery_id, outgoing.message
  FROM (SELECT delivery_id FROM webhook_deliveries
         WHERE status = 'pending'
           AND ((published_at IS NULL AND created_at < %(unpublished_before)s)
                OR greatest(published_at, next_attempt_at) < %(overdue_before)s)
         ORDER BY created_at
         LIMIT %(limit)s
           FOR NO KEY UPDATE SKIP LOCKED) AS delivery
  JOIN delivery_messages AS outgoing USING (delivery_id);

-- note_sent: the time of the sending starts the silence anew
UPDATE webhook_deliveries SET published_at = %(now)s, next_attempt_at = NULL
 WHERE delivery_id = ANY (%(deliveries)s::uuid[]);

-- record_attempt: one attempt and what the answer means
SELECT record_attempt(%(delivery_id)s::uuid, %(attempt)s, %(at)s::timestamptz, %(outcome)s, %(status_code)s, %(latency_ms)s,
                      %(error)s, %(response_excerpt)s, %(next_attempt_at)s::timestamptz, %(answer)s) AS done;

-- waiting: deliveries that should be on the queue and are not
SELECT count(*) AS n FROM webhook_deliveries
 WHERE status = 'pending' AND published_at IS NULL AND created_at < %(unpublished_before)s;
