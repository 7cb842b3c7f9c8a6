-- What availability is read from. Triggers note which coaches and teams changed in which transaction, whoever changes them;
-- coach_horizons has every coach's days in one row, and fold_changes() brings it up to date now and then. Whoever reads it
-- adds what changed since. Why so: docs/decisions/0088 and 0089.

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

-- Notes that a coach's calendar was read, or could not be.
CREATE OR REPLACE FUNCTION engine.note_reading() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (coach_id) VALUES (NEW.coach_id);
    RETURN NULL;
END $$;

-- Notes that the teams of a coach changed: the coach became active or inactive, or has another kind of calendar.
CREATE OR REPLACE FUNCTION engine.note_coach() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (calendar_id) SELECT calendar_id FROM coach_calendars WHERE coach_id = NEW.coach_id;
    RETURN NULL;
END $$;

-- Notes that somebody joined or left a team.
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

-- The snapshot up to which coach_horizons has every change, or null while it is being made anew.
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

-- Makes the rows of some coaches anew from their stored days.
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
-- Where the snapshot is not known, which is so at first and in a restored dump, every row is made anew, in several calls, and
-- whoever calls waits for the other session: nothing can be listed before that.
CREATE OR REPLACE FUNCTION engine.fold_changes(p_limit integer) RETURNS boolean LANGUAGE plpgsql AS $$
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

-- A range of a horizon as bytes, from a slot on that is a multiple of 8; slots that it does not have are 0.
CREATE OR REPLACE FUNCTION engine.horizon_bytes(p_bits varbit, p_first integer, p_from integer, p_bytes integer)
    RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN p_from >= p_first AND p_from + p_bytes * 8 <= p_first + length(p_bits)
                THEN substring(varbit_send(p_bits) FROM 5 + (p_from - p_first) / 8 FOR p_bytes)
                WHEN p_from >= p_first + length(p_bits) OR p_from + p_bytes * 8 <= p_first
                THEN decode(repeat('00', p_bytes), 'hex')
                ELSE substring(varbit_send(repeat('0', greatest(p_first - p_from, 0))::varbit || p_bits
                                           || repeat('0', greatest(p_from + p_bytes * 8 - p_first - length(p_bits), 0))::varbit)
                               FROM 5 + greatest(p_from - p_first, 0) / 8 FOR p_bytes) END;

-- The teams of the tenant's active calendars, or of one of them, from the read model: each coach's slots as p_bytes bytes from
-- slot p_from on, one coach after the other, as of the snapshot `folded`; where that is null, the read model has to be made
-- first. read_at has each coach's reading in seconds: infinity without an external calendar, 0 before the first reading.
--
-- One plan for every team: each table is asked by its index for the team's ids, then hashed. Left to choose, the planner reads
-- every coach there is for a tenth of them, and plans longer than a small team is read.
CREATE OR REPLACE FUNCTION engine.load_teams(p_tenant text, p_calendar text, p_from integer, p_bytes integer)
    RETURNS TABLE (calendar_id text, snapshot text, folded text, coaches text[], free bytea, open bytea, full_coaches text[],
                   full_days bytea, read_at bytea, failing text[])
    LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_nestloop = off
    SET enable_mergejoin = off SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_nothing  bytea := decode(repeat('00', p_bytes), 'hex');
    v_calendar record;
    v_coaches  text[];
BEGIN
    FOR v_calendar IN
        SELECT calendar.calendar_id, calendar.buffer_before + calendar.buffer_after > 0 AS has_buffers
          FROM calendars AS calendar
         WHERE calendar.tenant_id = p_tenant AND calendar.active AND (p_calendar IS NULL OR calendar.calendar_id = p_calendar)
         ORDER BY calendar.calendar_id
    LOOP
        v_coaches := ARRAY(SELECT coach_id FROM coach_calendars WHERE calendar_id = v_calendar.calendar_id);
        RETURN QUERY
        SELECT v_calendar.calendar_id, pg_current_snapshot()::text, engine.folded_snapshot()::text,
               coalesce(array_agg(coach.coach_id), '{}'),
               coalesce(string_agg(coalesce(horizon.free, v_nothing), ''), ''),
               coalesce(string_agg(coalesce(horizon.open, v_nothing), '') FILTER (WHERE v_calendar.has_buffers), ''),
               array_agg(coach.coach_id) FILTER (WHERE horizon.full_days IS NOT NULL),
               string_agg(horizon.full_days, ''),
               coalesce(string_agg(float8send(
                   CASE WHEN coach.calendar_kind = 'none' THEN 'infinity'
                        ELSE coalesce(date_part('epoch', sync.synced_at), 0) END), ''), ''),
               array_agg(coach.coach_id) FILTER (WHERE coach.calendar_kind <> 'none' AND sync.failures > 0)
          FROM (SELECT coach_id, calendar_kind FROM coaches WHERE coach_id = ANY (v_coaches) AND active) AS coach
          LEFT JOIN (SELECT coach_id,
                            engine.horizon_bytes(p_bits => bits.free, p_first => first_slot, p_from => p_from,
                                                 p_bytes => p_bytes) AS free,
                            CASE WHEN v_calendar.has_buffers THEN
                                engine.horizon_bytes(p_bits => bits.open, p_first => first_slot, p_from => p_from,
                                                     p_bytes => p_bytes) END AS open,
                            CASE WHEN bits.full_days IS NOT NULL THEN
                                engine.horizon_bytes(p_bits => bits.full_days, p_first => first_slot, p_from => p_from,
                                                     p_bytes => p_bytes) END AS full_days
                       FROM coach_horizons AS bits WHERE coach_id = ANY (v_coaches)) AS horizon
            ON horizon.coach_id = coach.coach_id
          LEFT JOIN (SELECT * FROM coach_syncs WHERE coach_id = ANY (v_coaches)) AS sync ON sync.coach_id = coach.coach_id;
    END LOOP;
