-- What comes back of deliveries, and what follows from it.

-- A delivery with its attempts as the API shows it.
CREATE OR REPLACE FUNCTION engine.delivery_json(d webhook_deliveries) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'delivery_id', d.delivery_id, 'event_id', d.event_id, 'event_type', event.type, 'endpoint_id', d.endpoint_id,
        'appointment_id', event.appointment_id, 'version', event.version, 'status', d.status, 'reason', d.reason,
        'created_at', engine.zulu(d.created_at), 'finished_at', engine.zulu(d.finished_at),
        'next_attempt_at', engine.zulu(d.next_attempt_at),
        'attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'round', a.round, 'attempt', a.attempt, 'at', engine.zulu(a.at), 'status_code', a.status_code,
                'latency_ms', a.latency_ms, 'error', a.error, 'response_excerpt', a.response_excerpt)
                ORDER BY a.at, a.attempt), '[]')
            FROM webhook_attempts AS a WHERE a.delivery_id = d.delivery_id))
      FROM webhook_events AS event WHERE event.event_id = d.event_id
$$;

-- What becomes of a message that is to be tried again: {"drop": whether it is to go, "messages": [what takes its place]}.
-- It goes if nobody waits for it any more, if its block is known to be refused, or if the endpoint has changed since it was
-- made: then another one goes on in its place, with the attempts counted so far, or the delivery ends where the endpoint is
-- turned off. What takes its place may leave it behind: then its results are missing.
CREATE OR REPLACE FUNCTION engine.settle_message(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_round integer, p_revision integer
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    d webhook_deliveries;
    e webhook_endpoints;
BEGIN
    SELECT * INTO d FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND OR d.status IN ('delivered', 'cancelled') OR p_round < d.round
       OR d.status = 'failed' AND d.reason = 'already_blocked' THEN
        RETURN '{"drop": true, "messages": []}';
    END IF;
    SELECT * INTO e FROM webhook_endpoints WHERE endpoint_id = d.endpoint_id;
    IF p_revision IS NULL OR p_revision >= e.revision THEN
        RETURN '{"drop": false, "messages": []}';
    ELSIF d.status = 'pending' AND NOT e.enabled THEN
        UPDATE webhook_deliveries
           SET status = CASE WHEN e.deleted_at IS NULL THEN 'failed' ELSE 'cancelled' END, reason = 'endpoint_disabled',
               finished_at = p_at, next_attempt_at = NULL
         WHERE delivery_id = p_delivery;
    ELSIF d.status = 'pending' AND coalesce(d.revision < e.revision, true) THEN
        UPDATE webhook_deliveries
           SET revision = e.revision, results_missing = true, reason = NULL, published_at = NULL, next_attempt_at = NULL
         WHERE delivery_id = p_delivery;
        RETURN jsonb_build_object('drop', true, 'messages', (
            SELECT jsonb_agg(message || jsonb_build_object('attempts', p_attempt))
              FROM engine.delivery_messages() WHERE delivery_id = p_delivery));
    END IF;
    RETURN '{"drop": true, "messages": []}';
END $$;

-- Keeps one attempt and does what its answer says; returns {"messages": [to publish], "sync": the coach whose calendar
-- should be read again, or null}. The outcome "held" means that no attempt was made: the delivery says why it waits, and
-- until when. An attempt that was not made (circuit_open, over_limit) is not kept where it ends the delivery either: nothing
-- was sent. A block that was refused is ours, waits for what goes, is unconfirmed or a conflict (judge_refusal); one that is
-- known takes back what its refusal told; an attempt that is recorded late may show a refusal to be a conflict.
CREATE OR REPLACE FUNCTION engine.apply_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb, p_round integer,
    p_warn_after interval, p_disable_after interval
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_sync     text;
    v_messages jsonb := '[]';
    v_delivery webhook_deliveries;
    v_action   text;
    v_kind     text;
    v_event    webhook_events;
    v_earlier  boolean;
    v_known    boolean := false;
    v_coach    text := (SELECT params ->> 'coach_id' FROM webhook_deliveries
                         WHERE delivery_id = p_delivery AND params ? 'action');
    v_outcome  text := p_outcome;
    v_verdict  text;
    v_reason   text;
    v_listed   text := coalesce(p_answer ->> 'found_block_id', CASE WHEN p_answer ? 'absent' THEN '' END);
    v_block    text := p_answer ->> 'block_id';
BEGIN
    IF v_coach IS NOT NULL AND (p_outcome IN ('delivered', 'failed') OR p_error = 'already_blocked') THEN
        PERFORM engine.lock_external(v_coach);
    END IF;
    SELECT * INTO v_delivery FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    v_action := v_delivery.params ->> 'action';
    v_earlier := p_round < v_delivery.round;
    IF p_outcome = 'held' THEN
        UPDATE webhook_deliveries
           SET reason = p_error, published_at = coalesce(published_at, p_at), next_attempt_at = p_next
         WHERE delivery_id = p_delivery AND status = 'pending' AND NOT v_earlier;
        RETURN '{"messages": [], "sync": null}';
    END IF;
    IF coalesce(p_error, '') NOT IN ('circuit_open', 'over_limit') THEN
        INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt,
                                      round)
        VALUES (p_delivery, p_attempt, p_at, p_outcome, p_status_code, p_latency_ms, p_error, p_excerpt, p_round)
        ON CONFLICT DO NOTHING;
        v_known := NOT FOUND;
    END IF;
    -- Results may come late or twice: what was delivered stays delivered, and a success undoes a failure. What failed
    -- in an earlier round says nothing about this one.
    SELECT * INTO v_event FROM webhook_events WHERE event_id = v_delivery.event_id;
    IF v_known OR v_delivery.status IN ('delivered', 'cancelled') OR (p_outcome <> 'delivered' AND v_earlier) THEN
        IF v_action IN ('block', 'find') AND v_block IS NOT NULL AND NOT v_known THEN
            -- A copy of the message made another block, after the first was given back.
            v_messages := engine.keep_block(v_delivery, v_event, v_block);
        END IF;
        RETURN jsonb_build_object('messages', v_messages, 'sync', NULL);
    END IF;
    IF v_action = 'block' AND p_error = 'already_blocked' THEN
        v_verdict := engine.judge_refusal(v_delivery, p_at, v_listed);
        IF v_verdict = 'block_unconfirmed' AND v_listed IS NOT NULL AND v_delivery.status = 'pending'
           AND engine.is_wanted(v_delivery) THEN
            v_messages := engine.look_for(engine.unconfirmed_beside(v_delivery), p_at);
            v_verdict := CASE WHEN v_messages = '[]' THEN v_verdict ELSE 'awaits_release' END;
        END IF;
        v_outcome := CASE v_verdict WHEN 'ours' THEN 'delivered' WHEN 'already_blocked' THEN 'failed'
            WHEN 'block_unconfirmed' THEN p_outcome
            ELSE CASE v_delivery.status WHEN 'pending' THEN 'retrying' ELSE p_outcome END END;
        IF p_outcome = 'retrying' AND v_outcome = 'retrying' THEN
            v_verdict := 'retrying';  -- its message comes again by itself
        END IF;
        v_block := CASE v_verdict WHEN 'ours' THEN v_listed END;
        UPDATE webhook_attempts SET outcome = v_outcome
         WHERE delivery_id = p_delivery AND attempt = p_attempt AND at = p_at AND outcome <> v_outcome;
    ELSIF v_action = 'find' THEN
        v_block := coalesce(v_block, nullif(v_listed, ''));
        -- Whoever did not look proves nothing.
        v_outcome := CASE WHEN p_outcome = 'delivered' AND v_block IS NULL AND v_listed IS NULL THEN 'failed' ELSE p_outcome END;
    END IF;
    v_delivery.results_missing := v_delivery.results_missing
        -- Of what was held back to the end the last attempt may have been lost.
        OR p_outcome = 'failed' AND p_error IN ('circuit_open', 'over_limit') AND p_attempt > 0 AND NOT EXISTS (
            SELECT FROM webhook_attempts WHERE delivery_id = p_delivery AND attempt = p_attempt);
    v_reason := CASE
        WHEN v_outcome = 'retrying' AND v_verdict = 'awaits_release' THEN v_verdict
        WHEN v_outcome <> 'failed' THEN NULL
        WHEN v_verdict IN ('already_blocked', 'block_unconfirmed') THEN v_verdict
        WHEN v_verdict IN ('awaits_release', 'released') THEN v_delivery.reason
        WHEN v_action IN ('block', 'find') AND engine.may_have_blocked(v_delivery) THEN 'block_unconfirmed'
        ELSE p_error END;
    SELECT kind INTO v_kind FROM webhook_endpoints WHERE endpoint_id = v_delivery.endpoint_id;
    -- A success of an earlier round is not the repetition that somebody asked for; but a block that was made is made, and
    -- what arrived has not failed.
    UPDATE webhook_deliveries
       SET status = CASE v_outcome WHEN 'retrying' THEN status ELSE v_outcome END,
           reason = v_reason,
           results_missing = v_delivery.results_missing,
           published_at = coalesce(published_at, p_at),
           next_attempt_at = p_next,
           finished_at = CASE WHEN v_outcome <> 'retrying' THEN p_at END
     WHERE delivery_id = p_delivery AND (v_outcome <> 'retrying' OR status = 'pending')
       AND (NOT v_earlier OR v_kind = 'calendar_api' OR status = 'failed');
    IF coalesce(p_error, '') <> 'cannot_list' THEN  -- the partner's contract lets it have no list
        v_messages := v_messages || engine.judge_endpoint(v_delivery.endpoint_id, p_at, v_outcome, p_error, p_warn_after,
                                                          p_disable_after);
    END IF;

    IF v_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = v_event.appointment_id AND crm_contact_id IS NULL;
    ELSIF v_action IN ('block', 'find') AND v_block IS NOT NULL THEN
        v_messages := v_messages || engine.keep_block(v_delivery, v_event, v_block);
        v_messages := v_messages || engine.clear_conflict(v_delivery, v_event, v_block, p_at);
    ELSIF v_verdict = 'released' AND v_outcome = 'retrying' THEN
        v_messages := v_messages || engine.send_again(ARRAY[p_delivery]);
    ELSIF v_verdict IN ('already_blocked', 'block_unconfirmed') THEN
        IF v_verdict = 'already_blocked' THEN
            v_messages := v_messages || engine.mark_conflict(v_delivery, v_event, p_at);
        END IF;
        v_sync := v_event.data ->> 'coach_id';
    ELSIF v_action = 'block' AND v_outcome = 'retrying' AND v_delivery.status = 'failed' THEN
        v_messages := v_messages || engine.settle_unconfirmed(p_delivery, v_event, p_at);
    ELSIF v_action = 'release' AND v_outcome = 'delivered' THEN
        -- What the last reading took for busy was this block.
        v_sync := v_delivery.params ->> 'coach_id';
    END IF;
    IF v_coach IS NOT NULL AND v_outcome IN ('delivered', 'failed') THEN
        v_messages := v_messages || engine.send_again(ARRAY(
            SELECT delivery_id
              FROM engine.calendar_actions_over(v_coach, (v_delivery.params ->> 'start_time')::timestamptz,
                                         (v_delivery.params ->> 'end_time')::timestamptz) AS other
             WHERE status = 'pending' AND reason = 'awaits_release'
               AND engine.block_awaits(other, p_at) IS DISTINCT FROM 'awaits_release'
             ORDER BY delivery_id));
    END IF;
    RETURN jsonb_build_object('messages', v_messages, 'sync', v_sync);
