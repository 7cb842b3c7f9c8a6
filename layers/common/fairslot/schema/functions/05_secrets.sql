-- Replaced signing secrets, of endpoints and of inbound sources.

-- The replaced secrets that are valid after p_after: [{"secret": ciphertext, "until": instant}], newest first.
CREATE OR REPLACE FUNCTION engine.earlier_secrets(p_older jsonb, p_after timestamptz) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(kept.one ORDER BY kept.position), '[]')
              FROM jsonb_array_elements(p_older) WITH ORDINALITY AS kept (one, position)
             WHERE (kept.one ->> 'until')::timestamptz > p_after);

-- The replaced secrets after one more is replaced, newest first; without an overlap (p_until) no old secret stays
-- valid.
CREATE OR REPLACE FUNCTION engine.replaced_secrets(p_secret text, p_older jsonb, p_until timestamptz, p_now timestamptz)
    RETURNS jsonb LANGUAGE sql STABLE
    RETURN CASE WHEN p_until > p_now
        THEN jsonb_build_array(jsonb_build_object('secret', p_secret, 'until', p_until))
             || engine.earlier_secrets(p_older, p_now)
        ELSE '[]' END;

-- Until when each replaced secret is valid, as the API writes it, newest first.
CREATE OR REPLACE FUNCTION engine.earlier_until(p_older jsonb) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(engine.zulu((kept.one ->> 'until')::timestamptz) ORDER BY kept.position), '[]')
              FROM jsonb_array_elements(p_older) WITH ORDINALITY AS kept (one, position));

-- A source of signed requests as the API shows it.
CREATE OR REPLACE FUNCTION engine.source_json(s inbound_sources) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'source_id', s.source_id, 'created_at', engine.zulu(s.created_at), 'updated_at', engine.zulu(s.updated_at),
        'previous_secret_until', engine.earlier_until(s.older_secrets) -> 0,
        'previous_secrets_until', engine.earlier_until(s.older_secrets));
