-- known: the answer that was given for a key
SELECT idempotent_answer(%(tenant)s, %(key)s, %(fingerprint)s, coalesce(%(now)s, clock_timestamp())) AS answer;

-- remember: keeps an answer for its key, if there is one
SELECT remember_answer(%(tenant)s, %(key)s, %(fingerprint)s, %(keep)s, coalesce(%(now)s, clock_timestamp()), %(answer)s, '[]');
