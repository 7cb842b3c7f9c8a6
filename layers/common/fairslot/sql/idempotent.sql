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
SELECT * FROM engine.forget_expired_keys(p_now => %(now)s, p_portion => %(portion)s);
