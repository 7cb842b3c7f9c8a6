-- A refused block is somebody else's only where no attempt of ours can have got through, in any round and however often its
-- message was sent. Where one can have, the block is unconfirmed: looked for in the partner's list, and shown until it is
-- found or known not to be there. Why so: docs/decisions/0043.

ALTER TABLE webhook_deliveries
    ADD COLUMN results_missing   boolean NOT NULL DEFAULT false,
    ADD COLUMN unconfirmed_since timestamptz,
    ADD COLUMN looked_at         timestamptz;
COMMENT ON COLUMN webhook_deliveries.results_missing IS
    'it was sent again, or ended, though an attempt may have been made whose result is not on record';
COMMENT ON COLUMN webhook_deliveries.unconfirmed_since IS
    'since when a calendar may hold its block without our knowing the id; null: it is known, or cannot be there';
COMMENT ON COLUMN webhook_deliveries.looked_at IS 'when its block was last looked for';
COMMENT ON COLUMN webhook_deliveries.reason IS
    'why it failed: the last attempt''s error, block_unconfirmed, dead_letter or endpoint_disabled; while it is pending, why
     nothing is sent: what holds it back, or awaits_release: it met a block of ours that goes or is looked for';
CREATE INDEX webhook_deliveries_unconfirmed ON webhook_deliveries (delivery_id) WHERE unconfirmed_since IS NOT NULL;

ALTER TABLE coach_appointments ADD COLUMN block_unconfirmed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN coach_appointments.block_unconfirmed IS
    'a block of it may be in a calendar, at its time or one that it was moved from, whose id is not known';

CREATE OR REPLACE FUNCTION appointment_json(a coach_appointments) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'contact_name', a.contact_name, 'contact_email', a.contact_email,
        'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version, 'notes', a.notes, 'metadata', a.metadata,
        'crm_contact_id', a.crm_contact_id, 'external_calendar_id', a.external_calendar_id,
        'external_block', CASE WHEN a.block_unconfirmed THEN 'unconfirmed'
                               WHEN a.external_calendar_id IS NOT NULL AND a.status <> 'cancelled' THEN 'confirmed' END,
        'conflict', a.conflict, 'created_at', zulu(a.created_at), 'updated_at', zulu(a.updated_at),
        'cancelled_at', zulu(a.cancelled_at));

-- Whether the calendar may have got a block of which we know nothing: a result is missing, an attempt ended without an answer
-- or with one that does not say that nothing was done, or before it was reported. Every attempt but a series' first has one
-- before it that was to be repeated; if that is not on record, whoever made it died, or its result is still on its way.
DROP FUNCTION mark_conflict(webhook_deliveries, webhook_events, timestamptz);
DROP FUNCTION may_have_blocked(uuid);
CREATE FUNCTION may_have_blocked(d webhook_deliveries) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT d.results_missing OR EXISTS (
        SELECT FROM webhook_attempts AS made
         WHERE made.delivery_id = d.delivery_id
           AND (made.error IN ('timeout', 'connection', 'invalid_body', 'internal')
                OR made.error ~ '^http_5' AND made.error NOT IN ('http_501', 'http_503')
                OR made.attempt > 1 AND NOT EXISTS (
                    SELECT FROM webhook_attempts AS before
                     WHERE before.delivery_id = d.delivery_id AND before.attempt = made.attempt - 1
                       AND before.outcome = 'retrying' AND coalesce(before.round, 1) = coalesce(made.round, 1))))
$$;

-- Whether an appointment still stands where a delivery's block was to be.
CREATE FUNCTION is_wanted(d webhook_deliveries) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM webhook_events AS event JOIN coach_appointments AS a USING (appointment_id)
                    WHERE event.event_id = d.event_id AND a.status <> 'cancelled' AND a.coach_id = d.params ->> 'coach_id'
                      AND zulu(a.start_time) = d.params ->> 'start_time')
$$;

