-- The baseline, part 4: when coaches can be booked.

-- The 15-minute slots of each coach, a row a local day, a bit a slot.

-- Booking changes neither column of the constraint, so its updates stay HOT. A 64-bit hash stands for the coach: inserting a
-- day costs a third of what it costs with the name, and two of a million coaches share it with a chance of 1 in 30 million.
CREATE TABLE coach_slots (
    coach_id     text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    first_slot   integer NOT NULL,
    slot_count   smallint NOT NULL,
    local_date   date NOT NULL,
    working      bit(104) NOT NULL,
    external     bit(104) NOT NULL DEFAULT 0::bit(104),
    taken        bit(104) NOT NULL DEFAULT 0::bit(104),
    open         bit(104) NOT NULL GENERATED ALWAYS AS (external & ~taken) STORED,
    free         bit(104) NOT NULL GENERATED ALWAYS AS (working & external & ~taken) STORED,
    booked       smallint NOT NULL DEFAULT 0,
    max_per_day  smallint NOT NULL,
    PRIMARY KEY (coach_id, first_slot),
    CHECK (slot_count BETWEEN 1 AND 104 AND booked >= 0),
    CONSTRAINT coach_slots_no_overlap EXCLUDE USING gist (
        hashtextextended(coach_id, 0) WITH =, int4range(first_slot, first_slot + slot_count) WITH &&)
) WITH (fillfactor = 70);
COMMENT ON TABLE coach_slots IS
    'Bit i from the left is the slot first_slot + i, where a slot number is Unix time / 900; bits from slot_count on are 0 in
     working and external. 104 bits hold the longest day (26 hours, Antarctica/Troll).';
COMMENT ON COLUMN coach_slots.working IS '1: in the working hours';
COMMENT ON COLUMN coach_slots.external IS '1: the external calendar leaves it free';
COMMENT ON COLUMN coach_slots.taken IS '1: an appointment, a hold or a buffer takes it';
COMMENT ON COLUMN coach_slots.booked IS 'appointments and holds that start on this day';

-- The slots one by one, for people to read.
CREATE VIEW coach_slot_list AS
SELECT day.coach_id,
       day.local_date,
       to_timestamp((day.first_slot + slot.i) * 900.0) AS start_time,
       to_timestamp((day.first_slot + slot.i + 1) * 900.0) AS end_time,
       get_bit(day.working, slot.i) = 1 AS working,
       get_bit(day.external, slot.i) = 1 AS external,
       get_bit(day.taken, slot.i) = 1 AS taken,
       get_bit(day.free, slot.i) = 1 AS free
  FROM coach_slots AS day
 CROSS JOIN LATERAL generate_series(0, day.slot_count - 1) AS slot (i);

-- What a coach has in a week or a month, of those that have a limit. One that touches stored days has a row.
CREATE TABLE coach_periods (
    coach_id     text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    first_slot   integer NOT NULL,
    kind         text NOT NULL,
    end_slot     integer NOT NULL,
    booked       integer NOT NULL,
    minutes      integer NOT NULL,
    max_booked   integer,
    max_minutes  integer,
    PRIMARY KEY (coach_id, first_slot, kind),
    CHECK (kind IN ('week', 'month') AND booked >= 0 AND minutes >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE coach_periods IS 'Slots [first_slot, end_slot): from Monday, or the first of the month, in the coach''s zone.';
COMMENT ON COLUMN coach_periods.booked IS 'appointments and holds that start in the period';
COMMENT ON COLUMN coach_periods.minutes IS 'of these, without buffers';
COMMENT ON COLUMN coach_periods.max_booked IS 'the coach''s limit; null, as for max_minutes: none';

CREATE TABLE coach_absences (
    coach_id    text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    span        tstzrange NOT NULL CHECK (lower(span) < upper(span)),
    event_id    uuid NOT NULL,
    reason      text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ledger      text NOT NULL DEFAULT 'keep' CHECK (ledger IN ('keep', 'settle')),
    PRIMARY KEY (coach_id, event_id, span)
);
COMMENT ON TABLE coach_absences IS
    'When coaches are away: it holds whatever their calendars say, until it is over or they are back sooner.';
COMMENT ON COLUMN coach_absences.ledger IS
    'keep: the coach goes on with the same credit; settle: it went to the rest of the team when the absence was recorded';
COMMENT ON COLUMN coach_absences.event_id IS
    'the inbound event that said so, or an id made for the API''s request; an absence outlives its event''s row';
