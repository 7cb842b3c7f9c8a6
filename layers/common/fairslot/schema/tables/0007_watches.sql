-- Channels by which providers tell that a calendar has changed: docs/decisions/0148. It only adds; triggers keep
-- calendar_watches and calendar_sources together (../functions/38_watches.sql).

CREATE TABLE calendar_watches (
    source_id    uuid PRIMARY KEY,
    generation   integer NOT NULL DEFAULT 0,
    counts_from  integer NOT NULL DEFAULT 1,
    channel_id   text,
    resource_id  text,
    expires_at   timestamptz,
    asked_at     timestamptz,
    due_at       timestamptz NOT NULL DEFAULT '-infinity',
    attempts     integer NOT NULL DEFAULT 0,
    error        text,
    CHECK ((channel_id IS NULL) = (expires_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX calendar_watches_due ON calendar_watches (due_at);
COMMENT ON TABLE calendar_watches IS 'The sources whose provider can tell of changes, and the channel by which it does so now.';
COMMENT ON COLUMN calendar_watches.generation IS 'of the last channel that was asked for; each has the next number';
COMMENT ON COLUMN calendar_watches.counts_from IS
    'of the channel that is there; what is told by an earlier one does not count';
COMMENT ON COLUMN calendar_watches.channel_id IS 'what the provider calls the channel that is there; null: none is known';
COMMENT ON COLUMN calendar_watches.resource_id IS 'what Google needs beside it to stop the channel';
COMMENT ON COLUMN calendar_watches.due_at IS 'when the provider is asked next: for a channel, or to renew the one that is there';
COMMENT ON COLUMN calendar_watches.attempts IS 'since the last good answer';
COMMENT ON COLUMN calendar_watches.error IS 'the code of the last failure since then';

CREATE TABLE ended_channels (
    source_id     uuid NOT NULL,
    channel_id    text NOT NULL,
    resource_id   text,
    expires_at    timestamptz NOT NULL,
    kind          text NOT NULL,
    calendar_ref  text,
    credentials   text,
    due_at        timestamptz NOT NULL DEFAULT '-infinity',
    attempts      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, channel_id)
);
COMMENT ON TABLE ended_channels IS
    'Channels that are to be stopped, also of sources that are gone. A row is deleted when the channel has been stopped, has
     expired, or could not be stopped in a few attempts.';
COMMENT ON COLUMN ended_channels.credentials IS 'those of the source when the channel was ended: the same ciphertext';

INSERT INTO calendar_watches (source_id)
SELECT source_id FROM calendar_sources WHERE kind IN ('google', 'microsoft') AND reads AND ended IS NULL;
