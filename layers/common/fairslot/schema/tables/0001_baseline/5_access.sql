-- The baseline, part 5: who may call.

CREATE TABLE api_keys (
    key_id          uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id       text NOT NULL,
    key_hash        bytea NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    key_start       text NOT NULL DEFAULT '',
    previous_hash   bytea UNIQUE CHECK (length(previous_hash) = 32),
    previous_until  timestamptz,
    label           text NOT NULL DEFAULT '',
    scopes          text[] NOT NULL DEFAULT '{read,write}' CHECK (scopes <@ '{read,write,admin}'),
    calendars       text[],
    rate_limit      integer NOT NULL DEFAULT 100 CHECK (rate_limit > 0),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz,
    revoked_at      timestamptz,
    CHECK ((previous_hash IS NULL) = (previous_until IS NULL)),
    CONSTRAINT api_keys_admin_sees_all CHECK (calendars IS NULL OR NOT 'admin' = ANY (scopes))
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, key_id);
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key; the key itself is never stored';
COMMENT ON COLUMN api_keys.key_start IS 'the first characters of the key, by which people recognize it';
COMMENT ON COLUMN api_keys.previous_hash IS 'of the key before the last rotation, which is valid until previous_until';
COMMENT ON COLUMN api_keys.calendars IS 'the calendars that the key may see; null: all of the tenant';
COMMENT ON COLUMN api_keys.rate_limit IS 'requests a minute';

-- When keys were used last; apart from api_keys, as it changes all the time.
CREATE TABLE api_key_uses (
    key_id        uuid PRIMARY KEY REFERENCES api_keys ON DELETE CASCADE,
    last_used_at  timestamptz NOT NULL
);
COMMENT ON COLUMN api_key_uses.last_used_at IS 'to within some minutes: not every request is noted';

-- How often a tenant's keys were changed: what a process remembers of a key is good for one version.
CREATE TABLE api_key_versions (
    tenant_id  text PRIMARY KEY,
    version    bigint NOT NULL
);

-- The public keys of the issuers whose tokens are accepted, as they were read last.
CREATE TABLE issuer_keys (
    issuer        text NOT NULL,
    url           text NOT NULL,
    keys          jsonb NOT NULL DEFAULT '[]',
    requested_at  timestamptz NOT NULL,
    asked_at      timestamptz,
    answered_at   timestamptz,
    fetched_at    timestamptz,
    failed_at     timestamptz,
    error         text,
    PRIMARY KEY (issuer, url)
);
COMMENT ON COLUMN issuer_keys.url IS 'where the keys are from; those of another address are not used';
COMMENT ON COLUMN issuer_keys.asked_at IS 'when they were requested last because of a key id that is not among them';
COMMENT ON COLUMN issuer_keys.answered_at IS 'the requested_at of the request that was answered last';
COMMENT ON COLUMN issuer_keys.keys IS 'JSON Web Keys (RFC 7517), public members only';
COMMENT ON COLUMN issuer_keys.fetched_at IS 'when the reading that is stored began';
