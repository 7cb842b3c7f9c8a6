-- API keys: docs/decisions/0114.

-- An API key as the API shows it, without a secret.
CREATE OR REPLACE FUNCTION engine.api_key_json(k api_keys, p_now timestamptz) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'key_id', k.key_id, 'label', k.label, 'prefix', k.key_start, 'scopes', to_jsonb(k.scopes),
        'calendars', to_jsonb(k.calendars), 'rate_limit', k.rate_limit, 'created_at', k.created_at,
        'expires_at', k.expires_at, 'revoked_at', k.revoked_at,
        'previous_key_until', CASE WHEN k.revoked_at IS NULL AND k.previous_until > p_now THEN k.previous_until END,
        'last_used_at', (SELECT used.last_used_at FROM api_key_uses AS used WHERE used.key_id = k.key_id),
        'state', CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= p_now THEN 'expired'
                      ELSE 'active' END);

-- Begins another version of a tenant's keys when one of them changes, however it is changed.
CREATE OR REPLACE FUNCTION engine.key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO api_key_versions AS known (tenant_id, version) VALUES (OLD.tenant_id, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET version = known.version + 1;
    RETURN NULL;
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'api_key_changed') THEN
        CREATE TRIGGER api_key_changed AFTER UPDATE OR DELETE ON api_keys
            FOR EACH ROW EXECUTE FUNCTION engine.key_changed();
    END IF;
END $$;

-- The key with this hash if it is valid, until when it is, and the version of its tenant's keys; notes now and then that it
-- was used.
CREATE OR REPLACE FUNCTION engine.find_api_key(p_hash bytea, p_now timestamptz)
    RETURNS TABLE (key_id uuid, tenant_id text, hash bytea, scopes text[], calendars text[], rate_limit integer, valid_until timestamptz, version bigint)
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH found AS (
        SELECT key_id, tenant_id, key_hash AS hash, scopes, calendars, rate_limit, expires_at AS valid_until
          FROM api_keys
         WHERE key_hash = p_hash AND revoked_at IS NULL AND (expires_at > p_now) IS NOT FALSE
         UNION ALL
        SELECT key_id, tenant_id, previous_hash, scopes, calendars, rate_limit, least(previous_until, expires_at)
          FROM api_keys
         WHERE previous_hash = p_hash AND previous_until > p_now AND revoked_at IS NULL
           AND (expires_at > p_now) IS NOT FALSE
    ), used AS (
        INSERT INTO api_key_uses AS known (key_id, last_used_at)
        SELECT key_id, p_now FROM found
         WHERE NOT EXISTS (SELECT FROM api_key_uses AS recent
                            WHERE recent.key_id = found.key_id
                              AND recent.last_used_at > p_now::timestamptz - interval '5 minutes')
        ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
         WHERE known.last_used_at < excluded.last_used_at
    )
    SELECT found.*, coalesce((SELECT known.version FROM api_key_versions AS known
                               WHERE known.tenant_id = found.tenant_id), 0) AS version
      FROM found
$$;

-- A key, by its hash.
CREATE OR REPLACE FUNCTION engine.create_api_key(
    p_tenant text, p_hash bytea, p_start text, p_label text, p_scopes text[], p_calendars text[],
    p_rate_limit integer, p_now timestamptz, p_expires_at timestamptz
) RETURNS TABLE (key_id uuid) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO api_keys (tenant_id, key_hash, key_start, label, scopes, calendars, rate_limit, created_at, expires_at)
    VALUES (p_tenant, p_hash, p_start, p_label, p_scopes, p_calendars, p_rate_limit, p_now, p_expires_at)
    RETURNING key_id
$$;

-- Locks one key of the tenant for a change.
CREATE OR REPLACE FUNCTION engine.lock_api_key(p_now timestamptz, p_key_id uuid, p_tenant text)
    RETURNS TABLE (ended boolean, is_rotating boolean) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT revoked_at IS NOT NULL OR (expires_at <= p_now) IS TRUE AS ended,
           (previous_until > p_now) IS TRUE AS is_rotating
      FROM api_keys WHERE key_id = p_key_id AND tenant_id = p_tenant
       FOR NO KEY UPDATE
$$;

-- Gives a key of the tenant another secret; the current one stays valid until an instant, or not at all (null).
CREATE OR REPLACE FUNCTION engine.rotate_api_key(
    p_tenant text, p_until timestamptz, p_hash bytea, p_start text, p_key_id uuid
) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE api_keys
       SET previous_hash = CASE WHEN p_until::timestamptz IS NOT NULL THEN key_hash END, previous_until = p_until,
           key_hash = p_hash, key_start = p_start
     WHERE key_id = p_key_id AND tenant_id = p_tenant