END $$;

-- The rules of calendars, and what a snapshot does not show of their teams: the coaches who moved, with the days that
-- changed; a day that was deleted has no bits. Of more than p_most changes some are missing. It is stable: all of it is as
-- of one snapshot, which is returned. A plan for any parameters, by the indexes: planning takes longer than running.
CREATE OR REPLACE FUNCTION engine.team_changes(
    p_tenant text, p_calendars text[], p_start timestamptz, p_end timestamptz, p_first integer, p_end_slot integer,
    p_since pg_snapshot, p_team_since pg_snapshot, p_most integer, p_now timestamptz, p_clock timestamptz
) RETURNS TABLE (
    calendar_id text, slot_duration smallint, slot_interval smallint, buffer_before smallint, buffer_after smallint,
    opens_at timestamptz, closes_at timestamptz, closed timestamptz[], snapshot text, key text, has_expired_holds boolean,
    changes integer, has_other_team boolean, moved json
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_coaches text[];
    v_of_days boolean[];
    v_firsts  integer[];
    v_counts  integer[];
BEGIN
    SELECT array_agg(one.coach_id), array_agg(one.of_days), array_agg(one.first_slot), array_agg(one.slot_count)
      INTO v_coaches, v_of_days, v_firsts, v_counts
      FROM (SELECT DISTINCT found.coach_id, found.of_days, found.first_slot, found.slot_count
              FROM (SELECT * FROM availability_changes AS change
                     WHERE change.coach_id IS NOT NULL AND change.xid >= pg_snapshot_xmin(p_since)
                       AND NOT pg_visible_in_snapshot(change.xid, p_since)
                     LIMIT p_most) AS found) AS one;
    RETURN QUERY
    SELECT calendar.calendar_id, calendar.slot_duration, calendar.slot_interval, calendar.buffer_before,
           calendar.buffer_after, engine.opens_at(p_calendar => calendar, p_now => p_now),
           engine.closes_at(p_calendar => calendar, p_now => p_now),
           CASE WHEN calendar.blocked_dates <> '{}' OR calendar.max_per_day IS NOT NULL THEN ARRAY(
               SELECT ARRAY[one.starts, one.ends]
                 FROM engine.closed_days(p_calendar => calendar, p_from => p_start, p_to => p_end, p_except => NULL,
                                         p_now => p_now) AS one) ELSE '{}' END,
           pg_current_snapshot()::text,
           (SELECT encode(page_key.key, 'hex') FROM page_keys AS page_key WHERE page_key.xmin = page_key.made_by::xid),
           engine.holds_have_expired(p_clock), coalesce(cardinality(v_coaches), 0),
           EXISTS (SELECT FROM availability_changes AS change
                    WHERE change.calendar_id = calendar.calendar_id AND change.xid >= pg_snapshot_xmin(p_team_since)
                      AND NOT pg_visible_in_snapshot(change.xid, p_team_since)),
           CASE WHEN v_coaches IS NOT NULL THEN (
               SELECT json_agg(json_build_object(
                          'coach_id', changed.coach_id, 'of_days', changed.of_days, 'changed_slot', changed.first_slot,
                          'changed_count', changed.slot_count, 'first_slot', day.first_slot, 'slot_count', day.slot_count,
                          'free', day.free, 'open', day.open, 'is_full', day.booked >= day.max_per_day,
                          'read_at', CASE WHEN coach.calendar_kind <> 'none' THEN
                                              coalesce(date_part('epoch', sync.synced_at), 0) END,
                          'is_failing', coach.calendar_kind <> 'none' AND coalesce(sync.failures, 0) > 0))
                 FROM unnest(v_coaches, v_of_days, v_firsts, v_counts)
                      AS changed (coach_id, of_days, first_slot, slot_count)
                 JOIN coach_calendars AS member
                   ON member.calendar_id = calendar.calendar_id AND member.coach_id = changed.coach_id
                 JOIN coaches AS coach ON coach.coach_id = changed.coach_id AND coach.active
                 LEFT JOIN coach_syncs AS sync ON sync.coach_id = changed.coach_id
                 LEFT JOIN coach_slots AS day
                   ON changed.of_days AND day.coach_id = changed.coach_id
                  AND day.first_slot >= coalesce(changed.first_slot, p_first - 104)
                  AND day.first_slot <= coalesce(changed.first_slot, p_end_slot)) END
      FROM calendars AS calendar
     WHERE calendar.calendar_id = ANY (p_calendars) AND calendar.tenant_id = p_tenant AND calendar.active
     ORDER BY calendar.calendar_id;
END $$;
