-- name: find
-- The key with this hash, unless it is revoked.
SELECT key_id, tenant_id, scopes, rate_limit FROM api_keys WHERE key_hash = %(hash)s AND revoked_at IS NULL;
