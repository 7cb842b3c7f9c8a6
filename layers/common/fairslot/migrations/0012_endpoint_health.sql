-- Which results end a delivery and which speak of its endpoint. Both functions take more than before; with the defaults
-- they also serve code that does not know of it yet.

DROP FUNCTION judge_endpoint(uuid, timestamptz, text, text);
DROP FUNCTION record_attempt(uuid, integer, timestamptz, text, integer, integer, text, text, timestamptz, jsonb);

-- What an attempt says of the endpoint's health. 410 turns it off at once, save for the calendar API, where it speaks
-- of one block or coach. Attempts that failed over p_warn_after without a success between are told of, and those over
-- p_disable_after turn it off, no sooner after the warning than the two are apart. What failed or was not sent by our
-- own doing does not count. Returns the messages that the queue must get.
CREATE FUNCTION judge_endpoint(
    p_endpoint uuid, p_at timestamptz, p_outcome text, p_error text,
    p_warn_after interval DEFAULT '4 days', p_disable_after interval DEFAULT '5 days'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_gone  boolean := p_outcome = 'failed' AND p_error = 'http_410';
    v_grace interval := p_disable_after - p_warn_after;
    e       webhook_endpoints;
BEGIN
    IF p_outcome = 'delivered' THEN
        UPDATE webhook_endpoints SET failing_since = NULL, warned_at = NULL
         WHERE endpoint_id = p_endpoint AND failing_since <= p_at;
        RETURN '[]';
    ELSIF p_error IN ('already_blocked', 'invalid_message', 'unknown_kind', 'internal',
                      'circuit_open', 'over_limit', 'secret_unavailable') THEN
        RETURN '[]';
    END IF;
    -- Most failures change nothing here, and must not wait for one another.
    PERFORM FROM webhook_endpoints
      WHERE endpoint_id = p_endpoint AND enabled
        AND (v_gone OR failing_since IS NULL OR failing_since <= p_at - p_warn_after);
    IF NOT FOUND THEN
        RETURN '[]';
    END IF;
    SELECT * INTO e FROM webhook_endpoints WHERE endpoint_id = p_endpoint AND enabled FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '[]';
    ELSIF v_gone AND e.kind <> 'calendar_api' THEN
        RETURN disable_endpoint(e, 'gone', p_at);
    ELSIF e.failing_since IS NULL THEN
        UPDATE webhook_endpoints SET failing_since = p_at WHERE endpoint_id = p_endpoint;
    ELSIF e.warned_at IS NULL AND e.failing_since <= p_at - p_warn_after THEN
        UPDATE webhook_endpoints SET warned_at = p_at WHERE endpoint_id = p_endpoint;
        RETURN emit_notice(e.tenant_id, 'endpoint.failing', jsonb_build_object(
            'endpoint_id', e.endpoint_id, 'kind', e.kind, 'description', e.description,
            'failing_since', zulu(e.failing_since),
            'disabled_after', zulu(greatest(e.failing_since + p_disable_after, p_at + v_grace))), e.endpoint_id);
    ELSIF e.failing_since <= p_at - p_disable_after AND e.warned_at <= p_at - v_grace THEN
        RETURN disable_endpoint(e, 'failing', p_at);
    END IF;
    RETURN '[]';
END $$;

-- Records one attempt, or with the outcome "held" that a delivery waits and none was made: then it says why, and when it
-- is looked at again. An attempt that was not made is none either when it ends the delivery: nothing was sent.
-- Returns {"messages": [to publish], "sync": coach whose calendar should be read again, or null}.
CREATE FUNCTION record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb, p_round integer DEFAULT NULL,
    p_warn_after interval DEFAULT '4 days', p_disable_after interval DEFAULT '5 days'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_sync     text;
    v_messages jsonb;
    v_delivery webhook_deliveries;
    v_kind     text;
    v_event    webhook_events;
    v_earlier  boolean;
    v_known    boolean := false;
BEGIN
    SELECT * INTO v_delivery FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    v_earlier := coalesce(p_round < v_delivery.round, p_at < v_delivery.replayed_at, false);
    IF p_outcome = 'held' THEN
        UPDATE webhook_deliveries
           SET reason = p_error, published_at = coalesce(published_at, p_at), next_attempt_at = p_next
         WHERE delivery_id = p_delivery AND status = 'pending' AND NOT v_earlier;
        RETURN '{"messages": [], "sync": null}';
    ELSIF coalesce(p_error, '') NOT IN ('circuit_open', 'over_limit') THEN
        INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt)
        VALUES (p_delivery, p_attempt, p_at, p_outcome, p_status_code, p_latency_ms, p_error, p_excerpt)
        ON CONFLICT DO NOTHING;
        v_known := NOT FOUND;
    END IF;
    -- Results may come late or twice: what was delivered stays delivered, and a success undoes a failure. What failed
    -- in an earlier round says nothing about this one.
    IF v_known OR v_delivery.status IN ('delivered', 'cancelled') OR (p_outcome <> 'delivered' AND v_earlier) THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    SELECT kind INTO v_kind FROM webhook_endpoints WHERE endpoint_id = v_delivery.endpoint_id;
    -- A success of an earlier round is not the repetition that somebody asked for; but a block that was made is made, and
    -- what arrived has not failed.
    UPDATE webhook_deliveries
       SET status = CASE p_outcome WHEN 'retrying' THEN status ELSE p_outcome END,
           reason = CASE WHEN p_outcome = 'failed' THEN p_error END,
           published_at = coalesce(published_at, p_at),
           next_attempt_at = p_next,
           finished_at = CASE WHEN p_outcome <> 'retrying' THEN p_at END
     WHERE delivery_id = p_delivery AND (p_outcome <> 'retrying' OR status = 'pending')
       AND (NOT v_earlier OR v_kind = 'calendar_api' OR status = 'failed');
    SELECT * INTO v_event FROM webhook_events WHERE event_id = v_delivery.event_id;
    v_messages := judge_endpoint(v_delivery.endpoint_id, p_at, p_outcome, p_error, p_warn_after, p_disable_after);

    IF v_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = v_event.appointment_id AND crm_contact_id IS NULL;
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_answer ->> 'block_id' IS NOT NULL THEN
        v_messages := v_messages || keep_block(v_delivery, v_event, p_answer ->> 'block_id');
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_error = 'already_blocked' THEN
        v_messages := v_messages || mark_conflict(v_delivery, v_event, p_at);
        v_sync := v_event.data ->> 'coach_id';
    ELSIF v_delivery.params ->> 'action' = 'release' AND p_outcome = 'delivered' THEN
        -- What the last reading took for busy was this block.
        v_sync := v_delivery.params ->> 'coach_id';
    END IF;
    RETURN jsonb_build_object('messages', v_messages, 'sync', v_sync);
END $$;

COMMENT ON COLUMN webhook_deliveries.reason IS
    'why it failed: the last attempt''s error, dead_letter or endpoint_disabled; while it is pending, why nothing is sent';
