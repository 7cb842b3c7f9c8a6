-- A block that is our own is no conflict, though nobody lived to say that we have it, or another result was faster.

ALTER TABLE coach_appointments ADD COLUMN conflict_delivery uuid;
COMMENT ON COLUMN coach_appointments.conflict_delivery IS
    'the block whose refusal alone made it a conflict; null: something else did, or it was before this was noted';

-- Whether the calendar may have got a block of which we know nothing: an attempt ended without an answer, or before it was
-- reported. Every attempt but the first has one before it that was to be repeated; if that is not on record, whoever made
-- it died, or its result is still on its way.
CREATE FUNCTION may_have_blocked(p_delivery uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM webhook_attempts AS made
         WHERE made.delivery_id = p_delivery
           AND (made.error IN ('timeout', 'connection', 'invalid_body')
                OR made.attempt > 1 AND NOT EXISTS (
                    SELECT FROM webhook_attempts AS before
                     WHERE before.delivery_id = p_delivery AND before.attempt = made.attempt - 1
                       AND before.outcome = 'retrying' AND coalesce(before.round, 1) = coalesce(made.round, 1))))
$$;

-- Marks an appointment whose time somebody took outside this system, and notes which refusal says so; returns the messages
-- that the queue must get. What may be our own block is no conflict, nor is it one to be refused another block.
CREATE OR REPLACE FUNCTION mark_conflict(p_delivery webhook_deliveries, p_event webhook_events, p_at timestamptz) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments AS appointment
       SET conflict = true, conflict_delivery = p_delivery.delivery_id, version = version + 1,
           updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND status = 'scheduled' AND NOT conflict AND external_calendar_id IS NULL
       AND coach_id = p_event.data ->> 'coach_id' AND zulu(start_time) = p_event.data ->> 'start_time'
       AND NOT may_have_blocked(p_delivery.delivery_id)
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;

-- Takes back a conflict that is none: what refused the block was the same block, sent twice, which the appointment has now.
-- Subscribers are told that the appointment changed. Returns the messages that the queue must get.
CREATE FUNCTION clear_conflict(p_delivery webhook_deliveries, p_event webhook_events, p_block text, p_at timestamptz)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments
       SET conflict = false, conflict_delivery = NULL, version = version + 1, updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND conflict AND conflict_delivery = p_delivery.delivery_id
       AND external_calendar_id = p_block
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN emit_event('appointment.updated', a, a) ELSE '[]' END;
END $$;

