-- Calendars that coaches connect by a link: docs/decisions/0149.

CREATE TABLE calendar_connections (
    connection_id   uuid PRIMARY KEY,
    tenant_id       text NOT NULL,
    coach_id        text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    source_id       uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('caldav', 'google', 'microsoft')),
    calendar_ref    text,
    reads           boolean NOT NULL,
    writes          boolean NOT NULL,
    is_new          boolean NOT NULL,
    token_digest    bytea NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    created_at      timestamptz NOT NULL,
    CHECK (reads OR writes)
);
CREATE INDEX calendar_connections_by_coach ON calendar_connections (coach_id);
COMMENT ON TABLE calendar_connections IS 'Links by which a coach connects a calendar, each once.';
COMMENT ON COLUMN calendar_connections.source_id IS
    'the source that it makes (is_new), or gives other credentials: those are encrypted for this id before they come here';
COMMENT ON COLUMN calendar_connections.token_digest IS 'SHA-256 of the link''s token, which is stored nowhere';
