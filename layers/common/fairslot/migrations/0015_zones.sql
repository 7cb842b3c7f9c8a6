-- A coach's days follow one another, also after the coach moved or a country changed its clocks: docs/decisions/0041.

-- What a coach's appointments and holds take of the day that has these slots, and how many start on it.
CREATE FUNCTION load_of_day(p_coach text, p_first integer, p_count integer, OUT taken bit(104), OUT booked smallint)
    LANGUAGE sql STABLE AS $$
    SELECT coalesce(bit_or(span_mask(slot_of(lower(a.takes)) - p_first, slot_of(upper(a.takes)) - slot_of(lower(a.takes)),
                                     p_count)), 0::bit(104)),
           count(*) FILTER (WHERE slot_of(a.start_time) >= p_first AND slot_of(a.start_time) < p_first + p_count)
      FROM coach_appointments AS a
     WHERE a.coach_id = p_coach AND a.status IN ('held', 'scheduled', 'completed', 'no_show')
       AND a.takes && tstzrange(instant_of(p_first), instant_of(p_first + p_count))
$$;

-- What earlier changes left: days beside those that the coach's zone has now, each with some of the appointments. Where
-- they go they may leave a hole, and then the next run of the maintenance cuts the coach's days anew.
DO $$
DECLARE
    v_coaches text[] := ARRAY(
        SELECT DISTINCT day.coach_id FROM coach_slots AS day JOIN coach_slots AS other USING (coach_id)
         WHERE other.first_slot > day.first_slot AND other.first_slot < day.first_slot + day.slot_count);
BEGIN
    DELETE FROM coach_slots AS day USING coaches AS coach
     WHERE day.coach_id = ANY (v_coaches) AND coach.coach_id = day.coach_id
       AND slot_of(day.local_date::timestamp AT TIME ZONE coach.time_zone) <> day.first_slot;
    DELETE FROM coach_slots AS day
     WHERE day.coach_id = ANY (v_coaches)
       AND EXISTS (SELECT FROM coach_slots AS other
                    WHERE other.coach_id = day.coach_id AND other.first_slot < day.first_slot
                      AND other.first_slot + other.slot_count > day.first_slot);
    UPDATE coach_slots AS day
       SET (taken, booked) = (SELECT load.taken, load.booked
                                FROM load_of_day(day.coach_id, day.first_slot, day.slot_count) AS load)
     WHERE day.coach_id = ANY (v_coaches);
END $$;

-- Booking changes neither of the columns, so its updates stay HOT. The 64-bit hash stands for the coach: a new day costs a
-- third of what it does with the name, and no two of a million coaches share it but with a chance of 1 in 30 million.
ALTER TABLE coach_slots ADD CONSTRAINT coach_slots_no_overlap EXCLUDE USING gist (
    hashtextextended(coach_id, 0) WITH =, int4range(first_slot, first_slot + slot_count) WITH &&);

-- Replaces the coach's days that end after p_from by the given ones, which must cover them. What the external calendar
-- said stays with its slot, and given.external counts where no day was; what is taken comes from the appointments.
-- Nothing happens if the coach's zone is no longer p_zone.
--
-- With the locks of all the calendars that the coach's time can be booked or given back in, nobody else changes it.
CREATE FUNCTION recut_days(
    p_coach text, p_zone text, p_from integer, p_first integer[], p_count smallint[], p_dates date[], p_working text[],
    p_external text[], p_max smallint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_calendars text[];
    v_old       coach_slots[];
BEGIN
    v_calendars := ARRAY(SELECT calendar_id FROM calendars WHERE calendar_id IN (SELECT books(p_coach, p_from))
                          ORDER BY calendar_id FOR NO KEY UPDATE);
    IF EXISTS (SELECT FROM books(p_coach, p_from) AS calendar_id WHERE calendar_id <> ALL (v_calendars)) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the coach joined a team meanwhile';
    END IF;
    PERFORM FROM coaches WHERE coach_id = p_coach AND time_zone = p_zone FOR SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_old := ARRAY(SELECT day FROM coach_slots AS day
                    WHERE day.coach_id = p_coach AND day.first_slot + day.slot_count > p_from
                    ORDER BY day.first_slot FOR UPDATE);
    DELETE FROM coach_slots AS day WHERE day.coach_id = p_coach AND day.first_slot + day.slot_count > p_from;
    INSERT INTO coach_slots (coach_id, first_slot, slot_count, local_date, working, external, taken, booked, max_per_day)
    SELECT p_coach, given.first_slot, given.slot_count, given.local_date, given.working::bit(104),
           coalesce(given.external::bit(104) & ~known.covered | known.external, given.external::bit(104)),
           load.taken, load.booked, p_max
      FROM unnest(p_first, p_count, p_dates, p_working, p_external)
           AS given (first_slot, slot_count, local_date, working, external)
     CROSS JOIN LATERAL (
        SELECT bit_or(span_mask(day.first_slot - given.first_slot, day.slot_count, given.slot_count)) AS covered,
               bit_or(CASE WHEN day.first_slot > given.first_slot THEN day.external >> (day.first_slot - given.first_slot)
                           ELSE day.external << (given.first_slot - day.first_slot) END
                      & span_mask(0, given.slot_count, given.slot_count)) AS external
          FROM unnest(v_old) AS day
         WHERE day.first_slot < given.first_slot + given.slot_count
           AND day.first_slot + day.slot_count > given.first_slot) AS known
     CROSS JOIN LATERAL load_of_day(p_coach, given.first_slot, given.slot_count) AS load;
END $$;

-- The calendars in which a coach's time from a slot on can be booked, or given back.
CREATE FUNCTION books(p_coach text, p_from integer) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT calendar_id FROM coach_calendars WHERE coach_id = p_coach
     UNION
    SELECT calendar_id FROM coach_appointments
     WHERE coach_id = p_coach AND status IN ('held', 'scheduled') AND upper(takes) > instant_of(p_from)
$$;
