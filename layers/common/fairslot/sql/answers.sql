-- name: known
-- The answer that was given for a key.
SELECT engine.idempotent_answer(p_tenant => %(tenant)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s,
                                p_now => coalesce(%(now)s, clock_timestamp())) AS answer;

-- name: remember
-- Keeps an answer for its key, if there is one.
SELECT engine.remember_answer(p_tenant => %(tenant)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s,
                              p_keep => %(keep)s, p_now => coalesce(%(now)s, clock_timestamp()),
                              p_answer => %(answer)s, p_messages => '[]');
