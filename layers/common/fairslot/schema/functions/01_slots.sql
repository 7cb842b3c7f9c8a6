-- Slots, instants and days, and whether a day admits an appointment.

-- The bits of the slots [p_offset, p_offset + p_length) that lie in a day of p_count slots.
CREATE OR REPLACE FUNCTION engine.span_mask(p_offset integer, p_length integer, p_count integer) RETURNS bit(104)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN least(p_offset + p_length, p_count) > greatest(p_offset, 0)
        THEN (~((~(0::bit(104))) >> (least(p_offset + p_length, p_count) - greatest(p_offset, 0)))) >> greatest(p_offset, 0)
        ELSE 0::bit(104) END;

-- The slot that contains an instant. Each part of an immutable function must be immutable too, or Postgres does not
-- inline it: extract() from a timestamptz is not.
CREATE OR REPLACE FUNCTION engine.slot_of(p_instant timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN floor(date_part('epoch', p_instant - '1970-01-01Z'::timestamptz) / 900)::integer;

-- The instant at which a slot begins.
CREATE OR REPLACE FUNCTION engine.instant_of(p_slot integer) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_timestamp(p_slot::double precision * 900);

-- An instant as the API writes it, in UTC.
CREATE OR REPLACE FUNCTION engine.zulu(p_instant timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(p_instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- Whether all of the slots [p_from, p_to) that lie in a day are set. One substring is cheaper than masks, and cheap
-- enough for Postgres to inline.
CREATE OR REPLACE FUNCTION engine.has_slots(p_bits bit, p_first integer, p_count smallint, p_from integer, p_to integer)
    RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN position(B'0' IN substring(p_bits FROM greatest(p_from - p_first, 0) + 1
        FOR greatest(least(p_to - p_first, p_count) - greatest(p_from - p_first, 0), 0))) = 0;

-- The one predicate: whether a day admits an appointment of the slots [p_from, p_to). The appointment needs working
-- hours, its buffers do not; it counts towards the maximum of the day on which it starts.
CREATE OR REPLACE FUNCTION engine.day_admits(
    day coach_slots, p_from integer, p_to integer, p_before integer, p_after integer
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN engine.has_slots(p_bits => day.free, p_first => day.first_slot, p_count => day.slot_count, p_from => p_from,
                            p_to => p_to)
       AND (p_before + p_after = 0 OR engine.has_slots(p_bits => day.open, p_first => day.first_slot,
                                                       p_count => day.slot_count, p_from => p_from - p_before,
                                                       p_to => p_to + p_after))
       AND (day.booked < day.max_per_day OR p_from < day.first_slot OR p_from >= day.first_slot + day.slot_count);

-- The minutes from one instant to another.
CREATE OR REPLACE FUNCTION engine.minutes_of(p_from timestamptz, p_to timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN floor(date_part('epoch', p_to - p_from) / 60)::integer;

-- The other half of it: why a coach's week or month does not admit another appointment of p_minutes, or null if it does.
CREATE OR REPLACE FUNCTION engine.period_refusal(period coach_periods, p_minutes integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN period.booked >= period.max_booked THEN period.kind || 'ly_maximum'
                WHEN period.minutes + p_minutes > period.max_minutes THEN 'weekly_minutes' END;

-- The same as a number: the longest appointment in minutes that a week or month admits, 0 for none; null: any.
CREATE OR REPLACE FUNCTION engine.minutes_left(period coach_periods) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN period.booked >= period.max_booked THEN 0 ELSE period.max_minutes - period.minutes END;

-- Whether a coach has limits on weeks or months.
CREATE OR REPLACE FUNCTION engine.has_periods(c coaches) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(c.max_per_week, c.max_per_month, c.max_minutes_per_week) IS NOT NULL;

-- The slots that a span touches.
CREATE OR REPLACE FUNCTION engine.slots_of(p_span tstzrange) RETURNS int4range LANGUAGE sql STABLE
    RETURN int4range(engine.slot_of(lower(p_span)),
                     engine.slot_of(upper(p_span) + interval '15 minutes' - interval '1 microsecond'));

-- The bits of a day that lie in any of the ranges of slots.
CREATE OR REPLACE FUNCTION engine.day_mask(p_stretches int4range[], p_first integer, p_count smallint) RETURNS bit(104)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN p_stretches = '{}' THEN 0::bit(104) ELSE coalesce(
        (SELECT bit_or(engine.span_mask(p_offset => lower(one) - p_first, p_length => upper(one) - lower(one),
                                        p_count => p_count))
           FROM unnest(p_stretches) AS one
          WHERE one && int4range(p_first, p_first + p_count)), 0::bit(104)) END;

-- The same for several days in order, numbered from 1; days without such bits are left out.
CREATE OR REPLACE FUNCTION engine.day_masks(p_stretches int4range[], p_firsts integer[], p_counts smallint[])
    RETURNS TABLE (day bigint, bits bit(104)) LANGUAGE sql STABLE AS $$
    SELECT day, bit_or(engine.span_mask(p_offset => lower(one) - p_firsts[day], p_length => upper(one) - lower(one),
                                        p_count => p_counts[day]))
      FROM unnest(p_stretches) AS one,
           generate_series(greatest(width_bucket(lower(one), p_firsts), 1), width_bucket(upper(one) - 1, p_firsts)) AS day
     GROUP BY day
$$;

-- A zone's name as Postgres understands it: it takes these four for abbreviations of offsets without summer time.
CREATE OR REPLACE FUNCTION engine.full_zone(p_zone text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE p_zone WHEN 'CET' THEN 'Europe/Brussels' WHEN 'MET' THEN 'Europe/Brussels' WHEN 'EET' THEN 'Europe/Athens'
                       WHEN 'WET' THEN 'Europe/Lisbon' ELSE p_zone END;

-- The first instant of a day in a zone. A day that begins twice (Havana: 00:00 to 01:00 in autumn) begins the first
-- time.
CREATE OR REPLACE FUNCTION engine.day_start(p_zone text, p_day date) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN (SELECT min(one.instant)
              FROM (SELECT p_day::timestamp AT TIME ZONE engine.full_zone(p_zone) - make_interval(mins => 15 * step)
                               AS instant, step
                      FROM generate_series(0, 8) AS step) AS one
             WHERE one.step = 0 OR (one.instant AT TIME ZONE engine.full_zone(p_zone))::date = p_day);
