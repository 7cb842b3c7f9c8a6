-- The 15-minute slots of each coach, a row a local day, a bit a slot.

CREATE TABLE coach_slots (
    coach_id     text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    first_slot   integer NOT NULL,
    slot_count   smallint NOT NULL CHECK (slot_count BETWEEN 1 AND 104),
    local_date   date NOT NULL,
    working      bit(104) NOT NULL,
    external     bit(104) NOT NULL DEFAULT 0::bit(104),
    taken        bit(104) NOT NULL DEFAULT 0::bit(104),
    open         bit(104) NOT NULL GENERATED ALWAYS AS (external & ~taken) STORED,
    free         bit(104) NOT NULL GENERATED ALWAYS AS (working & external & ~taken) STORED,
    booked       smallint NOT NULL DEFAULT 0 CHECK (booked >= 0),
    max_per_day  smallint NOT NULL,
    PRIMARY KEY (coach_id, first_slot)
) WITH (fillfactor = 70);
COMMENT ON TABLE coach_slots IS
    'Bit i from the left is the slot first_slot + i, where a slot number is Unix time / 900; bits from slot_count on are 0 in
     working and external. 104 bits hold the longest day there is (26 hours, Antarctica/Troll).';
COMMENT ON COLUMN coach_slots.working IS 'what the working hours allow';
COMMENT ON COLUMN coach_slots.external IS 'what the external calendar allows';
COMMENT ON COLUMN coach_slots.taken IS 'what appointments, holds and their buffers take';
COMMENT ON COLUMN coach_slots.booked IS 'appointments and holds that start on this day';

-- The bits of the slots [p_offset, p_offset + p_length) that lie in a day of p_count slots.
CREATE FUNCTION span_mask(p_offset integer, p_length integer, p_count integer) RETURNS bit(104)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN least(p_offset + p_length, p_count) > greatest(p_offset, 0)
        THEN (~((~(0::bit(104))) >> (least(p_offset + p_length, p_count) - greatest(p_offset, 0)))) >> greatest(p_offset, 0)
        ELSE 0::bit(104) END;

CREATE FUNCTION slot_of(p_instant timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN floor(extract(epoch FROM p_instant) / 900)::integer;

CREATE FUNCTION instant_of(p_slot integer) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_timestamp(p_slot::double precision * 900);

-- An instant as the API writes it.
CREATE FUNCTION zulu(p_instant timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_char(p_instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- The slots one by one, for people.
CREATE VIEW coach_slot_list AS
SELECT day.coach_id,
       day.local_date,
       instant_of(day.first_slot + slot.i) AS start_time,
       instant_of(day.first_slot + slot.i + 1) AS end_time,
       get_bit(day.working, slot.i) = 1 AS working,
       get_bit(day.external, slot.i) = 1 AS external,
       get_bit(day.taken, slot.i) = 1 AS taken,
       get_bit(day.free, slot.i) = 1 AS free
  FROM coach_slots AS day
 CROSS JOIN LATERAL generate_series(0, day.slot_count - 1) AS slot (i);

-- The one predicate: does this day let an appointment of these slots stand?
-- p_core is the appointment itself, which needs working hours; p_full has the buffers too, which need not;
-- p_starts says whether the appointment starts on this day and so counts towards its maximum.
CREATE FUNCTION day_admits(
    p_free bit, p_open bit, p_booked smallint, p_max smallint, p_core bit, p_full bit, p_starts boolean
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (p_free & p_core) = p_core AND (p_open & p_full) = p_full AND (NOT p_starts OR p_booked < p_max);
