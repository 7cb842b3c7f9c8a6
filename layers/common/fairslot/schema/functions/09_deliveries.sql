-- Results of delivery attempts, and what follows from them.

-- A delivery with its attempts as the API shows it.
CREATE OR REPLACE FUNCTION engine.delivery_json(d webhook_deliveries) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'delivery_id', d.delivery_id, 'event_id', d.event_id, 'event_type', event.type, 'endpoint_id', d.endpoint_id,
        'appointment_id', event.appointment_id, 'version', coalesce(event.version, 1), 'status', d.status, 'reason', d.reason,
        'created_at', engine.zulu(d.created_at), 'finished_at', engine.zulu(d.finished_at),
        'next_attempt_at', engine.zulu(d.next_attempt_at),
        'attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'round', a.round, 'attempt', a.attempt, 'at', engine.zulu(a.at), 'status_code', a.status_code,
                'latency_ms', a.latency_ms, 'error', a.error, 'response_excerpt', a.response_excerpt)
                ORDER BY a.at, a.attempt), '[]')
            FROM webhook_attempts AS a WHERE a.delivery_id = d.delivery_id))
      FROM changes AS event WHERE event.change_id = d.event_id
$$;

-- What becomes of a message that is to be retried: {"drop": whether to delete it, "messages": [what replaces it]}. It
-- is dropped if its delivery has ended or begun another round, if its block is known to be refused, or if the endpoint
-- has changed since: then a new message replaces it and goes on counting attempts, or the delivery ends where the
-- endpoint is turned off. Results of the message that was replaced may be missing.
CREATE OR REPLACE FUNCTION engine.drop_or_replace_message(
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

-- Stores an attempt and returns whether it is new. A delivery that was held back (circuit_open, over_limit) was not
-- attempted.
CREATE OR REPLACE FUNCTION engine.store_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_round integer
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_error IN ('circuit_open', 'over_limit') THEN
        RETURN true;
    END IF;
    INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt, round)
    VALUES (p_delivery, p_attempt, p_at, p_outcome, p_status_code, p_latency_ms, p_error,
            CASE WHEN NOT engine.is_forgotten(p_delivery) THEN p_excerpt END, p_round)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

