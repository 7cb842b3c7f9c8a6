-- name: claim
-- Notes that the keys of these issuers are asked for now, of those that were not since an instant; which they are.
SELECT * FROM engine.claim_issuer_keys(
    p_now => %(now)s, p_issuers => %(issuers)s, p_urls => %(urls)s, p_before => %(before)s
);

-- name: ask
-- Notes that the keys of an issuer are asked for out of turn, unless they were since an instant; which they are.
SELECT * FROM engine.ask_for_issuer_keys(
    p_issuer => %(issuer)s, p_url => %(url)s, p_now => %(now)s, p_before => %(before)s
);

-- name: find
-- The keys of an issuer, and whether others are on their way.
SELECT keys, requested_at, answered_at IS DISTINCT FROM requested_at AS pending
  FROM issuer_keys WHERE issuer = %(issuer)s AND url = %(url)s;

-- name: store
-- Stores the keys of an issuer, unless younger ones are stored.
SELECT engine.store_issuer_keys(
    p_keys => %(keys)s, p_fetched_at => %(fetched_at)s, p_answered_at => %(answered_at)s, p_issuer => %(issuer)s,
    p_url => %(url)s
);

-- name: failed
-- Notes why the keys of an issuer could not be read; those that are stored stay.
SELECT engine.note_issuer_keys_failed(
    p_fetched_at => %(fetched_at)s, p_error => %(error)s, p_answered_at => %(answered_at)s, p_issuer => %(issuer)s,
    p_url => %(url)s
);

-- name: forget
-- Deletes the keys that nobody asks for any more.
SELECT engine.forget_issuer_keys(p_before => %(before)s);
