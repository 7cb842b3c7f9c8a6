-- Answers by idempotency key, and what the functions that change something have in common.
--
-- Each is called once and is a transaction. Errors leave by SQLSTATE, MESSAGE and DETAIL: FS400 invalid (what is wrong),
-- FS404 not found (what), FS409 no coach is free (DETAIL: why the calendar refuses), FS410 illegal transition (the current
-- state), FS411 the hold is gone, FS412 too many holds, FS422 the key was used for another request, FS425 another
-- transaction answered the same key meanwhile, FS426 expired holds must be cleared first. After the last two the caller
-- tries again. Where p_now is null, the database's clock counts. Without p_key no answer is stored.

-- The answer stored for a key that has not expired, or null; p_now must not be null.
CREATE OR REPLACE FUNCTION engine.idempotent_answer(p_tenant text, p_key text, p_fingerprint bytea, p_now timestamptz)
    RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_known idempotency_keys;
BEGIN
    SELECT * INTO v_known FROM idempotency_keys
     WHERE tenant_id = p_tenant AND key = p_key AND expires_at > p_now;
    IF FOUND AND v_known.fingerprint <> p_fingerprint THEN
        RAISE EXCEPTION USING ERRCODE = 'FS422', MESSAGE = 'the key was used for another request';
    END IF;
    RETURN v_known.answer;
END $$;

-- Stores the answer for its key, if there is one; returns the caller's result.
CREATE OR REPLACE FUNCTION engine.store_answer(
    p_tenant text, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, p_answer jsonb, p_messages jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS known (tenant_id, key, fingerprint, answer, expires_at)
        VALUES (p_tenant, p_key, p_fingerprint, p_answer, p_now + p_keep_for)
        ON CONFLICT (tenant_id, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
         WHERE known.expires_at <= p_now;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'FS425', MESSAGE = 'another transaction answered the key';
        END IF;
    END IF;
    RETURN jsonb_build_object('replayed', false, 'answer', p_answer, 'messages', p_messages);
END $$;

-- The caller's result where the answer was given before.
CREATE OR REPLACE FUNCTION engine.replayed_answer(p_answer jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('replayed', true, 'answer', p_answer, 'messages', '[]'::jsonb);
