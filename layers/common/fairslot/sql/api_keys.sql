-- name: find
-- The key with this hash if it is valid, until when it is, and the version of its tenant's keys; notes now and then that it
-- was used.
SELECT * FROM engine.find_api_key(p_hash => %(hash)s, p_now => %(now)s);

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
SELECT * FROM engine.create_api_key(
    p_tenant => %(tenant)s, p_hash => %(hash)s, p_start => %(start)s, p_label => %(label)s, p_scopes => %(scopes)s,
    p_calendars => %(calendars)s, p_rate_limit => %(rate_limit)s, p_now => %(now)s, p_expires_at => %(expires_at)s
);

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
SELECT * FROM engine.lock_api_key(p_now => %(now)s, p_key_id => %(key_id)s, p_tenant => %(tenant)s);

-- name: rotate
-- Gives a key of the tenant another secret; the current one stays valid until an instant, or not at all (null).
SELECT engine.rotate_api_key(p_tenant => %(tenant)s, p_until => %(until)s, p_hash => %(hash)s, p_start => %(start)s,
                             p_key_id => %(key_id)s);

-- name: revoke
-- Revokes a key of the tenant, with the one before it; how many: 0 if it is revoked already.
SELECT engine.revoke_api_key(p_tenant => %(tenant)s, p_now => %(now)s, p_key_id => %(key_id)s) AS n;
