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