-- What an answer means, which the calendar API's refusals and searches do not say by themselves: the outcome, what a
-- refusal means (as classify_refusal() says, or "retrying": the same message comes again), the block's id, and messages
-- for the queue.
CREATE OR REPLACE FUNCTION engine.interpret_answer(
    d webhook_deliveries, p_at timestamptz, p_outcome text, p_error text, p_answer jsonb,
    OUT outcome text, OUT refusal text, OUT block text, OUT messages jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_listed text := coalesce(p_answer ->> 'found_block_id', CASE WHEN p_answer ? 'absent' THEN '' END);
BEGIN
    outcome := p_outcome;
    block := p_answer ->> 'block_id';
    messages := '[]';
    IF d.params ->> 'action' = 'block' AND p_error = 'already_blocked' THEN
        refusal := engine.classify_refusal(d => d, p_at => p_at, p_listed => v_listed);
        IF refusal = 'block_unconfirmed' AND v_listed IS NOT NULL AND d.status = 'pending' AND engine.block_is_needed(d) THEN
            messages := engine.find_blocks(engine.unconfirmed_overlapping(d), p_at);
            refusal := CASE WHEN messages = '[]' THEN refusal ELSE 'awaits_release' END;
        END IF;
        block := CASE refusal WHEN 'ours' THEN v_listed END;
        outcome := CASE refusal WHEN 'ours' THEN 'delivered' WHEN 'already_blocked' THEN 'failed'
            WHEN 'block_unconfirmed' THEN p_outcome
            ELSE CASE d.status WHEN 'pending' THEN 'retrying' ELSE p_outcome END END;
        IF p_outcome = 'retrying' AND outcome = 'retrying' THEN
            refusal := 'retrying';
        END IF;
    ELSIF d.params ->> 'action' = 'find' THEN
        block := coalesce(block, nullif(v_listed, ''));
        -- Without the partner's list a search proves nothing.
        IF p_outcome = 'delivered' AND block IS NULL AND v_listed IS NULL THEN
            outcome := 'failed';
        END IF;
    END IF;
END $$;

-- Updates a delivery after an attempt that reported p_reported, which means p_outcome and p_refusal. A success of an
-- earlier round (p_is_earlier) does not end the replay, except that a block exists once it is made, and what arrived
-- has not failed.
CREATE OR REPLACE FUNCTION engine.update_delivery(
    d webhook_deliveries, p_kind text, p_attempt integer, p_at timestamptz, p_error text, p_next timestamptz,
    p_is_earlier boolean, p_reported text, p_outcome text, p_refusal text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_reason text;
BEGIN
    -- The delivery was held back until it ended: its last attempt may have been lost.
    IF p_reported = 'failed' AND p_error IN ('circuit_open', 'over_limit') AND p_attempt > 0 THEN
        d.results_missing := d.results_missing OR NOT EXISTS (
            SELECT FROM webhook_attempts WHERE delivery_id = d.delivery_id AND attempt = p_attempt);
    END IF;
    v_reason := CASE
        WHEN p_outcome = 'retrying' AND p_refusal = 'awaits_release' THEN p_refusal
        WHEN p_outcome <> 'failed' THEN NULL
        WHEN p_refusal IN ('already_blocked', 'block_unconfirmed') THEN p_refusal
        WHEN p_refusal IN ('awaits_release', 'released') THEN d.reason
        WHEN d.params ->> 'action' IN ('block', 'find') AND engine.may_have_blocked(d) THEN 'block_unconfirmed'
        ELSE p_error END;
    UPDATE webhook_deliveries
       SET status = CASE p_outcome WHEN 'retrying' THEN status ELSE p_outcome END,
           reason = v_reason,
           results_missing = d.results_missing,
           published_at = coalesce(published_at, p_at),
           next_attempt_at = p_next,
           finished_at = CASE WHEN p_outcome <> 'retrying' THEN p_at END
     WHERE delivery_id = d.delivery_id AND (p_outcome <> 'retrying' OR status = 'pending')
       AND (NOT p_is_earlier OR p_kind = 'calendar_api' OR status = 'failed');
END $$;

-- Applies an answer to the event's appointment: stores the CRM's id or the block, marks or clears a conflict. Returns
-- the messages for the queue, whether the appointment changed, and the coach whose calendar must be read again, or null.
CREATE OR REPLACE FUNCTION engine.apply_answer(
    d webhook_deliveries, p_event changes, p_kind text, p_at timestamptz, p_answer jsonb, p_outcome text,
    p_refusal text, p_block text, OUT messages jsonb, OUT changed boolean, OUT sync text
) LANGUAGE plpgsql AS $$
DECLARE
    v_action text := d.params ->> 'action';
BEGIN
    messages := '[]';
    changed := false;
    IF p_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = p_event.appointment_id AND crm_contact_id IS NULL AND forgotten_at IS NULL;
    ELSIF v_action IN ('block', 'find') AND p_block IS NOT NULL THEN
        messages := engine.attach_block(p_delivery => d, p_event => p_event, p_block => p_block);
        changed := engine.clear_conflict(p_delivery => d, p_event => p_event, p_block => p_block, p_at => p_at);
    ELSIF p_refusal = 'released' AND p_outcome = 'retrying' THEN
        messages := engine.requeue_deliveries(ARRAY[d.delivery_id]);
    ELSIF p_refusal IN ('already_blocked', 'block_unconfirmed') THEN
        IF p_refusal = 'already_blocked' THEN
            changed := engine.mark_conflict(p_delivery => d, p_event => p_event, p_at => p_at);
        END IF;
        sync := (p_event.after).coach_id;
    ELSIF v_action = 'block' AND p_outcome = 'retrying' AND d.status = 'failed' THEN
        changed := engine.resolve_unconfirmed(p_delivery => d.delivery_id, p_event => p_event, p_at => p_at);
    ELSIF v_action = 'release' AND p_outcome = 'delivered' THEN
        -- The last reading counted this block as busy.
        sync := d.params ->> 'coach_id';
    END IF;
END $$;

-- Requeues the blocks that waited for a delivery that has just ended; returns the messages for the queue.
CREATE OR REPLACE FUNCTION engine.requeue_waiting_blocks(d webhook_deliveries, p_at timestamptz) RETURNS jsonb
    LANGUAGE sql AS $$
    SELECT engine.requeue_deliveries(ARRAY(
        SELECT delivery_id
          FROM engine.actions_overlapping_delivery(d) AS other
         WHERE status = 'pending' AND reason = 'awaits_release'
           AND engine.release_state(other, p_at) IS DISTINCT FROM 'awaits_release'
         ORDER BY delivery_id))
$$;

-- Stores an attempt and applies its answer; returns {"messages": [for the queue], "changed": whether there is a change to
-- tell of, "sync": the coach whose calendar must be read again, or null}. With the outcome "held" there was no attempt: the
-- delivery says why it waits, and until when. Results may come late or twice: what was delivered stays delivered, a success
-- undoes a failure, and a failure of an earlier round says nothing about this one.
CREATE OR REPLACE FUNCTION engine.apply_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb, p_round integer,
    p_warn_after interval, p_disable_after interval
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_coach      text := (SELECT params ->> 'coach_id' FROM webhook_deliveries
                           WHERE delivery_id = p_delivery AND params ? 'action');
    d            webhook_deliveries;
    v_event      changes;
    v_kind       text;
    v_is_earlier boolean;
    v_is_new     boolean;
    v_meaning    record;
    v_done       record;
    v_messages   jsonb := '[]';
    v_changed    boolean := false;
BEGIN
    IF v_coach IS NOT NULL AND (p_outcome IN ('delivered', 'failed') OR p_error = 'already_blocked') THEN
        PERFORM engine.lock_external_calendar(v_coach);
    END IF;
    SELECT * INTO d FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"messages": [], "changed": false, "sync": null}';
    END IF;
    v_is_earlier := p_round < d.round;
    IF p_outcome = 'held' THEN
        UPDATE webhook_deliveries
           SET reason = p_error, published_at = coalesce(published_at, p_at), next_attempt_at = p_next
         WHERE delivery_id = p_delivery AND status = 'pending' AND NOT v_is_earlier;
        RETURN '{"messages": [], "changed": false, "sync": null}';
    END IF;
    v_is_new := engine.store_attempt(p_delivery => p_delivery, p_attempt => p_attempt, p_at => p_at, p_outcome => p_outcome,
                                     p_status_code => p_status_code, p_latency_ms => p_latency_ms, p_error => p_error,
                                     p_excerpt => p_excerpt, p_round => p_round);
    SELECT * INTO v_event FROM changes WHERE change_id = d.event_id;
    IF NOT v_is_new OR d.status IN ('delivered', 'cancelled') OR (p_outcome <> 'delivered' AND v_is_earlier) THEN
        IF d.params ->> 'action' IN ('block', 'find') AND p_answer ->> 'block_id' IS NOT NULL AND v_is_new THEN
            -- A copy of the message made another block, after the first was released.
            v_messages := engine.attach_block(p_delivery => d, p_event => v_event, p_block => p_answer ->> 'block_id');
        ELSIF d.params ? 'write' AND v_is_new AND p_outcome = 'delivered' THEN
            v_messages := (engine.note_calendar_answer(d => d, p_at => p_at + p_latency_ms * interval '1 ms',
                                                       p_outcome => p_outcome, p_error => p_error,
                                                       p_answer => p_answer)).messages;
        END IF;
        RETURN jsonb_build_object('messages', v_messages, 'changed', false, 'sync', NULL);
    END IF;
    SELECT kind INTO v_kind FROM webhook_endpoints WHERE endpoint_id = d.endpoint_id;
    v_meaning := engine.interpret_answer(d => d, p_at => p_at, p_outcome => p_outcome, p_error => p_error,
                                         p_answer => p_answer);
    IF v_meaning.refusal IS NOT NULL THEN
        UPDATE webhook_attempts SET outcome = v_meaning.outcome
         WHERE delivery_id = p_delivery AND attempt = p_attempt AND at = p_at AND outcome <> v_meaning.outcome;
    END IF;
    PERFORM engine.update_delivery(d => d, p_kind => v_kind, p_attempt => p_attempt, p_at => p_at, p_error => p_error,
                                   p_next => p_next, p_is_earlier => v_is_earlier, p_reported => p_outcome,
                                   p_outcome => v_meaning.outcome, p_refusal => v_meaning.refusal);
    IF d.params ? 'write' THEN  -- its endpoint stands for many calendars, each with a health of its own
        v_done := engine.note_calendar_answer(d => d, p_at => p_at + p_latency_ms * interval '1 ms', p_outcome => p_outcome,
                                              p_error => p_error, p_answer => p_answer);
        RETURN jsonb_build_object('messages', v_done.messages, 'changed', v_done.changed, 'sync', NULL);
    ELSIF p_error IS DISTINCT FROM 'cannot_list' THEN  -- the calendar API may have no list of blocks
        v_changed := engine.update_endpoint_health(p_endpoint => d.endpoint_id, p_at => p_at,
                                                   p_outcome => v_meaning.outcome, p_error => p_error,
                                                   p_warn_after => p_warn_after, p_disable_after => p_disable_after);
    END IF;
    v_done := engine.apply_answer(d => d, p_event => v_event, p_kind => v_kind, p_at => p_at, p_answer => p_answer,
                                  p_outcome => v_meaning.outcome, p_refusal => v_meaning.refusal,
                                  p_block => v_meaning.block);
    v_messages := v_meaning.messages || v_done.messages;
    IF v_coach IS NOT NULL AND v_meaning.outcome IN ('delivered', 'failed') THEN
        v_messages := v_messages || engine.requeue_waiting_blocks(d, p_at);
    END IF;
    RETURN jsonb_build_object('messages', v_messages, 'changed', v_changed OR v_done.changed, 'sync', v_done.sync);
END $$;

-- Records an attempt of a message made at the endpoint's revision p_revision: as apply_attempt(), and "drop" as
-- drop_or_replace_message(). A 410 of an address that has been replaced since says nothing of the endpoint. Without
-- p_revision the message stays on the queue.
CREATE OR REPLACE FUNCTION engine.record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb, p_round integer, p_revision integer,
    p_warn_after interval, p_disable_after interval
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_outcome text := p_outcome;
    v_done    jsonb;
    v_settled jsonb;
BEGIN
    IF p_outcome = 'failed' AND p_error = 'http_410' THEN
        IF EXISTS (SELECT FROM webhook_deliveries AS d JOIN webhook_endpoints AS e USING (endpoint_id)
                    WHERE d.delivery_id = p_delivery AND d.status = 'pending' AND e.kind = 'standard' AND e.enabled
                      AND e.revision > p_revision) THEN
            v_outcome := 'retrying';
        END IF;
    END IF;
    v_done := engine.apply_attempt(p_delivery => p_delivery, p_attempt => p_attempt, p_at => p_at, p_outcome => v_outcome,
                                   p_status_code => p_status_code, p_latency_ms => p_latency_ms, p_error => p_error,
                                   p_excerpt => p_excerpt, p_next => p_next, p_answer => p_answer, p_round => p_round,
                                   p_warn_after => p_warn_after, p_disable_after => p_disable_after);
    IF v_outcome <> 'retrying' THEN
        RETURN v_done || '{"drop": false}';
    END IF;
    v_settled := engine.drop_or_replace_message(p_delivery => p_delivery, p_attempt => p_attempt, p_at => p_at,
                                                p_round => p_round, p_revision => p_revision);
    RETURN v_done || jsonb_build_object(
        'drop', v_settled -> 'drop', 'messages', (v_done -> 'messages') || (v_settled -> 'messages'));
END $$;
