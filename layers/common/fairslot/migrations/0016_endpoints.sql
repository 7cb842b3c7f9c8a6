-- Secrets that were replaced each keep signing until the time that was promised, and attempts know their round.

-- Whoever was given a time keeps it when the secret is replaced again. What knows nothing of older_secrets yet reads and
-- writes the newest of the earlier ones as before.
ALTER TABLE webhook_endpoints ADD COLUMN older_secrets jsonb NOT NULL DEFAULT '[]';
ALTER TABLE inbound_sources ADD COLUMN older_secrets jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN webhook_endpoints.older_secrets IS
    'what was replaced before previous_secret, newest first: [{"secret": ciphertext, "until": instant}]';
COMMENT ON COLUMN inbound_sources.older_secrets IS 'as in webhook_endpoints';

-- The earlier secrets that are good after an instant, newest first: [{"secret": ciphertext, "until": instant}].
CREATE FUNCTION earlier_secrets(p_secret text, p_until timestamptz, p_older jsonb, p_after timestamptz) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(kept.one ORDER BY kept.position), '[]')
              FROM jsonb_array_elements(jsonb_build_array(jsonb_build_object('secret', p_secret, 'until', p_until)) || p_older)
                   WITH ORDINALITY AS kept (one, position)
             WHERE p_until IS NOT NULL AND (kept.one ->> 'until')::timestamptz > p_after);

-- Until when each of the earlier secrets is good, newest first.
CREATE FUNCTION earlier_until(p_until timestamptz, p_older jsonb) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(zulu((kept.one ->> 'until')::timestamptz) ORDER BY kept.position), '[]')
              FROM jsonb_array_elements(earlier_secrets('', p_until, p_older, '-infinity'))
                   WITH ORDINALITY AS kept (one, position));

CREATE OR REPLACE FUNCTION endpoint_json(e webhook_endpoints) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'endpoint_id', e.endpoint_id, 'kind', e.kind, 'url', e.url, 'event_types', e.event_types,
        'description', e.description, 'headers', e.headers, 'concurrency', e.concurrency,
        'rate_per_second', e.rate_per_second, 'enabled', e.enabled, 'disabled_reason', e.disabled_reason,
        'disabled_at', zulu(e.disabled_at), 'failing_since', zulu(e.failing_since),
        'previous_secret_until', zulu(e.previous_until),
        'previous_secrets_until', earlier_until(e.previous_until, e.older_secrets),
        'created_at', zulu(e.created_at), 'updated_at', zulu(e.updated_at));

CREATE FUNCTION source_json(s inbound_sources) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'source_id', s.source_id, 'created_at', zulu(s.created_at), 'updated_at', zulu(s.updated_at),
        'previous_secret_until', zulu(s.previous_until),
        'previous_secrets_until', earlier_until(s.previous_until, s.older_secrets));

-- A replay begins to count its attempts anew.
ALTER TABLE webhook_attempts ADD COLUMN round integer;
COMMENT ON COLUMN webhook_attempts.round IS 'the series of attempts that this one belongs to; null: the first';

-- Who records an attempt may say which round it is of; else its time tells.
CREATE FUNCTION note_round() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT CASE WHEN NEW.at < replayed_at THEN greatest(round - 1, 1) ELSE round END INTO NEW.round
      FROM webhook_deliveries WHERE delivery_id = NEW.delivery_id;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_attempts_round BEFORE INSERT ON webhook_attempts
    FOR EACH ROW WHEN (NEW.round IS NULL) EXECUTE FUNCTION note_round();
UPDATE webhook_attempts AS a
   SET round = CASE WHEN a.at < d.replayed_at THEN d.round - 1 ELSE d.round END
  FROM webhook_deliveries AS d WHERE d.delivery_id = a.delivery_id AND d.round > 1;

CREATE OR REPLACE FUNCTION delivery_json(d webhook_deliveries) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'delivery_id', d.delivery_id, 'event_id', d.event_id, 'event_type', event.type, 'endpoint_id', d.endpoint_id,
        'appointment_id', event.appointment_id, 'version', event.version, 'status', d.status, 'reason', d.reason,
        'created_at', zulu(d.created_at), 'finished_at', zulu(d.finished_at), 'next_attempt_at', zulu(d.next_attempt_at),
        'attempts', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'round', coalesce(a.round, 1), 'attempt', a.attempt, 'at', zulu(a.at), 'status_code', a.status_code,
                'latency_ms', a.latency_ms, 'error', a.error, 'response_excerpt', a.response_excerpt)
                ORDER BY a.at, a.attempt), '[]')
            FROM webhook_attempts AS a WHERE a.delivery_id = d.delivery_id))
      FROM webhook_events AS event WHERE event.event_id = d.event_id
$$;
