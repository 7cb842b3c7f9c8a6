-- What availability is read from. Triggers note which coaches and teams changed in which transaction, whoever changes them;
-- coach_horizons has every coach's days in one row, and fold_changes() brings it up to date now and then. Whoever reads it
-- adds what changed since: 23_listing.sql. Why so: docs/decisions/0088 and 0089.

-- Notes a changed day.
CREATE OR REPLACE FUNCTION engine.note_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (coach_id, of_days, first_slot, slot_count)
    VALUES (NEW.coach_id, true, NEW.first_slot, NEW.slot_count);
    RETURN NULL;
END $$;

-- Notes the days that a statement inserted or deleted: one by one, or in a row for all days of a coach.
CREATE OR REPLACE FUNCTION engine.note_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (coach_id, of_days, first_slot, slot_count)
    SELECT DISTINCT day.coach_id, true, CASE WHEN day.number <= 8 THEN day.first_slot END,
           CASE WHEN day.number <= 8 THEN day.slot_count END
      FROM (SELECT days.*, count(*) OVER (PARTITION BY coach_id) AS number FROM days) AS day;
    RETURN NULL;
END $$;

-- Makes the read model and everything that is kept void.
CREATE OR REPLACE FUNCTION engine.void_availability() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM page_keys;
    DELETE FROM horizons_folded;
    RETURN NULL;
END $$;

-- Refuses to move a day to another coach or other slots, as nothing would note the slots that it leaves.
CREATE OR REPLACE FUNCTION engine.refuse_moved_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'coach_id, first_slot and slot_count of a stored day never change: delete it and insert another';
END $$;

-- Notes that a coach's calendar was read, or could not be, or that a week or month admits other appointments than before.
CREATE OR REPLACE FUNCTION engine.note_reading() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (coach_id) VALUES (NEW.coach_id);
    RETURN NULL;
END $$;

-- Notes that the teams of a coach changed: the coach became active or inactive, or has another kind of calendar, other buffers,
-- another notice, or other attributes.
CREATE OR REPLACE FUNCTION engine.note_coach() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (calendar_id) SELECT calendar_id FROM coach_calendars WHERE coach_id = NEW.coach_id;
    RETURN NULL;
END $$;

