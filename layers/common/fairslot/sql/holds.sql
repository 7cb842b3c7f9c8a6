-- name: hold
-- Holds the time of the coach whose turn it is, durably, in a transaction of its own.
CALL engine.commit_hold(p_tenant => %(tenant)s, p_client => %(client)s, p_limit => %(limit)s, p_calendar => %(calendar)s,
                   p_start => %(start)s, p_duration => %(for)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s,
                   p_keep_for => %(keep)s, p_now => %(now)s, p_requires => %(requires)s, p_origin => %(origin)s, done => NULL);

-- name: release
-- Releases a hold, durably, in a transaction of its own.
CALL engine.commit_release_hold(p_tenant => %(tenant)s, p_hold => %(hold)s, p_key => %(key)s,
                           p_fingerprint => %(fingerprint)s, p_keep_for => %(keep)s, p_now => %(now)s, p_origin => %(origin)s, done => NULL);

-- name: expire
-- Releases the holds that have expired; one transaction.
SELECT engine.expire_holds(p_now => %(now)s) AS n;
