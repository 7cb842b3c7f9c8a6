-- Deliveries on their way: what the sweep claims, what is sent, replayed, or over.

-- Locks a delivery of the tenant, null: of any, for a replay; whether its endpoint is enabled.
CREATE OR REPLACE FUNCTION engine.lock_delivery(p_tenant text, p_delivery uuid)
    RETURNS TABLE (status text, enabled boolean) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT d.status, endpoint.enabled
      FROM webhook_deliveries AS d JOIN webhook_endpoints AS endpoint USING (endpoint_id)
     WHERE d.delivery_id = p_delivery AND (p_tenant IS NULL OR endpoint.tenant_id = p_tenant)
       FOR NO KEY UPDATE OF d
$$;

-- Starts a new round of attempts at a delivery of the tenant, null: of any, also at a delivered one.
CREATE OR REPLACE FUNCTION engine.replay_delivery(p_tenant text, p_now timestamptz, p_delivery uuid)
    RETURNS TABLE (delivery jsonb, message jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE webhook_deliveries AS d
       SET status = 'pending', round = round + 1, replayed_at = p_now, published_at = NULL, next_attempt_at = NULL,
           finished_at = NULL, reason = NULL, results_missing = results_missing OR status = 'delivered'
      FROM webhook_endpoints AS endpoint
     WHERE d.delivery_id = p_delivery AND endpoint.endpoint_id = d.endpoint_id
       AND (p_tenant IS NULL OR endpoint.tenant_id = p_tenant)
    RETURNING engine.delivery_json(d) AS delivery,
              (SELECT message || jsonb_build_object('round', d.round)
                 FROM engine.delivery_messages() AS m WHERE m.delivery_id = d.delivery_id) AS message
$$;

-- Fails pending deliveries whose messages are dead letters, each in the round of its message.
CREATE OR REPLACE FUNCTION engine.mark_dead_letters_failed(p_now timestamptz, p_deliveries uuid[], p_rounds integer[])
    RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        UPDATE webhook_deliveries AS d
           SET status = 'failed', reason = 'dead_letter', finished_at = p_now, next_attempt_at = NULL, results_missing = true
         WHERE d.delivery_id IN (
            SELECT one.delivery_id
              FROM webhook_deliveries AS one
              JOIN unnest(p_deliveries::uuid[], p_rounds::integer[]) AS given (delivery_id, round)
                ON given.delivery_id = one.delivery_id AND given.round = one.round
             WHERE one.status = 'pending'
             ORDER BY one.delivery_id FOR NO KEY UPDATE OF one)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Ends deliveries to a disabled endpoint once none is under way, to a deleted one at once.
CREATE OR REPLACE FUNCTION engine.end_disabled_deliveries(p_now timestamptz, p_overdue_before timestamptz)
    RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE webhook_deliveries AS delivery
       SET status = CASE WHEN endpoint.deleted_at IS NULL THEN 'failed' ELSE 'cancelled' END, reason = 'endpoint_disabled',
           finished_at = p_now, next_attempt_at = NULL,
           results_missing = delivery.results_missing OR delivery.published_at IS NOT NULL
      FROM webhook_endpoints AS endpoint
     WHERE endpoint.endpoint_id = delivery.endpoint_id AND delivery.delivery_id IN (
        SELECT d.delivery_id FROM webhook_deliveries AS d JOIN webhook_endpoints AS e USING (endpoint_id)
         WHERE d.status = 'pending' AND NOT e.enabled
           AND (e.deleted_at IS NOT NULL OR d.published_at IS NULL
                OR greatest(d.published_at, d.next_attempt_at) < p_overdue_before)
           FOR NO KEY UPDATE OF d SKIP LOCKED)
$$;

-- Locks pending deliveries that are not on the queue, or overdue there.
CREATE OR REPLACE FUNCTION engine.claim_deliveries(
    p_unpublished_before timestamptz, p_overdue_before timestamptz, p_limit bigint
) RETURNS TABLE (delivery_id uuid, message jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT delivery.delivery_id, outgoing.message
      FROM (SELECT delivery_id FROM webhook_deliveries AS d
             WHERE status = 'pending'
               AND ((published_at IS NULL AND greatest(created_at, replayed_at) < p_unpublished_before)
                    OR greatest(published_at, next_attempt_at) < p_overdue_before)
               AND EXISTS (SELECT FROM webhook_endpoints AS e WHERE e.endpoint_id = d.endpoint_id AND e.enabled)
             ORDER BY created_at
             LIMIT p_limit
               FOR NO KEY UPDATE SKIP LOCKED) AS delivery
      JOIN engine.delivery_messages() AS outgoing USING (delivery_id)
$$;

-- Marks deliveries as published by the sweep. All results of one that awaits a release are known; of any other there may
-- be a message whose results are lost, even where the outbox does not know that it was sent.
CREATE OR REPLACE FUNCTION engine.mark_deliveries_sent(p_now timestamptz, p_deliveries uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE webhook_deliveries
       SET published_at = p_now, next_attempt_at = NULL,
           results_missing = results_missing OR reason IS DISTINCT FROM 'awaits_release'
     WHERE delivery_id = ANY (p_deliveries::uuid[])
$$;

-- Looks for unconfirmed blocks that nobody wants any more, once a day until found or past; for those of another copy
-- of a message once that is overdue.
CREATE OR REPLACE FUNCTION engine.look_for_blocks(
    p_looked_before timestamptz, p_overdue_before timestamptz, p_now timestamptz, p_limit bigint
) RETURNS TABLE (messages jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT engine.find_blocks(p_deliveries => ARRAY(
        SELECT d.delivery_id FROM webhook_deliveries AS d JOIN webhook_endpoints AS e USING (endpoint_id)
         WHERE d.unconfirmed_since IS NOT NULL AND e.enabled
           AND (d.status = 'failed' OR d.status = 'delivered' AND d.published_at < p_overdue_before)
           AND coalesce(d.looked_at < p_looked_before, true) AND (d.params ->> 'end_time')::timestamptz > p_now
           AND NOT engine.block_is_needed(d)
         ORDER BY d.delivery_id LIMIT p_limit
           FOR NO KEY UPDATE OF d SKIP LOCKED), p_now => p_now) AS messages
$$;