-- As in 0010; what a refused block made a conflict stays one from now on, whatever becomes of the block.
CREATE OR REPLACE FUNCTION mark_unavailable(p_appointment uuid, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments SET conflict_delivery = NULL
     WHERE appointment_id = p_appointment AND conflict_delivery IS NOT NULL;
    UPDATE coach_appointments SET conflict = true, version = version + 1, updated_at = p_now
     WHERE appointment_id = p_appointment AND NOT conflict
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;

-- Records one attempt, with the round that it is of, or with the outcome "held" that a delivery waits and none was made: then
-- it says why, and when it is looked at again. An attempt that was not made is none either when it ends the delivery:
-- nothing was sent. A block that met one of ours that goes is tried again: at once if that is gone by now, else when it is;
-- one that is known takes back what its refusal told; one that is recorded late may show a refusal to be a conflict.
-- Returns {"messages": [to publish], "sync": coach whose calendar should be read again, or null}. The defaults serve code
-- that does not know of the last parameters yet.
DROP FUNCTION record_attempt(uuid, integer, timestamptz, text, integer, integer, text, text, timestamptz, jsonb);
COMMENT ON COLUMN webhook_deliveries.reason IS
    'why it failed: the last attempt''s error, dead_letter or endpoint_disabled; while it is pending, why nothing is sent';
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
    v_coach    text := (SELECT params ->> 'coach_id' FROM webhook_deliveries WHERE delivery_id = p_delivery AND params ? 'action');
    v_outcome  text := p_outcome;
    v_awaits   text;
BEGIN
    IF v_coach IS NOT NULL AND p_outcome IN ('delivered', 'failed') THEN
        PERFORM lock_external(v_coach);
    END IF;
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
    END IF;
    IF p_error = 'already_blocked' AND v_delivery.params ->> 'action' = 'block' AND v_delivery.status = 'pending' AND NOT v_earlier THEN
        v_awaits := block_awaits(v_delivery, p_at);
        v_outcome := CASE WHEN v_awaits IS NULL THEN p_outcome ELSE 'retrying' END;
    END IF;
    IF coalesce(p_error, '') NOT IN ('circuit_open', 'over_limit') THEN
        INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt, round)
        VALUES (p_delivery, p_attempt, p_at, v_outcome, p_status_code, p_latency_ms, p_error, p_excerpt, p_round)
        ON CONFLICT DO NOTHING;
        v_known := NOT FOUND;
    END IF;
    -- Results may come late or twice: what was delivered stays delivered, and a success undoes a failure. What failed
    -- in an earlier round says nothing about this one.
    IF v_known OR v_delivery.status IN ('delivered', 'cancelled') OR (v_outcome <> 'delivered' AND v_earlier) THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    SELECT kind INTO v_kind FROM webhook_endpoints WHERE endpoint_id = v_delivery.endpoint_id;
    -- A success of an earlier round is not the repetition that somebody asked for; but a block that was made is made, and
    -- what arrived has not failed.
    UPDATE webhook_deliveries
       SET status = CASE v_outcome WHEN 'retrying' THEN status ELSE v_outcome END,
           reason = CASE WHEN v_outcome = 'failed' THEN p_error ELSE nullif(v_awaits, 'released') END,
           published_at = coalesce(published_at, p_at),
           next_attempt_at = p_next,
           finished_at = CASE WHEN v_outcome <> 'retrying' THEN p_at END
     WHERE delivery_id = p_delivery AND (v_outcome <> 'retrying' OR status = 'pending')
       AND (NOT v_earlier OR v_kind = 'calendar_api' OR status = 'failed');
    SELECT * INTO v_event FROM webhook_events WHERE event_id = v_delivery.event_id;
    v_messages := judge_endpoint(v_delivery.endpoint_id, p_at, v_outcome, p_error, p_warn_after, p_disable_after);

    IF v_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = v_event.appointment_id AND crm_contact_id IS NULL;
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_answer ->> 'block_id' IS NOT NULL THEN
        v_messages := v_messages || keep_block(v_delivery, v_event, p_answer ->> 'block_id');
        v_messages := v_messages || clear_conflict(v_delivery, v_event, p_answer ->> 'block_id', p_at);
    ELSIF v_awaits = 'released' THEN
        v_messages := v_messages || send_again(ARRAY[p_delivery]);
    ELSIF v_delivery.params ->> 'action' = 'block' AND p_error = 'already_blocked' AND v_awaits IS NULL THEN
        v_messages := v_messages || mark_conflict(v_delivery, v_event, p_at);
        v_sync := v_event.data ->> 'coach_id';
    ELSIF v_delivery.params ->> 'action' = 'block' AND v_outcome = 'retrying' AND v_delivery.status = 'failed'
          AND v_delivery.reason = 'already_blocked' THEN
        -- It was made before the refusal and is recorded after it: now that may be known to be a conflict.
        v_messages := v_messages || mark_conflict(v_delivery, v_event, p_at);
    ELSIF v_delivery.params ->> 'action' = 'release' AND v_outcome = 'delivered' THEN
        -- What the last reading took for busy was this block.
        v_sync := v_delivery.params ->> 'coach_id';
    END IF;
    IF v_coach IS NOT NULL AND v_outcome IN ('delivered', 'failed') THEN
        v_messages := v_messages || send_again(ARRAY(
            SELECT delivery_id
              FROM calendar_actions_over(v_coach, (v_delivery.params ->> 'start_time')::timestamptz,
                                         (v_delivery.params ->> 'end_time')::timestamptz) AS other
             WHERE status = 'pending' AND reason = 'awaits_release' AND block_awaits(other, p_at) IS DISTINCT FROM 'awaits_release'
             ORDER BY delivery_id));
    END IF;
    RETURN jsonb_build_object('messages', v_messages, 'sync', v_sync);
END $$;
