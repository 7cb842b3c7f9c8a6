-- The counts of the rate limits while Valkey does not answer; empty otherwise. Not logged: a crash empties it, as it does Valkey.
-- It has no tenant: names have it, and who guesses has none yet.

CREATE UNLOGGED TABLE rate_counts (
    name    text PRIMARY KEY,
    begun   timestamptz NOT NULL,
    count   integer NOT NULL,
    before  integer NOT NULL
);
COMMENT ON COLUMN rate_counts.name IS 'what is counted, as Valkey names it; of an address a keyed digest';
COMMENT ON COLUMN rate_counts.begun IS 'when the current minute began';
COMMENT ON COLUMN rate_counts.before IS 'what was counted in the minute before it';