-- Whether a block at a delivery's time is another appointment's, or is being given back.
CREATE FUNCTION is_anothers(d webhook_deliveries, p_block text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM coach_appointments AS a
                    WHERE a.coach_id = d.params ->> 'coach_id' AND a.start_time = (d.params ->> 'start_time')::timestamptz
                      AND a.external_calendar_id = p_block
                      AND a.appointment_id <> (SELECT appointment_id FROM webhook_events WHERE event_id = d.event_id))
        OR EXISTS (SELECT FROM calendar_actions_over(d.params ->> 'coach_id', (d.params ->> 'start_time')::timestamptz,
                                                     (d.params ->> 'end_time')::timestamptz) AS other
                    WHERE other.params ->> 'action' = 'release' AND other.params ->> 'block_id' = p_block)
$$;

-- Other deliveries over a delivery's time whose blocks may be in the calendar without our knowing.
CREATE FUNCTION unconfirmed_beside(d webhook_deliveries) RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT other.delivery_id
                   FROM calendar_actions_over(d.params ->> 'coach_id', (d.params ->> 'start_time')::timestamptz,
                                              (d.params ->> 'end_time')::timestamptz) AS other
                  WHERE other.delivery_id <> d.delivery_id AND other.unconfirmed_since IS NOT NULL
                  ORDER BY other.delivery_id)
$$;

