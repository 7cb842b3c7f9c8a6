-- What an operator can see of a feed that is read but not understood wholly.

ALTER TABLE coach_syncs ADD COLUMN unreadable_events integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN coach_syncs.unreadable_events IS
    'how many events of what is stored could not be read wholly; they are busy for as long as they may take';
