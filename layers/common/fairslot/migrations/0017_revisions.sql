-- What is changed at an endpoint reaches what is on the queue for it, and old attempts say nothing of what it is now.

ALTER TABLE webhook_endpoints
    ADD COLUMN revision   integer NOT NULL DEFAULT 1,
    ADD COLUMN enabled_at timestamptz;
COMMENT ON COLUMN webhook_endpoints.revision IS 'goes up with every change of what messages carry, and of being told at all';
COMMENT ON COLUMN webhook_endpoints.enabled_at IS 'when it was last turned on again';
ALTER TABLE webhook_deliveries ADD COLUMN revision integer;
COMMENT ON COLUMN webhook_deliveries.revision IS
    'the endpoint''s, when another message took the place of one that was out of date; null: none did';

-- The one place that counts, whoever makes the change.
CREATE FUNCTION note_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    IF NEW.enabled AND NOT OLD.enabled THEN
        NEW.enabled_at := NEW.updated_at;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_endpoints_revision BEFORE UPDATE ON webhook_endpoints
    FOR EACH ROW WHEN ((OLD.url, OLD.headers, OLD.secret, OLD.previous_secret, OLD.older_secrets, OLD.concurrency,
                        OLD.rate_per_second, OLD.enabled, OLD.deleted_at)
        IS DISTINCT FROM (NEW.url, NEW.headers, NEW.secret, NEW.previous_secret, NEW.older_secrets, NEW.concurrency,
                          NEW.rate_per_second, NEW.enabled, NEW.deleted_at))
    EXECUTE FUNCTION note_revision();

-- What the queue carries for a delivery. Subscribers of kind standard get nothing that says who the customer is.
CREATE OR REPLACE FUNCTION delivery_message(d webhook_deliveries, event webhook_events, endpoint webhook_endpoints) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object(
           'delivery_id', d.delivery_id, 'event_id', event.event_id, 'kind', endpoint.kind,
           'url', endpoint.url, 'type', event.type, 'timestamp', zulu(event.created_at), 'version', event.version,
           'endpoint_id', endpoint.endpoint_id, 'revision', endpoint.revision, 'round', d.round,
           'concurrency', endpoint.concurrency, 'rate_per_second', endpoint.rate_per_second,
           'data', CASE WHEN endpoint.kind = 'standard' AND event.appointment_id IS NOT NULL
               THEN event.data - '{contact_name,contact_email,contact_id,timezone,reason}'::text[]
               ELSE event.data || d.params END)
       || CASE endpoint.kind WHEN 'standard' THEN jsonb_build_object(
              'headers', endpoint.headers,
              'secrets', CASE WHEN endpoint.previous_until IS NULL THEN jsonb_build_array(endpoint.secret)
                              ELSE jsonb_build_array(endpoint.secret) || jsonb_path_query_array(
                                  earlier_secrets(endpoint.previous_secret, endpoint.previous_until,
                                                  endpoint.older_secrets, now()), '$[*].secret') END)
          ELSE '{}' END;

-- What an attempt says of the endpoint's health. 410 turns a subscriber off at once; of a partner, who is everybody's, it is
-- one failed call. Attempts that failed over p_warn_after without a success between are told of, and those over
-- p_disable_after turn it off, no sooner after the warning than the two are apart. What failed or was not sent by our own
-- doing does not count, nor what was attempted before it was turned on again. Returns the messages that the queue must get.
-- The defaults serve code that does not know of the intervals yet.
DROP FUNCTION judge_endpoint(uuid, timestamptz, text, text);
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
    IF NOT FOUND OR p_at < e.enabled_at THEN
        RETURN '[]';
    ELSIF v_gone AND e.kind = 'standard' THEN
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

-- What becomes of a message that is to be tried again: {"drop": whether it is to go, "messages": [what takes its place]}.
-- It goes if nobody waits for it any more, or if the endpoint has changed since it was made: then another one goes on in
-- its place, with the attempts counted so far, or the delivery ends where the endpoint is turned off.
CREATE FUNCTION settle_message(p_delivery uuid, p_attempt integer, p_at timestamptz, p_round integer, p_revision integer)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    d webhook_deliveries;
    e webhook_endpoints;
BEGIN
    SELECT * INTO d FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND OR d.status IN ('delivered', 'cancelled') OR p_round < d.round THEN
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
        UPDATE webhook_deliveries SET revision = e.revision, reason = NULL, published_at = NULL, next_attempt_at = NULL
         WHERE delivery_id = p_delivery;
        RETURN jsonb_build_object('drop', true, 'messages', (
            SELECT jsonb_agg(message || jsonb_build_object('attempts', p_attempt))
              FROM delivery_messages WHERE delivery_id = p_delivery));
    END IF;
    RETURN '{"drop": true, "messages": []}';
END $$;

-- record_attempt, of a message that was made at an endpoint's revision. That an address is gone says nothing where the
-- endpoint has another by now. Returns what record_attempt does and "drop", as above.
CREATE FUNCTION record_attempt_of_revision(
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
    v_done := record_attempt(p_delivery, p_attempt, p_at, v_outcome, p_status_code, p_latency_ms, p_error, p_excerpt,
                             p_next, p_answer, p_round, p_warn_after, p_disable_after);
    IF v_outcome <> 'retrying' THEN
        RETURN v_done || '{"drop": false}';
    END IF;
    v_settled := settle_message(p_delivery, p_attempt, p_at, p_round, p_revision);
    RETURN v_done || jsonb_build_object(
        'drop', v_settled -> 'drop', 'messages', (v_done -> 'messages') || (v_settled -> 'messages'));
END $$;
