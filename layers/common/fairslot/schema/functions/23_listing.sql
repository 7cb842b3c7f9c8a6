-- What a listing reads: teams from the read model, and what a snapshot does not show of them.

-- Whether a week or month touches the slots [p_from, p_to) and admits no appointment of p_minutes.
CREATE OR REPLACE FUNCTION engine.is_closed(tight tight_periods, p_from integer, p_to integer, p_minutes integer)
    RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tight.first_slot < p_to AND tight.end_slot > p_from AND tight.minutes_left < p_minutes;

-- The weeks and months of some coaches of which that is true.
CREATE OR REPLACE FUNCTION engine.closed_periods(
    p_coaches text[], p_from integer, p_to integer, p_minutes integer,
    OUT coaches text[], OUT firsts integer[], OUT ends integer[]
) LANGUAGE sql STABLE AS $$
    SELECT array_agg(tight.coach_id), array_agg(tight.first_slot), array_agg(tight.end_slot)
      FROM tight_periods AS tight
     WHERE tight.coach_id = ANY (p_coaches)
       AND engine.is_closed(tight => tight, p_from => p_from, p_to => p_to, p_minutes => p_minutes)
$$;

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
-- first. read_at has each coach's reading in seconds: infinity without an external calendar, 0 before the first reading. own
-- has each coach's own rules, as 4-byte integers: buffers in slots, notice in minutes; null: nobody has any. closed is as
-- closed_periods() returns it.
--
-- One plan for every team: each table is asked by its index for the team's ids, then hashed. Left to choose, the planner reads
-- every coach there is for a tenth of them, and plans longer than a small team is read.
CREATE OR REPLACE FUNCTION engine.load_teams(p_tenant text, p_calendar text, p_from integer, p_bytes integer)
    RETURNS TABLE (calendar_id text, snapshot text, folded text, coaches text[], free bytea, open bytea, full_coaches text[],
                   full_days bytea, read_at bytea, failing text[], own_before bytea, own_after bytea,
                   own_notice bytea, closed_coaches text[], closed_firsts integer[], closed_ends integer[])
    LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_nestloop = off
    SET enable_mergejoin = off SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_nothing  bytea := decode(repeat('00', p_bytes), 'hex');
    v_calendar record;
    v_coaches  text[];
    v_own      rosters;
    v_closed   text[];
    v_firsts   integer[];
    v_ends     integer[];
BEGIN
    FOR v_calendar IN
        SELECT calendar.calendar_id, calendar.slot_duration, calendar.requires,
               calendar.buffer_before + calendar.buffer_after > 0 AS has_buffers,
               (SELECT ARRAY[roster.buffers_before IS NOT NULL, roster.notices IS NOT NULL, roster.limited IS NOT NULL]
                  FROM rosters AS roster
                 WHERE roster.calendar_id = calendar.calendar_id
                   AND roster.version = (SELECT turn.roster_version FROM turns AS turn
                                          WHERE turn.calendar_id = calendar.calendar_id AND turn.kind = 'normal')) AS has
          FROM calendars AS calendar
         WHERE calendar.tenant_id = p_tenant AND calendar.active AND (p_calendar IS NULL OR calendar.calendar_id = p_calendar)
         ORDER BY calendar.calendar_id
    LOOP
        v_coaches := ARRAY(SELECT coach_id FROM coach_calendars WHERE calendar_id = v_calendar.calendar_id);
        IF v_calendar.requires <> '{}' THEN
            v_coaches := engine.who_meets(p_calendar => v_calendar.calendar_id, p_requires => NULL);
        END IF;
        v_own := NULL;
        IF v_calendar.has[1] OR v_calendar.has[2] THEN
            SELECT roster.* INTO v_own FROM rosters AS roster
             WHERE roster.calendar_id = v_calendar.calendar_id
               AND roster.version = (SELECT turn.roster_version FROM turns AS turn
                                      WHERE turn.calendar_id = v_calendar.calendar_id AND turn.kind = 'normal');
            v_calendar.has_buffers := v_calendar.has_buffers OR v_calendar.has[1];
        END IF;
        v_closed := NULL;
        IF v_calendar.has[3] THEN
            SELECT coaches, firsts, ends INTO v_closed, v_firsts, v_ends
              FROM engine.closed_periods(p_coaches => v_coaches, p_from => p_from, p_to => p_from + p_bytes * 8,
                                         p_minutes => v_calendar.slot_duration);
        END IF;
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
               array_agg(coach.coach_id) FILTER (WHERE coach.calendar_kind <> 'none' AND sync.failures > 0),
               CASE WHEN v_calendar.has[1] THEN string_agg(int4send(coalesce(own.before, 0)), '') END,
               CASE WHEN v_calendar.has[1] THEN string_agg(int4send(coalesce(own.after, 0)), '') END,
               CASE WHEN v_calendar.has[2] THEN string_agg(int4send(coalesce(own.notice, 0)), '') END,
               v_closed, v_firsts, v_ends
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
          LEFT JOIN (SELECT * FROM coach_syncs WHERE coach_id = ANY (v_coaches)) AS sync ON sync.coach_id = coach.coach_id
          LEFT JOIN unnest(v_own.coach_ids, v_own.buffers_before, v_own.buffers_after, v_own.notices)
               AS own (coach_id, before, after, notice) ON own.coach_id = coach.coach_id;
    END LOOP;
