-- Signing secrets that were replaced, of endpoints and of sources.

-- Those of the replaced secrets, [{"secret": ciphertext, "until": instant}], the newest first, that are good after p_after.
CREATE OR REPLACE FUNCTION engine.earlier_secrets(p_older jsonb, p_after timestamptz) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(kept.one ORDER BY kept.position), '[]')
              FROM jsonb_array_elements(p_older) WITH ORDINALITY AS kept (one, position)
             WHERE (kept.one ->> 'until')::timestamptz > p_after);

-- The replaced secrets of before, with the one that is replaced now in front; without an overlap none of them is good.
CREATE OR REPLACE FUNCTION engine.replaced_secrets(p_secret text, p_older jsonb, p_until timestamptz, p_now timestamptz)
    RETURNS jsonb LANGUAGE sql STABLE
    RETURN CASE WHEN p_until > p_now
        THEN jsonb_build_array(jsonb_build_object('secret', p_secret, 'until', p_until))
             || engine.earlier_secrets(p_older, p_now)
        ELSE '[]' END;

-- Until when each of the replaced secrets is good, as the API writes it, the newest first.
CREATE OR REPLACE FUNCTION engine.earlier_until(p_older jsonb) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(engine.zulu((kept.one ->> 'until')::timestamptz) ORDER BY kept.position), '[]')
              FROM jsonb_array_elements(p_older) WITH ORDINALITY AS kept (one, position));

-- A source of signed requests as the API shows it.
CREATE OR REPLACE FUNCTION engine.source_json(s inbound_sources) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'source_id', s.source_id, 'created_at', engine.zulu(s.created_at), 'updated_at', engine.zulu(s.updated_at),
        'previous_secret_until', engine.earlier_until(s.older_secrets) -> 0,
        'previous_secrets_until', engine.earlier_until(s.older_secrets));
