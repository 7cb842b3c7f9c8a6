-- The audit, and forgetting a customer: docs/decisions/0117, 0118. It only expands: what the release before knows stays.

ALTER TABLE coach_appointments
    ADD COLUMN forgotten_at timestamptz,
    DROP CONSTRAINT coach_appointments_sound,
    -- Not validated, as that would read the whole table under its lock: every row met a narrower one.
    ADD CONSTRAINT coach_appointments_sound CHECK (
        status IN ('held', 'scheduled', 'completed', 'no_show', 'cancelled', 'rescheduled')
        AND (status = 'held') = (expires_at IS NOT NULL)
        AND (status = 'held' OR forgotten_at IS NOT NULL OR (contact_name IS NOT NULL AND contact_email IS NOT NULL))
        AND start_time < end_time AND takes @> tstzrange(start_time, end_time)
        AND (cancelled_by IS NULL OR cancelled_by IN ('customer', 'coach', 'system'))) NOT VALID;
CREATE INDEX coach_appointments_by_contact ON coach_appointments (tenant_id, lower(contact_email));
CREATE INDEX coach_appointments_forgotten ON coach_appointments (tenant_id, forgotten_at) WHERE forgotten_at IS NOT NULL;
COMMENT ON COLUMN coach_appointments.forgotten_at IS
    'when its customer was forgotten: nothing of theirs is stored since';

ALTER TABLE webhook_deliveries ADD COLUMN contact_until timestamptz;
COMMENT ON COLUMN webhook_deliveries.contact_until IS
    'until when a request that names the customer may begin; null: none was to be sent';

ALTER TABLE changes ADD COLUMN origin jsonb;
CREATE INDEX changes_audited ON changes (tenant_id, change_id) WHERE origin IS NOT NULL;
COMMENT ON COLUMN changes.origin IS
    'the request that changed the appointment, as in audit_entries: such a row is an entry of the audit; null: no request did';

ALTER TABLE inbound_events ADD COLUMN origin jsonb;
COMMENT ON COLUMN inbound_events.origin IS 'the request that it came with, as in audit_entries';

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
