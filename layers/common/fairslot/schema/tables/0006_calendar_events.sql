-- Our events in coaches' calendars: docs/decisions/0146 and 0147. It only expands.

CREATE TABLE calendar_events (
    appointment_id      uuid NOT NULL,
    source_id           uuid NOT NULL REFERENCES calendar_sources ON DELETE CASCADE,
    generation          integer NOT NULL DEFAULT 1,
    revision            integer NOT NULL DEFAULT 0,
    wanted              tstzrange,
    delivery_id         uuid,
    sent_revision       integer,
    sent                tstzrange,
    sent_before         tstzrange,
    confirmed_revision  integer NOT NULL DEFAULT 0,
    confirmed           tstzrange,
    confirmed_at        timestamptz,
    ref                 text,
    version             text,
    conflicts           smallint NOT NULL DEFAULT 0,
    stray_generation    integer,
    changed             text CHECK (changed IN ('moved', 'deleted')),
    changed_to          tstzrange,
    error               text,
    PRIMARY KEY (appointment_id, source_id)
) WITH (fillfactor = 50);
CREATE INDEX calendar_events_by_source ON calendar_events (source_id);
CREATE INDEX calendar_events_due ON calendar_events (appointment_id, source_id)
    WHERE confirmed_revision <> revision OR stray_generation IS NOT NULL;
-- Whoever tells of an appointment looks whether any calendar is written: most teams have none.
CREATE INDEX calendar_sources_written ON calendar_sources (coach_id)
    WHERE writes AND kind IN ('google', 'microsoft', 'caldav');
COMMENT ON TABLE calendar_events IS 'What is to stand in a coach''s calendar for an appointment, and what is known to stand there.';
COMMENT ON COLUMN calendar_events.generation IS
    'part of the event''s identity: raised when the event is wanted again after it was removed, as providers never reuse an id';
COMMENT ON COLUMN calendar_events.revision IS 'of what is wanted: it goes up whenever that has to be written, again too';
COMMENT ON COLUMN calendar_events.wanted IS 'when the event is to be; null: it is not to be there';
COMMENT ON COLUMN calendar_events.delivery_id IS
    'the delivery under way, of which there is one at a time: so nothing that is written overtakes what came before it';
COMMENT ON COLUMN calendar_events.sent IS 'what wanted was then; sent_before: what was sent before that';
COMMENT ON COLUMN calendar_events.confirmed IS 'where the provider''s last answer said that the event is; null: nowhere';
COMMENT ON COLUMN calendar_events.ref IS 'what the provider calls the event; version is the provider''s, too';
COMMENT ON COLUMN calendar_events.conflicts IS 'generations in a row that were refused';
COMMENT ON COLUMN calendar_events.stray_generation IS 'an event of an earlier generation that was seen, and has to be removed';
COMMENT ON COLUMN calendar_events.changed IS 'what the coach did to the event, of which subscribers are told; it stays so';
COMMENT ON COLUMN calendar_events.error IS 'why the last attempt failed';

-- Not validated, as that would read the whole table under its lock: every row met a narrower one.
ALTER TABLE webhook_endpoints
    DROP CONSTRAINT webhook_endpoints_kind_check,
    ADD CONSTRAINT webhook_endpoints_kind_check
        CHECK (kind IN ('crm', 'calendar_api', 'standard', 'calendar_event')) NOT VALID;
