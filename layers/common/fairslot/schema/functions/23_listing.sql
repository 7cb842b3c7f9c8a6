-- What a listing reads: teams from the read model, and what a snapshot does not show of them.

-- The coaches of a roster who have buffers or a notice of their own, with them: in slots and minutes.
CREATE OR REPLACE FUNCTION engine.own_rules(
    p_roster rosters, OUT coaches text[], OUT before integer[], OUT after integer[], OUT notice integer[]
) LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(mate.coach_id), array_agg(mate.before), array_agg(mate.after), array_agg(mate.notice)
      FROM unnest(p_roster.coach_ids, p_roster.buffers_before, p_roster.buffers_after, p_roster.notices)
           AS given (coach_id, buffer_before, buffer_after, minutes)
     CROSS JOIN LATERAL (SELECT given.coach_id, coalesce(given.buffer_before, 0), coalesce(given.buffer_after, 0),
                                coalesce(given.minutes, 0)) AS mate (coach_id, before, after, notice)
     WHERE greatest(mate.before, mate.after, mate.notice) > 0
$$;

-- The weeks and months of some coaches within the slots [p_from, p_to) that admit no appointment of p_minutes.
CREATE OR REPLACE FUNCTION engine.closed_periods(
    p_coaches text[], p_from integer, p_to integer, p_minutes integer,
    OUT coaches text[], OUT firsts integer[], OUT ends integer[]
) LANGUAGE sql STABLE AS $$
    SELECT array_agg(period.coach_id), array_agg(period.first_slot), array_agg(period.end_slot)
      FROM coach_periods AS period
     WHERE period.coach_id = ANY (p_coaches) AND period.first_slot < p_to AND period.end_slot > p_from
       AND engine.period_refusal(period => period, p_minutes => p_minutes) IS NOT NULL
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
-- is as own_rules() and closed as closed_periods() return them; null: there are none.
--
-- One plan for every team: each table is asked by its index for the team's ids, then hashed. Left to choose, the planner reads
-- every coach there is for a tenth of them, and plans longer than a small team is read.
CREATE OR REPLACE FUNCTION engine.load_teams(p_tenant text, p_calendar text, p_from integer, p_bytes integer)
    RETURNS TABLE (calendar_id text, snapshot text, folded text, coaches text[], free bytea, open bytea, full_coaches text[],
                   full_days bytea, read_at bytea, failing text[], own_coaches text[], own_before integer[],
                   own_after integer[], own_notice integer[], closed_coaches text[], closed_firsts integer[],
                   closed_ends integer[])
    LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_nestloop = off
    SET enable_mergejoin = off SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_nothing  bytea := decode(repeat('00', p_bytes), 'hex');
    v_calendar record;
    v_coaches  text[];
    v_own      record;
    v_closed   record;
BEGIN
    FOR v_calendar IN
        SELECT calendar.calendar_id, calendar.slot_duration, own.roster, (own.roster).limited IS NOT NULL AS is_limited,
               calendar.buffer_before + calendar.buffer_after > 0 OR (own.roster).buffers_before IS NOT NULL AS has_buffers
          FROM calendars AS calendar CROSS JOIN LATERAL engine.ledger(calendar.calendar_id) AS own
         WHERE calendar.tenant_id = p_tenant AND calendar.active AND (p_calendar IS NULL OR calendar.calendar_id = p_calendar)
         ORDER BY calendar.calendar_id
    LOOP
        v_coaches := ARRAY(SELECT coach_id FROM coach_calendars WHERE calendar_id = v_calendar.calendar_id);
        v_own := engine.own_rules(v_calendar.roster);
        v_closed := engine.closed_periods(p_coaches => CASE WHEN v_calendar.is_limited THEN v_coaches ELSE '{}' END,
                                          p_from => p_from, p_to => p_from + p_bytes * 8,
                                          p_minutes => v_calendar.slot_duration);
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
               v_own.coaches, v_own.before, v_own.after, v_own.notice, v_closed.coaches, v_closed.firsts, v_closed.ends
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
                          'is_failing', coach.calendar_kind <> 'none' AND coalesce(sync.failures, 0) > 0,
                          'closed', CASE WHEN engine.has_periods(coach) THEN (
                              SELECT json_agg(json_build_array(one.first_slot, one.end_slot))
                                FROM engine.closed_periods(
                                         p_coaches => ARRAY[changed.coach_id], p_from => p_first, p_to => p_end_slot,
                                         p_minutes => calendar.slot_duration) AS closed
                               CROSS JOIN LATERAL unnest(closed.firsts, closed.ends) AS one (first_slot, end_slot)) END))
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
