-- Answers by idempotency key, and what all functions have in common that answer requests.
--
-- They are called once and are a transaction each. Errors leave by SQLSTATE: FS400 not valid (what is wrong), FS404 no such
-- thing (what), FS409 no coach is free (why the calendar refuses), FS410 illegal transition (the current state), FS411 the
-- hold is gone, FS412 too many holds, FS422 the key was used with another request, FS425 the same key was answered by
-- another transaction meanwhile, FS426 expired holds must be cleared first: the last two ask to be called again. p_now may
-- be null: then it is the database's clock. Without p_key nothing is remembered.

-- The answer that was given for a key and is still kept, or null; p_now may not be null.
CREATE OR REPLACE FUNCTION engine.idempotent_answer(p_tenant text, p_key text, p_fingerprint bytea, p_now timestamptz)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_known idempotency_keys;
BEGIN
    SELECT * INTO v_known FROM idempotency_keys
     WHERE tenant_id = p_tenant AND key = p_key AND expires_at > p_now;
    IF FOUND AND v_known.fingerprint <> p_fingerprint THEN
        RAISE EXCEPTION USING ERRCODE = 'FS422', MESSAGE = 'key used with another request';
    END IF;
    RETURN v_known.answer;
END $$;

-- Keeps the answer for its key, if there is one, and returns what the caller gets.
CREATE OR REPLACE FUNCTION engine.remember_answer(
    p_tenant text, p_key text, p_fingerprint bytea, p_keep interval, p_now timestamptz, p_answer jsonb, p_messages jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS known (tenant_id, key, fingerprint, answer, expires_at)
        VALUES (p_tenant, p_key, p_fingerprint, p_answer, p_now + p_keep)
        ON CONFLICT (tenant_id, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
         WHERE known.expires_at <= p_now;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'FS425', MESSAGE = 'answered by another transaction';
        END IF;
    END IF;
    RETURN jsonb_build_object('replayed', false, 'answer', p_answer, 'messages', p_messages);
END $$;

-- What the caller gets where the answer had been given before.
CREATE OR REPLACE FUNCTION engine.replayed(p_answer jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('replayed', true, 'answer', p_answer, 'messages', '[]'::jsonb);