-- Notes that somebody joined or left a team, or has other buffers or another notice in it.
CREATE OR REPLACE FUNCTION engine.note_team() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO availability_changes (calendar_id) VALUES (OLD.calendar_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO availability_changes (calendar_id) VALUES (NEW.calendar_id);
    END IF;
    RETURN NULL;
END $$;

-- Notes the coaches whose weeks and months a statement inserted or deleted.
CREATE OR REPLACE FUNCTION engine.note_periods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (coach_id) SELECT DISTINCT coach_id FROM periods;
    RETURN NULL;
END $$;

-- The snapshot up to which coach_horizons has every change, or null while it is being rebuilt.
CREATE OR REPLACE FUNCTION engine.folded_snapshot() RETURNS xid8 LANGUAGE sql STABLE
    RETURN (SELECT snapshot FROM horizons_folded WHERE rebuilt_to IS NULL AND xmin = made_by::xid);

-- What the row of a coach has to be; slots of days that are not stored are 0.
CREATE OR REPLACE FUNCTION engine.stored_horizon(
    p_coach text, OUT first_slot integer, OUT free varbit, OUT open varbit, OUT full_days varbit
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    SELECT coalesce(bits.first_slot, 0), coalesce(rpad(bits.free, bits.width, '0'), '')::varbit,
           coalesce(rpad(bits.open, bits.width, '0'), '')::varbit,
           CASE WHEN bits.full_days LIKE '%1%' THEN rpad(bits.full_days, bits.width, '0')::varbit END
      INTO first_slot, free, open, full_days
      FROM (SELECT min(day.first_slot) & -8 AS first_slot,
                   (max(day.first_slot + day.slot_count) + 7 & -8) - (min(day.first_slot) & -8) AS width,
                   repeat('0', min(day.first_slot) & 7)
                       || string_agg(rpad(substring(day.free, 1, day.slot_count)::text, day.length, '0'), ''
                                     ORDER BY day.first_slot) AS free,
                   repeat('0', min(day.first_slot) & 7)
                       || string_agg(rpad(substring(day.open, 1, day.slot_count)::text, day.length, '0'), ''
                                     ORDER BY day.first_slot) AS open,
                   repeat('0', min(day.first_slot) & 7)
                       || string_agg(rpad(repeat((day.booked >= day.max_per_day)::integer::text, day.slot_count),
                                          day.length, '0'), '' ORDER BY day.first_slot) AS full_days
              FROM (SELECT one.*, coalesce(lead(one.first_slot) OVER (ORDER BY one.first_slot) - one.first_slot,
                                           one.slot_count)::integer AS length
                      FROM coach_slots AS one WHERE one.coach_id = p_coach) AS day) AS bits;
END $$;

-- Rebuilds the rows of some coaches from their stored days.
CREATE OR REPLACE FUNCTION engine.rebuild_horizons(p_coaches text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO coach_horizons AS horizon (coach_id, first_slot, free, open, full_days)
    SELECT coach.coach_id, stored.first_slot, stored.free, stored.open, stored.full_days
      FROM coaches AS coach CROSS JOIN LATERAL engine.stored_horizon(coach.coach_id) AS stored
     WHERE coach.coach_id = ANY (p_coaches)
    ON CONFLICT (coach_id) DO UPDATE
       SET first_slot = excluded.first_slot, free = excluded.free, open = excluded.open, full_days = excluded.full_days
$$;

-- Brings one day of a coach's row up to date; returns whether the day is stored and within the row.
CREATE OR REPLACE FUNCTION engine.update_horizon(p_coach text, p_day integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE coach_horizons AS horizon
       SET free = overlay(horizon.free PLACING substring(day.free, 1, day.slot_count)
                          FROM day.first_slot - horizon.first_slot + 1),
           open = overlay(horizon.open PLACING substring(day.open, 1, day.slot_count)
                          FROM day.first_slot - horizon.first_slot + 1),
           full_days = CASE WHEN horizon.full_days IS NOT NULL OR day.booked >= day.max_per_day THEN
               nullif(overlay(coalesce(horizon.full_days, repeat('0', length(horizon.free))::varbit)
                              PLACING repeat((day.booked >= day.max_per_day)::integer::text, day.slot_count)::varbit
                              FROM day.first_slot - horizon.first_slot + 1),
                      repeat('0', length(horizon.free))::varbit) END
      FROM coach_slots AS day
     WHERE horizon.coach_id = p_coach AND day.coach_id = p_coach AND day.first_slot = p_day
       AND day.first_slot >= horizon.first_slot
       AND day.first_slot + day.slot_count <= horizon.first_slot + length(horizon.free);
    RETURN FOUND;
END $$;

-- Brings coach_horizons up to date with about p_limit changes, unless another session does; returns whether there are more.
-- Where the snapshot is not known, which is so at first and in a restored dump, every row is rebuilt, in several calls, and
-- whoever calls waits for the other session: nothing can be listed before that.
CREATE OR REPLACE FUNCTION engine.fold_changes(p_limit integer) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_snapshot xid8;
    v_until    xid8;
    v_state    horizons_folded;
    v_coaches  text[];
    v_day      record;
BEGIN
    IF engine.folded_snapshot() IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('coach_horizons', 0));
    ELSIF NOT pg_try_advisory_xact_lock(hashtextextended('coach_horizons', 0)) THEN
        RETURN false;
    END IF;
    -- Before the days are read: what a later transaction changes may be in them or not.
    v_snapshot := pg_snapshot_xmin(pg_current_snapshot());
    SELECT * INTO v_state FROM horizons_folded WHERE xmin = made_by::xid;
    IF NOT FOUND THEN
        v_state.snapshot := v_snapshot;
        v_state.rebuilt_to := '';
    END IF;
    IF v_state.rebuilt_to IS NOT NULL THEN
        v_coaches := ARRAY(SELECT coach_id FROM coaches WHERE coach_id > v_state.rebuilt_to
                            ORDER BY coach_id LIMIT p_limit);
        v_state.rebuilt_to := CASE WHEN cardinality(v_coaches) = p_limit THEN v_coaches[p_limit] END;
    ELSE
        v_until := (SELECT xid FROM availability_changes WHERE xid >= v_state.snapshot
                     ORDER BY xid OFFSET p_limit LIMIT 1);
        IF v_until = v_state.snapshot THEN  -- one transaction with more changes than that
            v_until := (SELECT min(xid) FROM availability_changes WHERE xid > v_state.snapshot);
        END IF;
        v_until := least(v_until, v_snapshot);
        v_coaches := ARRAY(SELECT coach_id FROM availability_changes WHERE of_days AND xid >= v_state.snapshot AND xid < v_until
                            GROUP BY coach_id HAVING bool_or(first_slot IS NULL) OR count(DISTINCT first_slot) > 8);
        FOR v_day IN  -- few of a coach: many cost less at once
            SELECT DISTINCT coach_id, first_slot FROM availability_changes
             WHERE of_days AND first_slot IS NOT NULL AND coach_id <> ALL (v_coaches)
               AND xid >= v_state.snapshot AND xid < v_until
        LOOP
            IF NOT engine.update_horizon(p_coach => v_day.coach_id, p_day => v_day.first_slot) THEN
                v_coaches := v_coaches || v_day.coach_id;
            END IF;
        END LOOP;
        v_state.snapshot := v_until;
    END IF;
    PERFORM engine.rebuild_horizons(v_coaches);
    INSERT INTO horizons_folded AS folded (snapshot, rebuilt_to) VALUES (v_state.snapshot, v_state.rebuilt_to)
    ON CONFLICT (only_one) DO UPDATE
       SET snapshot = excluded.snapshot, rebuilt_to = excluded.rebuilt_to, made_by = excluded.made_by;
    RETURN v_state.rebuilt_to IS NOT NULL OR v_state.snapshot < v_snapshot;
END $$;

-- The key that kept pages are authenticated with; it is made if there is none.
CREATE OR REPLACE FUNCTION engine.page_key() RETURNS TABLE (key text) LANGUAGE sql SECURITY DEFINER AS $$
    WITH made AS (
        INSERT INTO page_keys AS page_key DEFAULT VALUES
        ON CONFLICT (only_one) DO UPDATE SET key = excluded.key, made_by = excluded.made_by
         WHERE page_key.xmin <> page_key.made_by::xid
        RETURNING key
    )
    SELECT encode(key, 'hex') AS key FROM made
     UNION ALL
    SELECT encode(key, 'hex') FROM page_keys WHERE xmin = made_by::xid
$$;