-- What a calendar's refusal means. p_listed is the block at that very time in the partner's list: '' if there is none, null
-- if the list was not to be had. "ours": the block that is there is this delivery's; "awaits_release" and "released": as
-- block_awaits; "block_unconfirmed": it may be ours, or another's whose block is unconfirmed; "already_blocked": somebody
-- took that time outside this system.
CREATE FUNCTION judge_refusal(d webhook_deliveries, p_at timestamptz, p_listed text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_may    boolean := may_have_blocked(d);
    v_awaits text;
BEGIN
    IF v_may AND p_listed <> '' AND NOT is_anothers(d, p_listed) THEN
        RETURN 'ours';
    END IF;
    v_awaits := block_awaits(d, p_at);
    IF v_awaits IS NOT NULL THEN
        RETURN v_awaits;
    ELSIF v_may AND p_listed IS NULL OR unconfirmed_beside(d) <> '{}' THEN
        RETURN 'block_unconfirmed';
    END IF;
    RETURN 'already_blocked';
END $$;

-- The one place that notes that a block is unconfirmed, or no longer, whoever ends its delivery.
CREATE FUNCTION note_unconfirmed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.unconfirmed_since := CASE
        WHEN NEW.status = 'pending' THEN OLD.unconfirmed_since
        WHEN NEW.status <> 'delivered' AND NEW.reason IS DISTINCT FROM 'already_blocked'
             AND (NEW.reason = 'block_unconfirmed' OR may_have_blocked(NEW))
        THEN coalesce(OLD.unconfirmed_since, NEW.finished_at, now()) END;
    IF (NEW.unconfirmed_since IS NULL) <> (OLD.unconfirmed_since IS NULL) THEN
        UPDATE coach_appointments AS a
           SET block_unconfirmed = NEW.unconfirmed_since IS NOT NULL OR EXISTS (
               SELECT FROM webhook_events AS event JOIN webhook_deliveries AS other USING (event_id)
                WHERE event.appointment_id = a.appointment_id AND other.delivery_id <> NEW.delivery_id
                  AND other.unconfirmed_since IS NOT NULL)
         WHERE a.appointment_id = (SELECT appointment_id FROM webhook_events WHERE event_id = NEW.event_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_deliveries_unconfirmed BEFORE UPDATE ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.params ->> 'action' IN ('block', 'find')
                       AND (NEW.status, NEW.reason) IS DISTINCT FROM (OLD.status, OLD.reason))
    EXECUTE FUNCTION note_unconfirmed();

-- Begins a round that makes no block and only looks for the one that may be there: nobody wants it any more. Returns the
-- messages that the queue must get.
CREATE FUNCTION look_for(p_deliveries uuid[], p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_deliveries
       SET params = params || '{"action": "find"}', status = 'pending', round = round + 1, replayed_at = p_now,
           looked_at = p_now, published_at = NULL, next_attempt_at = NULL, finished_at = NULL, reason = NULL
     WHERE delivery_id = ANY (p_deliveries) AND status = 'failed';
    RETURN (SELECT coalesce(jsonb_agg(message), '[]') FROM delivery_messages JOIN webhook_deliveries USING (delivery_id)
             WHERE delivery_id = ANY (p_deliveries) AND looked_at = p_now);
END $$;

-- Keeps the block that the calendar has for an event, or has it released when the appointment has moved on meanwhile or has
-- another; one that another appointment has, or that is being given back, stays as it is. Returns the messages that the
-- queue must get.
CREATE OR REPLACE FUNCTION keep_block(p_delivery webhook_deliveries, p_event webhook_events, p_block text) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    v_release uuid;
BEGIN
    IF is_anothers(p_delivery, p_block) THEN
        RETURN '[]';
    END IF;
    UPDATE coach_appointments AS a SET external_calendar_id = p_block
     WHERE a.appointment_id = p_event.appointment_id AND a.status <> 'cancelled'
       AND a.coach_id = p_event.data ->> 'coach_id' AND zulu(a.start_time) = p_event.data ->> 'start_time'
       AND coalesce(a.external_calendar_id, p_block) = p_block;
    IF FOUND THEN
        RETURN '[]';
    END IF;
    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    VALUES (p_event.event_id, p_delivery.endpoint_id, p_delivery.params || jsonb_build_object('action', 'release', 'block_id', p_block))
    RETURNING delivery_id INTO v_release;
    RETURN (SELECT jsonb_agg(message) FROM delivery_messages WHERE delivery_id = v_release);
END $$;

-- Marks an appointment whose time somebody took outside this system, and notes which refusal says so; returns the messages
-- that the queue must get. One that has its block needs no other.
CREATE FUNCTION mark_conflict(p_delivery webhook_deliveries, p_event webhook_events, p_at timestamptz) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments AS appointment
       SET conflict = true, conflict_delivery = p_delivery.delivery_id, version = version + 1,
           updated_at = greatest(updated_at, p_at)
     WHERE appointment_id = p_event.appointment_id AND status = 'scheduled' AND NOT conflict AND external_calendar_id IS NULL
       AND coach_id = p_event.data ->> 'coach_id' AND zulu(start_time) = p_event.data ->> 'start_time'
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;

-- What an attempt that is recorded late tells of a block that is unconfirmed: once every attempt is on record and none can
-- have got through, what ended the delivery stands. Returns the messages that the queue must get.
CREATE FUNCTION settle_unconfirmed(p_delivery uuid, p_event webhook_events, p_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    d       webhook_deliveries;
    v_error text;
BEGIN
    SELECT * INTO d FROM webhook_deliveries WHERE delivery_id = p_delivery;
    IF d.status <> 'failed' OR d.unconfirmed_since IS NULL OR may_have_blocked(d) OR unconfirmed_beside(d) <> '{}' THEN
        RETURN '[]';
    END IF;
    SELECT error INTO v_error FROM webhook_attempts
     WHERE delivery_id = p_delivery AND outcome = 'failed' AND coalesce(round, 1) = d.round ORDER BY at DESC LIMIT 1;
    UPDATE webhook_deliveries SET reason = v_error WHERE delivery_id = p_delivery;
    RETURN CASE WHEN v_error = 'already_blocked' THEN mark_conflict(d, p_event, p_at) ELSE '[]' END;
END $$;

-- Records one attempt, with the round that it is of, or with the outcome "held" that a delivery waits and none was made: then
-- it says why, and when it is looked at again. An attempt that was not made is none either when it ends the delivery:
-- nothing was sent. A block that was refused is ours, waits for what goes, is unconfirmed or a conflict (judge_refusal);
-- one that is known takes back what its refusal told; one that is recorded late may show a refusal to be a conflict.
-- Returns {"messages": [to publish], "sync": coach whose calendar should be read again, or null}. The defaults serve code
-- that does not know of the last parameters yet.
CREATE OR REPLACE FUNCTION record_attempt(
    p_delivery uuid, p_attempt integer, p_at timestamptz, p_outcome text, p_status_code integer, p_latency_ms integer,
    p_error text, p_excerpt text, p_next timestamptz, p_answer jsonb, p_round integer DEFAULT NULL,
    p_warn_after interval DEFAULT '4 days', p_disable_after interval DEFAULT '5 days'
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
    v_coach    text := (SELECT params ->> 'coach_id' FROM webhook_deliveries WHERE delivery_id = p_delivery AND params ? 'action');
    v_outcome  text := p_outcome;
    v_verdict  text;
    v_reason   text;
    v_listed   text := coalesce(p_answer ->> 'found_block_id', CASE WHEN p_answer ? 'absent' THEN '' END);
    v_block    text := p_answer ->> 'block_id';
BEGIN
    IF v_coach IS NOT NULL AND (p_outcome IN ('delivered', 'failed') OR p_error = 'already_blocked') THEN
        PERFORM lock_external(v_coach);
    END IF;
    SELECT * INTO v_delivery FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"messages": [], "sync": null}';
    END IF;
    v_action := v_delivery.params ->> 'action';
    v_earlier := coalesce(p_round < v_delivery.round, p_at < v_delivery.replayed_at, false);
    IF p_outcome = 'held' THEN
        UPDATE webhook_deliveries
           SET reason = p_error, published_at = coalesce(published_at, p_at), next_attempt_at = p_next
         WHERE delivery_id = p_delivery AND status = 'pending' AND NOT v_earlier;
        RETURN '{"messages": [], "sync": null}';
    END IF;
    IF coalesce(p_error, '') NOT IN ('circuit_open', 'over_limit') THEN
        INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, status_code, latency_ms, error, response_excerpt, round)
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
            v_messages := keep_block(v_delivery, v_event, v_block);
        END IF;
        RETURN jsonb_build_object('messages', v_messages, 'sync', NULL);
    END IF;
    IF v_action = 'block' AND p_error = 'already_blocked' THEN
        v_verdict := judge_refusal(v_delivery, p_at, v_listed);
        IF v_verdict = 'block_unconfirmed' AND v_listed IS NOT NULL AND v_delivery.status = 'pending' AND is_wanted(v_delivery) THEN
            v_messages := look_for(unconfirmed_beside(v_delivery), p_at);
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
        -- A dispatcher of before does not know how to look.
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
        WHEN v_action IN ('block', 'find') AND may_have_blocked(v_delivery) THEN 'block_unconfirmed'
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
        v_messages := v_messages || judge_endpoint(v_delivery.endpoint_id, p_at, v_outcome, p_error, p_warn_after, p_disable_after);
    END IF;

    IF v_kind = 'crm' AND p_answer ->> 'crm_id' IS NOT NULL THEN
        UPDATE coach_appointments SET crm_contact_id = p_answer ->> 'crm_id'
         WHERE appointment_id = v_event.appointment_id AND crm_contact_id IS NULL;
    ELSIF v_action IN ('block', 'find') AND v_block IS NOT NULL THEN
        v_messages := v_messages || keep_block(v_delivery, v_event, v_block);
        v_messages := v_messages || clear_conflict(v_delivery, v_event, v_block, p_at);
    ELSIF v_verdict = 'released' AND v_outcome = 'retrying' THEN
        v_messages := v_messages || send_again(ARRAY[p_delivery]);
    ELSIF v_verdict IN ('already_blocked', 'block_unconfirmed') THEN
        IF v_verdict = 'already_blocked' THEN
            v_messages := v_messages || mark_conflict(v_delivery, v_event, p_at);
        END IF;
        v_sync := v_event.data ->> 'coach_id';
    ELSIF v_action = 'block' AND v_outcome = 'retrying' AND v_delivery.status = 'failed' THEN
        v_messages := v_messages || settle_unconfirmed(p_delivery, v_event, p_at);
    ELSIF v_action = 'release' AND v_outcome = 'delivered' THEN
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

-- As in 0017; one that is known to be refused goes too, and what takes a message's place may leave that one behind.
CREATE OR REPLACE FUNCTION settle_message(p_delivery uuid, p_attempt integer, p_at timestamptz, p_round integer, p_revision integer)
    RETURNS jsonb LANGUAGE plpgsql AS $$
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
              FROM delivery_messages WHERE delivery_id = p_delivery));
    END IF;
    RETURN '{"drop": true, "messages": []}';
END $$;

-- What was refused before this may be ours too; what the calendar has of it is found by the next refusal.
UPDATE webhook_deliveries SET results_missing = true
 WHERE params ->> 'action' = 'block' AND status = 'pending' AND published_at IS NOT NULL;
