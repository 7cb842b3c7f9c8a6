-- name: claim
-- Notes that the keys of these issuers are asked for now, of those that were not since an instant; which they are.
INSERT INTO issuer_keys AS known (issuer, url, requested_at)
SELECT one.issuer, one.url, %(now)s FROM unnest(%(issuers)s::text[], %(urls)s::text[]) AS one (issuer, url)
ON CONFLICT (issuer, url) DO UPDATE SET requested_at = excluded.requested_at
 WHERE known.requested_at < %(before)s
RETURNING issuer, url;

-- name: ask
-- Notes that the keys of an issuer are asked for out of turn, unless they were since an instant; which they are.
INSERT INTO issuer_keys AS known (issuer, url, requested_at, asked_at) VALUES (%(issuer)s, %(url)s, %(now)s, %(now)s)
ON CONFLICT (issuer, url) DO UPDATE SET requested_at = excluded.requested_at, asked_at = excluded.asked_at
 WHERE (known.asked_at >= %(before)s) IS NOT TRUE
RETURNING issuer, url;

-- name: find
-- The keys of an issuer, and whether others are on their way.
SELECT keys, requested_at, answered_at IS DISTINCT FROM requested_at AS pending
  FROM issuer_keys WHERE issuer = %(issuer)s AND url = %(url)s;

-- name: store
-- Stores the keys of an issuer, unless younger ones are stored.
UPDATE issuer_keys
   SET keys = %(keys)s, fetched_at = %(fetched_at)s, answered_at = %(answered_at)s, failed_at = NULL, error = NULL
 WHERE issuer = %(issuer)s AND url = %(url)s AND (fetched_at >= %(fetched_at)s) IS NOT TRUE;

-- name: failed
-- Notes why the keys of an issuer could not be read; those that are stored stay.
UPDATE issuer_keys SET failed_at = %(fetched_at)s, error = %(error)s, answered_at = %(answered_at)s
 WHERE issuer = %(issuer)s AND url = %(url)s AND (fetched_at >= %(fetched_at)s) IS NOT TRUE;

-- name: forget
-- Deletes the keys that nobody asks for any more.
DELETE FROM issuer_keys WHERE requested_at < %(before)s;
