-- name: find
-- The key with this hash if it is valid, until when it is, and the version of its tenant's keys; notes now and then that it
-- was used.
WITH found AS (
    SELECT key_id, tenant_id, key_hash AS hash, scopes, calendars, rate_limit, expires_at AS valid_until
      FROM api_keys
     WHERE key_hash = %(hash)s AND revoked_at IS NULL AND (expires_at > %(now)s) IS NOT FALSE
     UNION ALL
    SELECT key_id, tenant_id, previous_hash, scopes, calendars, rate_limit, least(previous_until, expires_at)
      FROM api_keys
     WHERE previous_hash = %(hash)s AND previous_until > %(now)s AND revoked_at IS NULL
       AND (expires_at > %(now)s) IS NOT FALSE
), used AS (
    INSERT INTO api_key_uses AS known (key_id, last_used_at)
    SELECT key_id, %(now)s FROM found
     WHERE NOT EXISTS (SELECT FROM api_key_uses AS recent
                        WHERE recent.key_id = found.key_id
                          AND recent.last_used_at > %(now)s::timestamptz - interval '5 minutes')
    ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
     WHERE known.last_used_at < excluded.last_used_at
)
SELECT found.*, coalesce((SELECT known.version FROM api_key_versions AS known
                           WHERE known.tenant_id = found.tenant_id), 0) AS version
  FROM found;

-- name: was_used
-- Whether a valid key has this hash and was used since an instant.
SELECT EXISTS (SELECT FROM api_keys AS k JOIN api_key_uses AS used ON used.key_id = k.key_id
                WHERE (k.key_hash = %(hash)s OR (k.previous_hash = %(hash)s AND k.previous_until > %(now)s))
                  AND k.revoked_at IS NULL AND (k.expires_at > %(now)s) IS NOT FALSE
                  AND used.last_used_at > %(since)s) AS was_used;

-- name: version
-- The version of the tenant's keys.
SELECT coalesce((SELECT version FROM api_key_versions WHERE tenant_id = %(tenant)s), 0) AS version;

-- name: lock_tenant
-- Creating a tenant's keys, one transaction at a time.
SELECT pg_advisory_xact_lock(hashtextextended('fairslot API keys of ' || %(tenant)s, 0));

-- name: has_admin
-- Whether the tenant has a key that may do everything.
SELECT EXISTS (SELECT FROM api_keys
                WHERE tenant_id = %(tenant)s AND scopes @> '{read,write,admin}' AND revoked_at IS NULL
                  AND (expires_at > %(now)s) IS NOT FALSE) AS has_admin;

-- name: unknown_calendars
-- Which of these calendars the tenant does not have.
SELECT one.calendar_id FROM unnest(%(calendars)s::text[]) AS one (calendar_id)
 WHERE NOT EXISTS (SELECT FROM calendars AS known WHERE known.calendar_id = one.calendar_id
                      AND known.tenant_id = %(tenant)s AND known.deleted_at IS NULL);

-- name: create
-- A key, by its hash.
INSERT INTO api_keys (tenant_id, key_hash, key_start, label, scopes, calendars, rate_limit, created_at, expires_at)
VALUES (%(tenant)s, %(hash)s, %(start)s, %(label)s, %(scopes)s, %(calendars)s, %(rate_limit)s, %(now)s, %(expires_at)s)
RETURNING key_id;

-- name: get
-- One key of the tenant.
SELECT engine.api_key_json(k => k, p_now => %(now)s) AS key FROM api_keys AS k WHERE key_id = %(key_id)s AND tenant_id = %(tenant)s;

-- name: list_page
-- A page of the tenant's keys, the newest first.
SELECT engine.api_key_json(k => k, p_now => %(now)s) AS key FROM api_keys AS k
 WHERE tenant_id = %(tenant)s AND (%(after)s::uuid IS NULL OR key_id < %(after)s::uuid)
 ORDER BY key_id DESC
 LIMIT %(limit)s;

-- name: lock
-- Locks one key of the tenant for a change.
SELECT revoked_at IS NOT NULL OR (expires_at <= %(now)s) IS TRUE AS ended,
       (previous_until > %(now)s) IS TRUE AS is_rotating
  FROM api_keys WHERE key_id = %(key_id)s AND tenant_id = %(tenant)s
   FOR NO KEY UPDATE;

-- name: rotate
-- Gives a key of the tenant another secret; the current one stays valid until an instant, or not at all (null).
UPDATE api_keys
   SET previous_hash = CASE WHEN %(until)s::timestamptz IS NOT NULL THEN key_hash END, previous_until = %(until)s,
       key_hash = %(hash)s, key_start = %(start)s
 WHERE key_id = %(key_id)s AND tenant_id = %(tenant)s;

-- name: revoke
-- Revokes a key of the tenant, with the one before it.
UPDATE api_keys SET revoked_at = %(now)s WHERE key_id = %(key_id)s AND tenant_id = %(tenant)s AND revoked_at IS NULL;