END $$;

-- Records one attempt of a message that was made at revision p_revision of its endpoint; returns what apply_attempt() does
-- and "drop", whether the message is to go, as settle_message() says. A 410 says nothing of an endpoint that has another
-- address by now. Without p_revision the message cannot be taken off the queue, and stays.
CREATE OR REPLACE FUNCTION engine.record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb, p_round integer, p_revision integer,
    p_warn_after interval, p_disable_after interval
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_outcome text := p_outcome;
    v_done    jsonb;
    v_settled jsonb;
BEGIN
    IF p_outcome = 'failed' AND p_error = 'http_410' AND EXISTS (
        SELECT FROM webhook_deliveries AS d JOIN webhook_endpoints AS e USING (endpoint_id)
         WHERE d.delivery_id = p_delivery AND d.status = 'pending' AND e.kind = 'standard' AND e.enabled
           AND e.revision > p_revision) THEN
        v_outcome := 'retrying';
    END IF;
    v_done := engine.apply_attempt(p_delivery, p_attempt, p_at, v_outcome, p_status_code, p_latency_ms, p_error, p_excerpt,
                                   p_next, p_answer, p_round, p_warn_after, p_disable_after);
    IF v_outcome <> 'retrying' THEN
        RETURN v_done || '{"drop": false}';
    END IF;
    v_settled := engine.settle_message(p_delivery, p_attempt, p_at, p_round, p_revision);
    RETURN v_done || jsonb_build_object(
        'drop', v_settled -> 'drop', 'messages', (v_done -> 'messages') || (v_settled -> 'messages'));
END $$;
