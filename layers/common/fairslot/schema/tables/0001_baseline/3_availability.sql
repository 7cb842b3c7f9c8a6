-- The baseline, part 3: what availability is read from. The triggers that keep it are in
-- ../functions/20_availability_triggers.sql.

CREATE TABLE coach_horizons (
    coach_id    text PRIMARY KEY REFERENCES coaches ON DELETE CASCADE,
    first_slot  integer NOT NULL,
    free        varbit NOT NULL,
    open        varbit NOT NULL,
    full_days   varbit
) WITH (fillfactor = 80);
COMMENT ON TABLE coach_horizons IS
    'The read model: all stored days of a coach in one row, as they were at horizons_folded.snapshot; what changed since is in
     availability_changes. Bit i from the left is the slot first_slot + i; first_slot and the lengths are multiples of 8.';
COMMENT ON COLUMN coach_horizons.full_days IS '1: the slot is of a day that has reached its maximum; null: no day has';

CREATE TABLE horizons_folded (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    snapshot    xid8 NOT NULL,
    rebuilt_to  text,
    made_by     xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON COLUMN horizons_folded.snapshot IS 'every change of an earlier transaction is in coach_horizons';
COMMENT ON COLUMN horizons_folded.rebuilt_to IS 'the last coach whose row was rebuilt; null: all are made';
COMMENT ON COLUMN horizons_folded.made_by IS
    'the transaction that wrote the row. In a restored dump it is another one, and the row does not count: its snapshot is
     one of another server.';

CREATE TABLE availability_changes (
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    coach_id     text,
    calendar_id  text,
    of_days      boolean NOT NULL DEFAULT false,
    first_slot   integer,
    slot_count   smallint,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX availability_changes_xid ON availability_changes (xid);
COMMENT ON TABLE availability_changes IS
    'What changed in which transaction: days of a coach, a reading of the coach''s calendar, or the team of a calendar.';
COMMENT ON COLUMN availability_changes.first_slot IS 'the day that changed; null, of days: any of the coach''s days';

CREATE UNLOGGED TABLE page_keys (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key       bytea NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    made_by   xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE page_keys IS
    'What kept pages are authenticated with. Unlogged: a crash, a failover and a restored backup empty it, which makes every
     kept page void; they may have seen transactions that are lost.';
COMMENT ON COLUMN page_keys.made_by IS 'as in horizons_folded';