END $$;

-- The rules of calendars, and what a snapshot does not show of their teams: the coaches who moved, with the days that
-- changed; a day that was deleted has no bits. Of more than p_most changes some are missing. eligible are those who meet
-- p_requires, null where that is null. It is stable: all of it is as of one snapshot, which is
-- returned. One plan for any parameters, by the indexes: planning takes longer than running.
CREATE OR REPLACE FUNCTION engine.team_changes(
    p_tenant text, p_calendars text[], p_start timestamptz, p_end timestamptz, p_first integer, p_end_slot integer,
    p_since pg_snapshot, p_team_since pg_snapshot, p_most integer, p_now timestamptz, p_clock timestamptz,
    p_requires text[] DEFAULT NULL
) RETURNS TABLE (
    calendar_id text, slot_duration smallint, slot_interval smallint, buffer_before smallint, buffer_after smallint,
    opens_at timestamptz, closes_at timestamptz, closed timestamptz[], snapshot text, key text, has_expired_holds boolean,
    changes integer, has_other_team boolean, moved json, requires text[], eligible text[]
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_coaches text[];
    v_of_days boolean[];
    v_firsts  integer[];
    v_counts  integer[];
    v_changes integer;
BEGIN
    -- All are counted, though alike ones are taken over once: where as many as p_most are found, some may be missing.
    SELECT array_agg(one.coach_id), array_agg(one.of_days), array_agg(one.first_slot), array_agg(one.slot_count),
           coalesce(sum(one.alike), 0)
      INTO v_coaches, v_of_days, v_firsts, v_counts, v_changes
      FROM (SELECT found.coach_id, found.of_days, found.first_slot, found.slot_count, count(*) AS alike
              FROM (SELECT * FROM availability_changes AS change
                     WHERE change.coach_id IS NOT NULL AND change.xid >= pg_snapshot_xmin(p_since)
                       AND NOT pg_visible_in_snapshot(change.xid, p_since)
                     LIMIT p_most) AS found
             GROUP BY found.coach_id, found.of_days, found.first_slot, found.slot_count) AS one;
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
           engine.holds_have_expired(p_clock), v_changes,
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
                          'is_failing', coach.calendar_kind <> 'none' AND coalesce(sync.failures, 0) > 0,
                          'closed', CASE WHEN engine.has_periods(coach) THEN (
                              SELECT json_agg(json_build_array(tight.first_slot, tight.end_slot))
                                FROM tight_periods AS tight
                               WHERE tight.coach_id = changed.coach_id
                                 AND engine.is_closed(tight => tight, p_from => p_first, p_to => p_end_slot,
                                                      p_minutes => calendar.slot_duration)) END))
                 FROM unnest(v_coaches, v_of_days, v_firsts, v_counts)
                      AS changed (coach_id, of_days, first_slot, slot_count)
                 JOIN coach_calendars AS member
                   ON member.calendar_id = calendar.calendar_id AND member.coach_id = changed.coach_id
                 JOIN coaches AS coach ON coach.coach_id = changed.coach_id AND coach.active
                 LEFT JOIN coach_syncs AS sync ON sync.coach_id = changed.coach_id
                 LEFT JOIN coach_slots AS day
                   ON changed.of_days AND day.coach_id = changed.coach_id
                  AND day.first_slot >= coalesce(changed.first_slot, p_first - 104)
                  AND day.first_slot <= coalesce(changed.first_slot, p_end_slot)) END,
           calendar.requires,
           CASE WHEN p_requires IS NOT NULL THEN
                    engine.who_meets(p_calendar => calendar.calendar_id, p_requires => p_requires) END
      FROM calendars AS calendar
     WHERE calendar.calendar_id = ANY (p_calendars) AND calendar.tenant_id = p_tenant AND calendar.active
     ORDER BY calendar.calendar_id;
END $$;
