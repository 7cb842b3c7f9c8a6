-- Several calendars a coach, each with its own health and its own answer: docs/decisions/0137 to 0139. It only expands: the
-- columns calendar_kind and calendar_url of coaches stay, and triggers keep them and calendar_sources alike
-- (../functions/35_sources.sql).

CREATE TABLE calendar_sources (
    source_id           uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id           text NOT NULL,
    coach_id            text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    kind                text NOT NULL CHECK (kind IN ('calendar_api', 'icalendar', 'caldav', 'google', 'microsoft')),
    url                 text,
    calendar_ref        text,
    username            text,
    credentials         text,
    reads               boolean NOT NULL DEFAULT true,
    writes              boolean NOT NULL DEFAULT false,
    generation          integer NOT NULL DEFAULT 1,
    ended               text CHECK (ended IN ('disconnected', 'unsupported')),
    first_requested_at  timestamptz,
    requested_at        timestamptz,
    next_at             timestamptz NOT NULL DEFAULT 'epoch',
    synced_at           timestamptz,
    failed_at           timestamptz,
    failures            integer NOT NULL DEFAULT 0,
    error               text,
    unreadable_events   integer NOT NULL DEFAULT 0,
    tag                 text,
    pushed_until        timestamptz,
    provider            text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN kind IN ('icalendar', 'caldav')
             THEN kind || ':' || lower(coalesce(substring(url FROM '^[A-Za-z]+://([^/?#]+)'), '')) ELSE kind END) STORED,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (kind NOT IN ('icalendar', 'caldav') OR url IS NOT NULL),
    CHECK (kind <> 'icalendar' OR NOT writes),
    CHECK (reads OR writes),
    -- A block is busy time for whoever does not know it, and the partner names none.
    CONSTRAINT calendar_sources_blocks_are_read CHECK (kind <> 'calendar_api' OR reads)
) WITH (fillfactor = 70);
CREATE INDEX calendar_sources_by_coach ON calendar_sources (coach_id);
-- It is asked by the coach's id.
CREATE UNIQUE INDEX calendar_sources_one_calendar_api ON calendar_sources (coach_id) WHERE kind = 'calendar_api';
CREATE INDEX calendar_sources_by_provider ON calendar_sources (provider);
CREATE INDEX calendar_sources_due ON calendar_sources (next_at) WHERE reads AND ended IS NULL;
COMMENT ON TABLE calendar_sources IS 'The external calendars of coaches: what is read, what is written, and how that goes.';
COMMENT ON COLUMN calendar_sources.calendar_ref IS 'which of an account''s calendars; null: its own';
COMMENT ON COLUMN calendar_sources.credentials IS
    'ciphertext of {"username", "password"}, with the encryption context {"purpose": "calendar", "source_id"}';
COMMENT ON COLUMN calendar_sources.generation IS
    'raised when another calendar, or another account, is to be read: a reading of an earlier one does not count';
COMMENT ON COLUMN calendar_sources.ended IS
    'the provider''s clear word that trying again is of no use: it is not polled; a timeout or a 5xx never is one';
COMMENT ON COLUMN calendar_sources.next_at IS 'when the schedule asks for it next';
COMMENT ON COLUMN calendar_sources.synced_at IS 'when the last good reading began';
COMMENT ON COLUMN calendar_sources.failures IS 'since then';
COMMENT ON COLUMN calendar_sources.error IS 'the code of the last failure since then, or why it was ended';
COMMENT ON COLUMN calendar_sources.tag IS 'what the provider calls the state that was read';
COMMENT ON COLUMN calendar_sources.pushed_until IS 'until when changes are told by the provider; it is polled less often then';
COMMENT ON COLUMN calendar_sources.provider IS 'whose breaker it shares: the kind, or kind and host';

-- What each source left free, in one row: coach_slots.external is what all of a coach's allow.
CREATE TABLE source_answers (
    source_id   uuid PRIMARY KEY REFERENCES calendar_sources ON DELETE CASCADE,
    first_slot  integer NOT NULL,
    free        varbit NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE source_answers IS
    'The last good reading. Bit i from the left is the slot first_slot + i; no other slot is known to be free. Our own blocks are
     free in it, as in coach_slots.';

-- What was answered about some slots right before a booking; the last minute's are kept.
CREATE TABLE source_checks (
    source_id   uuid NOT NULL REFERENCES calendar_sources ON DELETE CASCADE,
    first_slot  integer NOT NULL,
    slot_count  integer NOT NULL,
    checked_at  timestamptz NOT NULL,
    free        varbit,
    PRIMARY KEY (source_id, first_slot, slot_count)
) WITH (fillfactor = 50);
COMMENT ON COLUMN source_checks.checked_at IS 'when asking began';
COMMENT ON COLUMN source_checks.free IS 'what is free of the slots, our own blocks too; null: it could not be read';

CREATE TABLE calendar_providers (
    provider    text PRIMARY KEY,
    failures    integer NOT NULL,
    failed_at   timestamptz NOT NULL,
    open_until  timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE calendar_providers IS
    'The providers that did not answer the last time, over all tenants: after a few failures in a row the circuit breaker opens.';
COMMENT ON COLUMN calendar_providers.open_until IS 'until then none of its sources is asked; then one; null: the breaker is closed';

INSERT INTO calendar_sources (tenant_id, coach_id, kind, url, writes, first_requested_at, requested_at, next_at, synced_at,
                              failed_at, failures, error, unreadable_events)
SELECT coach.tenant_id, coach.coach_id, coach.calendar_kind, coach.calendar_url, coach.calendar_kind = 'calendar_api',
       sync.first_requested_at, sync.requested_at, coalesce(sync.requested_at + interval '5 minutes', 'epoch'),
       sync.synced_at, sync.failed_at, coalesce(sync.failures, 0), sync.error, coalesce(sync.unreadable_events, 0)
  FROM coaches AS coach LEFT JOIN coach_syncs AS sync USING (coach_id)
 WHERE coach.calendar_kind <> 'none';
INSERT INTO source_answers (source_id, first_slot, free)
SELECT source.source_id, min(day.first_slot),
       string_agg(rpad(substring(day.external, 1, day.slot_count)::text, day.length, '0'), '' ORDER BY day.first_slot)::varbit
  FROM calendar_sources AS source
  JOIN (SELECT coach_id, first_slot, slot_count, external,
               coalesce(lead(first_slot) OVER (PARTITION BY coach_id ORDER BY first_slot) - first_slot, slot_count)::integer
                   AS length
          FROM coach_slots) AS day USING (coach_id)
 WHERE source.synced_at IS NOT NULL
 GROUP BY source.source_id;

-- Not validated, as that would read the whole table under its lock: every row met a narrower one.
ALTER TABLE coaches
    DROP CONSTRAINT coaches_calendar_kind_check,
    ADD CONSTRAINT coaches_calendar_kind_check
        CHECK (calendar_kind IN ('none', 'calendar_api', 'icalendar', 'sources')) NOT VALID;
COMMENT ON COLUMN coaches.calendar_kind IS
    'what the sources that are read come to: none; calendar_api, whose blocks are written; icalendar, the only one; sources:
     anything else';
ALTER TABLE calendars
    ADD COLUMN on_unverified text NOT NULL DEFAULT 'allow' CHECK (on_unverified IN ('allow', 'block', 'recheck'));
COMMENT ON COLUMN calendars.on_unverified IS
    'what a coach whose external calendars were not all read lately may be: booked by what is known (allow), not booked (block), or
     booked once they were asked again (recheck)';
