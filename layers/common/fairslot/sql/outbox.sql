-- name: make_deliveries
-- Makes the deliveries of events that have none yet.
SELECT events, messages FROM engine.make_deliveries(p_limit => %(limit)s, p_only => NULL, p_alone => %(alone)s);

-- name: mark_published
-- Marks deliveries as published; whether there are events without deliveries.
SELECT engine.mark_published(p_deliveries => %(deliveries)s::uuid[], p_now => %(now)s) AS has_more;

-- name: end_disabled
-- Ends deliveries to a disabled endpoint once none is under way, to a deleted one at once.
SELECT engine.end_disabled_deliveries(p_now => %(now)s, p_overdue_before => %(overdue_before)s);

-- name: claim
-- Locks pending deliveries that are not on the queue, or overdue there.
SELECT * FROM engine.claim_deliveries(
    p_unpublished_before => %(unpublished_before)s, p_overdue_before => %(overdue_before)s, p_limit => %(limit)s
);

-- name: mark_sent
-- Marks deliveries as published by the sweep. All results of one that awaits a release are known; of any other there may
-- be a message whose results are lost, even where the outbox does not know that it was sent.
SELECT engine.mark_deliveries_sent(p_now => %(now)s, p_deliveries => %(deliveries)s);

-- name: record_attempt
-- Records one attempt or that it was held back; what follows, and whether its message is outdated.
SELECT engine.record_attempt(p_delivery => %(delivery_id)s::uuid, p_attempt => %(attempt)s,
                             p_at => %(at)s::timestamptz, p_outcome => %(outcome)s, p_status_code => %(status_code)s,
                             p_latency_ms => %(latency_ms)s, p_error => %(error)s, p_excerpt => %(response_excerpt)s,
                             p_next => %(next_attempt_at)s::timestamptz, p_answer => %(answer)s, p_round => %(round)s,
                             p_revision => %(revision)s, p_warn_after => %(warn_after)s,
                             p_disable_after => %(disable_after)s) AS done;

-- name: look_for_blocks
-- Looks for unconfirmed blocks that nobody wants any more, once a day until found or past; for those of another copy
-- of a message once that is overdue.
SELECT * FROM engine.look_for_blocks(p_looked_before => %(looked_before)s, p_overdue_before => %(overdue_before)s,
                                     p_now => %(now)s, p_limit => %(limit)s);

-- name: unconfirmed_blocks
-- How many current or future blocks may be in a calendar under a lost id. Another copy makes none while the
-- appointment has its own.
SELECT count(*) AS n FROM webhook_deliveries AS d
 WHERE unconfirmed_since IS NOT NULL AND (params ->> 'end_time')::timestamptz > %(now)s
   AND (status <> 'delivered' OR NOT engine.block_is_needed(d));

-- name: emit_stale
-- Writes events for external calendars that have become stale.
SELECT engine.notify_stale_calendars(p_before => %(before)s, p_now => %(now)s);

-- name: waiting
-- How many deliveries and events should be on the queue and are not.
SELECT (SELECT count(*) FROM webhook_deliveries
         WHERE status = 'pending' AND published_at IS NULL AND created_at < %(unpublished_before)s)
     + (SELECT count(*) FROM changes WHERE NOT told AND at < %(unpublished_before)s) AS n;
