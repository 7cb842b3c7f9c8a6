-- name: find
-- The answer that is stored for a key.
SELECT engine.idempotent_answer(p_tenant => %(tenant)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s,
                                p_now => coalesce(%(now)s, clock_timestamp())) AS answer;

-- name: store
-- Stores an answer for its key, if there is one.
SELECT engine.store_answer(p_tenant => %(tenant)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s,
                           p_keep_for => %(keep)s, p_now => coalesce(%(now)s, clock_timestamp()), p_answer => %(answer)s);

-- name: forget_expired
-- Forgets a portion of the keys whose time is over, with their answers; how many.
SELECT engine.forget_keys(p_changes => ARRAY(
    SELECT change_id FROM changes WHERE key IS NOT NULL AND key_until <= %(now)s
     ORDER BY key_until LIMIT %(portion)s FOR UPDATE SKIP LOCKED), p_now => %(now)s) AS n;