$$;

-- Revokes a key of the tenant, with the one before it; how many: 0 if it is revoked already.
CREATE OR REPLACE FUNCTION engine.revoke_api_key(p_tenant text, p_now timestamptz, p_key_id uuid) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        UPDATE api_keys SET revoked_at = p_now WHERE key_id = p_key_id AND tenant_id = p_tenant AND revoked_at IS NULL
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Notes that the keys of these issuers are asked for now, of those that were not since an instant; which they are.
CREATE OR REPLACE FUNCTION engine.claim_issuer_keys(
    p_now timestamptz, p_issuers text[], p_urls text[], p_before timestamptz
) RETURNS TABLE (issuer text, url text) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO issuer_keys AS known (issuer, url, requested_at)
    SELECT one.issuer, one.url, p_now FROM unnest(p_issuers::text[], p_urls::text[]) AS one (issuer, url)
    ON CONFLICT (issuer, url) DO UPDATE SET requested_at = excluded.requested_at
     WHERE known.requested_at < p_before
    RETURNING issuer, url
$$;

-- Notes that the keys of an issuer are asked for out of turn, unless they were since an instant; which they are.
CREATE OR REPLACE FUNCTION engine.ask_for_issuer_keys(
    p_issuer text, p_url text, p_now timestamptz, p_before timestamptz
) RETURNS TABLE (issuer text, url text) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO issuer_keys AS known (issuer, url, requested_at, asked_at) VALUES (p_issuer, p_url, p_now, p_now)
    ON CONFLICT (issuer, url) DO UPDATE SET requested_at = excluded.requested_at, asked_at = excluded.asked_at
     WHERE (known.asked_at >= p_before) IS NOT TRUE
    RETURNING issuer, url
$$;

-- Stores the keys of an issuer, unless younger ones are stored.
CREATE OR REPLACE FUNCTION engine.store_issuer_keys(
    p_keys jsonb, p_fetched_at timestamptz, p_answered_at timestamptz, p_issuer text, p_url text
) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE issuer_keys
       SET keys = p_keys, fetched_at = p_fetched_at, answered_at = p_answered_at, failed_at = NULL, error = NULL
     WHERE issuer = p_issuer AND url = p_url AND (fetched_at >= p_fetched_at) IS NOT TRUE
$$;

-- Notes why the keys of an issuer could not be read; those that are stored stay.
CREATE OR REPLACE FUNCTION engine.note_issuer_keys_failed(
    p_fetched_at timestamptz, p_error text, p_answered_at timestamptz, p_issuer text, p_url text
) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE issuer_keys SET failed_at = p_fetched_at, error = p_error, answered_at = p_answered_at
     WHERE issuer = p_issuer AND url = p_url AND (fetched_at >= p_fetched_at) IS NOT TRUE
$$;

-- Deletes the keys that nobody asks for any more.
CREATE OR REPLACE FUNCTION engine.forget_issuer_keys(p_before timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM issuer_keys WHERE requested_at < p_before
$$;

-- Creates the tenant's source or sets a new secret unless too many are valid; with an overlap the earlier ones stay
-- valid for a while.
CREATE OR REPLACE FUNCTION engine.rotate_source_secret(
    p_source uuid, p_tenant text, p_secret text, p_now timestamptz, p_until timestamptz, p_most_earlier integer
) RETURNS TABLE (source jsonb) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO inbound_sources AS known (source_id, tenant_id, secret, created_at, updated_at)
    VALUES (p_source, p_tenant, p_secret, p_now, p_now)
    ON CONFLICT (tenant_id) DO UPDATE
       SET older_secrets = engine.replaced_secrets(p_secret => known.secret, p_older => known.older_secrets,
                                                   p_until => p_until, p_now => p_now),
           secret = excluded.secret, updated_at = excluded.updated_at
     WHERE known.source_id = excluded.source_id
       AND (p_until <= p_now
            OR jsonb_array_length(engine.earlier_secrets(p_older => known.older_secrets, p_after => p_now))
               < p_most_earlier)
    RETURNING engine.source_json(known) AS source
$$;

-- Deletes the tenant's source.
CREATE OR REPLACE FUNCTION engine.delete_source(p_tenant text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM inbound_sources WHERE tenant_id = p_tenant
        RETURNING true
    )
    SELECT count(*) FROM done
$$;
