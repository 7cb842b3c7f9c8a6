-- The baseline, part 5: who changed what. See docs/decisions/0117.

CREATE TABLE audit_entries (
    entry_id     uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id    text NOT NULL,
    at           timestamptz NOT NULL,
    origin       jsonb,
    resource     text NOT NULL,
    resource_id  text,
    action       text NOT NULL,
    before       jsonb,
    after        jsonb
);
CREATE INDEX audit_entries_by_tenant ON audit_entries (tenant_id, entry_id);
COMMENT ON TABLE audit_entries IS
    'What requests changed, written in the transaction of the change and never changed. Those of appointments and holds are
     rows of changes that have an origin.';
COMMENT ON COLUMN audit_entries.origin IS
    '{"actor": {"kind": "key", "token" or "source", "id", "issuer" of a token}, "request_id", "method", "route"}; null: the
     deployment itself';
COMMENT ON COLUMN audit_entries.before IS 'as the API showed it, without secrets; after likewise; null: there was none';

-- By which a forgotten address is recognized in the audit by whoever knows it.
CREATE TABLE contact_keys (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key       bytea NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
);
INSERT INTO contact_keys DEFAULT VALUES;
COMMENT ON TABLE contact_keys IS 'The key of the keyed hash (HMAC) of addresses that were forgotten.';
