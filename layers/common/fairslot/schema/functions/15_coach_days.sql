-- A coach's days: readings of calendars, absences, and changes of the time zone. Why so: docs/decisions/0042, 0070 to 0074.

-- The slots [first_slot, end_slot) of a coach that a reading begun at p_since may call busy because of our own blocks:
-- those of appointments, those on their way, and those that were not released yet by then.
CREATE OR REPLACE FUNCTION engine.own_time(p_coach text, p_from timestamptz, p_to timestamptz, p_since timestamptz)
    RETURNS TABLE (first_slot integer, end_slot integer) LANGUAGE sql STABLE AS $$
    SELECT engine.slot_of(start_time), engine.slot_of(end_time) FROM coach_appointments
     WHERE coach_id = p_coach AND status IN ('scheduled', 'completed', 'no_show') AND external_calendar_id IS NOT NULL
       AND start_time > p_from - interval '1 day' AND start_time < p_to
    UNION ALL
    SELECT engine.slot_of((params ->> 'start_time')::timestamptz), engine.slot_of((params ->> 'end_time')::timestamptz)
      FROM engine.overlapping_calendar_actions(p_coach => p_coach, p_from => p_from, p_to => p_to)
     WHERE status = 'pending'
        OR status = 'delivered' AND params ->> 'action' = 'release' AND engine.answered_at(delivery_id) > p_since
$$;

-- Closes a coach's absences on the days that are stored.
CREATE OR REPLACE FUNCTION engine.apply_absences(p_coach text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_absent int4range[] := ARRAY(SELECT engine.slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
BEGIN
    UPDATE coach_slots AS day SET external = day.external & ~engine.day_mask(p_stretches => v_absent,
                                                                             p_first => day.first_slot,
                                                                             p_count => day.slot_count)
     WHERE day.coach_id = p_coach
       AND (day.external & engine.day_mask(p_stretches => v_absent, p_first => day.first_slot,
                                           p_count => day.slot_count)) <> 0::bit(104);
END $$;

-- What of a coach's settings days are made of, as text. Who makes days has read it before waiting for a lock: days of settings
-- that were changed meanwhile are not stored.
CREATE OR REPLACE FUNCTION engine.made_of(c coaches) RETURNS text LANGUAGE sql STABLE
    RETURN jsonb_build_array(c.time_zone, c.working_hours, c.overrides, c.blocked_dates, c.max_per_day, c.calendar_kind)::text;

-- Stores what a calendar allows on a coach's days: our own time is free, absences are not. An older reading never
-- overwrites a younger one. p_unreadable: how many of its events could not be read. Raises 40001 if the coach is not as
-- p_made_of says: the days have to be made again.
CREATE OR REPLACE FUNCTION engine.upsert_days(
    p_coach text, p_fetched_at timestamptz, p_first_slots integer[], p_slot_counts smallint[], p_dates date[],
    p_working text[], p_external text[], p_max_per_day smallint, p_unreadable integer, p_made_of text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_from timestamptz := engine.instant_of(p_first_slots[1]);
    v_to   timestamptz := engine.instant_of(p_first_slots[cardinality(p_first_slots)] + 104);
    v_own  int4range[];
    v_absent int4range[];
BEGIN
    PERFORM engine.lock_external_calendar(p_coach);
    IF NOT EXISTS (SELECT FROM coaches AS coach WHERE coach.coach_id = p_coach AND engine.made_of(coach) = p_made_of) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the coach''s hours were changed meanwhile';
    END IF;
    INSERT INTO coach_syncs AS sync (coach_id, synced_at, unreadable_events)
    VALUES (p_coach, p_fetched_at, p_unreadable)
    ON CONFLICT (coach_id) DO UPDATE
       SET synced_at = excluded.synced_at, unreadable_events = excluded.unreadable_events,
           failed_at = NULL, failures = 0, error = NULL
     WHERE sync.synced_at IS NULL OR sync.synced_at < excluded.synced_at;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_own := ARRAY(SELECT int4range(own.first_slot, own.end_slot)
                     FROM engine.own_time(p_coach => p_coach, p_from => v_from, p_to => v_to,
                                          p_since => p_fetched_at) AS own);
    v_absent := ARRAY(SELECT engine.slots_of(span) FROM coach_absences
                     WHERE coach_id = p_coach AND span && tstzrange(v_from, v_to));
    INSERT INTO coach_slots AS day (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT p_coach, given.first_slot, given.slot_count, given.local_date, given.working::bit(104),
           (given.external::bit(104) | coalesce(own.bits, 0::bit(104))) & ~coalesce(gone.bits, 0::bit(104)), p_max_per_day
      FROM unnest(p_first_slots, p_slot_counts, p_dates, p_working, p_external) WITH ORDINALITY
           AS given (first_slot, slot_count, local_date, working, external, day)
      LEFT JOIN engine.day_masks(p_stretches => v_own, p_firsts => p_first_slots,
                                 p_counts => p_slot_counts) AS own USING (day)
      LEFT JOIN engine.day_masks(p_stretches => v_absent, p_firsts => p_first_slots,
                                 p_counts => p_slot_counts) AS gone USING (day)
     ORDER BY given.first_slot
    ON CONFLICT (coach_id, first_slot) DO UPDATE
       SET working = excluded.working, max_per_day = excluded.max_per_day, external = excluded.external
     WHERE (day.working, day.max_per_day, day.external)
           IS DISTINCT FROM (excluded.working, excluded.max_per_day, excluded.external);
    PERFORM engine.add_periods(ARRAY[p_coach]);
END $$;

-- Gives coaches the same days, where nothing was read: those that are missing with what p_external allows, less absences; on
-- those that are stored the external calendar's bits stay. Coaches who are not as p_made_of says are left out: whoever changed
-- that makes their days.
CREATE OR REPLACE FUNCTION engine.extend_days(
    p_coaches text[], p_first_slots integer[], p_slot_counts smallint[], p_dates date[], p_working text[],
    p_external text[], p_max_per_day smallint, p_made_of text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_coach text;
BEGIN
    FOREACH v_coach IN ARRAY p_coaches LOOP
        PERFORM engine.lock_external_calendar(v_coach);
    END LOOP;
    INSERT INTO coach_slots AS day (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT coach.coach_id, given.first_slot, given.slot_count, given.local_date, given.working::bit(104),
           given.external::bit(104) & ~coalesce(gone.bits, 0::bit(104)), p_max_per_day
      FROM coaches AS coach
     CROSS JOIN unnest(p_first_slots, p_slot_counts, p_dates, p_working, p_external) WITH ORDINALITY
                AS given (first_slot, slot_count, local_date, working, external, day)
      LEFT JOIN (SELECT absent.coach_id, mask.day, mask.bits
                   FROM (SELECT coach_id, array_agg(engine.slots_of(span)) AS stretches
                           FROM coach_absences WHERE coach_id = ANY (p_coaches) GROUP BY coach_id) AS absent
                  CROSS JOIN engine.day_masks(p_stretches => absent.stretches, p_firsts => p_first_slots,
                                              p_counts => p_slot_counts) AS mask) AS gone USING (coach_id, day)
     WHERE coach.coach_id = ANY (p_coaches) AND engine.made_of(coach) = p_made_of
     ORDER BY coach.coach_id, given.first_slot
    ON CONFLICT (coach_id, first_slot) DO UPDATE SET working = excluded.working, max_per_day = excluded.max_per_day
     WHERE (day.working, day.max_per_day) IS DISTINCT FROM (excluded.working, excluded.max_per_day);
    PERFORM engine.add_periods(p_coaches);
END $$;

-- What a coach's appointments and holds take of a day with these slots, and how many of them start on it.
CREATE OR REPLACE FUNCTION engine.load_of_day(
    p_coach text, p_first integer, p_count integer, OUT taken bit(104), OUT booked smallint
) LANGUAGE sql STABLE AS $$
    SELECT coalesce(bit_or(engine.span_mask(p_offset => engine.slot_of(lower(a.takes)) - p_first,
                                            p_length => engine.slot_of(upper(a.takes)) - engine.slot_of(lower(a.takes)),
                                            p_count => p_count)),
                    0::bit(104)),
           count(*) FILTER (WHERE engine.slot_of(a.start_time) >= p_first
                              AND engine.slot_of(a.start_time) < p_first + p_count)
      FROM coach_appointments AS a
     WHERE a.coach_id = p_coach AND a.status IN ('held', 'scheduled', 'completed', 'no_show')
       AND a.takes && tstzrange(engine.instant_of(p_first), engine.instant_of(p_first + p_count))
$$;

-- Replaces a coach's days that end after p_from by the given ones, which must cover them. The external calendar's bits
-- stay with their slots, and p_external counts for slots that no day had; what is taken comes from the appointments.
-- Nothing happens if the coach's zone is no longer p_zone. It locks all calendars in which the coach's time can change.
CREATE OR REPLACE FUNCTION engine.replace_days(
    p_coach text, p_made_of text, p_from integer, p_first integer[], p_count smallint[], p_dates date[], p_working text[],
    p_external text[], p_max_per_day smallint
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_old coach_slots[];
BEGIN
    PERFORM engine.lock_calendars_of(p_coaches => ARRAY[p_coach], p_from => p_from);
    PERFORM FROM coaches AS coach WHERE coach.coach_id = p_coach AND engine.made_of(coach) = p_made_of FOR SHARE;
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
           load.taken, load.booked, p_max_per_day
      FROM unnest(p_first, p_count, p_dates, p_working, p_external)
           AS given (first_slot, slot_count, local_date, working, external)
     CROSS JOIN LATERAL (
        SELECT bit_or(engine.span_mask(p_offset => day.first_slot - given.first_slot, p_length => day.slot_count,
                                       p_count => given.slot_count)) AS covered,
               bit_or(CASE WHEN day.first_slot > given.first_slot THEN day.external >> (day.first_slot - given.first_slot)
                           ELSE day.external << (given.first_slot - day.first_slot) END
                      & engine.span_mask(p_offset => 0, p_length => given.slot_count,
                                         p_count => given.slot_count)) AS external
          FROM unnest(v_old) AS day
         WHERE day.first_slot < given.first_slot + given.slot_count
           AND day.first_slot + day.slot_count > given.first_slot) AS known
     CROSS JOIN LATERAL engine.load_of_day(p_coach => p_coach, p_first => given.first_slot,
                                           p_count => given.slot_count) AS load;
    PERFORM engine.refresh_periods(p_coach);
END $$;

-- Closes a coach's time, whatever calendars say, until it is over; for the appointments in it see
-- release_next_appointments().
CREATE OR REPLACE FUNCTION engine.begin_absence(p_coach text, p_from timestamptz, p_to timestamptz, p_event uuid)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM engine.lock_external_calendar(p_coach);
    INSERT INTO coach_absences (coach_id, span, event_id) VALUES (p_coach, tstzrange(p_from, p_to), p_event)
    ON CONFLICT DO NOTHING;
    PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
    PERFORM engine.apply_absences(p_coach);
END $$;

-- Ends a coach's absences within a span. Without an external calendar the coach is free then; otherwise the next
-- reading says.
CREATE OR REPLACE FUNCTION engine.end_absence(p_coach text, p_from timestamptz, p_to timestamptz)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ended tstzrange := tstzrange(p_from, p_to);
    v_absent int4range[];
BEGIN
    PERFORM engine.lock_external_calendar(p_coach);
    WITH ended AS (
        DELETE FROM coach_absences WHERE coach_id = p_coach AND span && v_ended RETURNING *
    )
    INSERT INTO coach_absences (coach_id, span, event_id, reason, created_at, ledger)
    SELECT coach_id, unnest(tstzmultirange(span) - tstzmultirange(v_ended)), event_id, reason, created_at, ledger FROM ended;
    IF EXISTS (SELECT FROM coaches WHERE coach_id = p_coach AND calendar_kind = 'none') THEN
        v_absent := ARRAY(SELECT engine.slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
        PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
        UPDATE coach_slots AS day
           SET external = day.external | (engine.day_mask(p_stretches => ARRAY[engine.slots_of(v_ended)],
                                                          p_first => day.first_slot, p_count => day.slot_count)
                                          & ~engine.day_mask(p_stretches => v_absent, p_first => day.first_slot,
                                                             p_count => day.slot_count))
         WHERE day.coach_id = p_coach
           AND int4range(day.first_slot, day.first_slot + day.slot_count) && engine.slots_of(v_ended);
    END IF;
END $$;

-- Does with an appointment whose coach is away what its calendar's conflict_policy says; one that nobody else can take
-- is kept and marked. Returns "kept", "reassigned" or "cancelled". The caller has the locks.
CREATE OR REPLACE FUNCTION engine.apply_conflict_policy(
    p_policy text, p_tenant text, p_appointment uuid, p_reason text, p_now timestamptz
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF p_policy = 'cancel' THEN
        PERFORM engine.cancel(p_tenant => p_tenant, p_appointment => p_appointment, p_cancelled_by => 'coach',
                              p_reason => p_reason, p_key => NULL, p_fingerprint => NULL, p_keep_for => NULL,
                              p_now => p_now);
        RETURN 'cancelled';
    ELSIF p_policy = 'reassign' THEN
        BEGIN
            PERFORM engine.reassign(p_tenant => p_tenant, p_appointment => p_appointment, p_coach => NULL,
                                    p_reason => p_reason, p_key => NULL, p_fingerprint => NULL, p_keep_for => NULL,
                                    p_now => p_now);
            RETURN 'reassigned';
        EXCEPTION WHEN SQLSTATE 'FS409' THEN
            NULL;
        END;
    END IF;
    PERFORM engine.mark_unavailable(p_appointment, p_now);
    RETURN 'kept';
END $$;

-- Acts on the next p_limit appointments and holds after p_after of a coach who is away, whose time is closed already:
-- drops holds and does with each appointment what its calendar's policy says. All locks are taken first and in the one
-- order: calendars, appointments, then the days of everybody who may take over. Returns {"kept", "reassigned",
-- "cancelled": how many of each, "after": where to go on, null when nothing is left}.
CREATE OR REPLACE FUNCTION engine.release_next_appointments(
    p_tenant text, p_coach text, p_from timestamptz, p_to timestamptz, p_after timestamptz, p_limit integer,
    p_reason text, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ids       uuid[];
    v_calendars text[];
    v_last      timestamptz;
    v_one       record;
    v_outcomes  text[] := '{}';
    v_hold      coach_appointments;
BEGIN
    SELECT array_agg(one.appointment_id), array_agg(DISTINCT one.calendar_id), max(one.start_time)
      INTO v_ids, v_calendars, v_last
      FROM (SELECT appointment_id, calendar_id, start_time FROM coach_appointments
             WHERE coach_id = p_coach AND tenant_id = p_tenant AND status IN ('held', 'scheduled')
               AND start_time > greatest(p_now, p_after) AND start_time < p_to AND end_time > p_from
             ORDER BY start_time LIMIT p_limit) AS one;
    PERFORM engine.lock_calendars(v_calendars);
    -- Some may have been moved or cancelled before we had the locks.
    v_ids := ARRAY(
        SELECT appointment_id FROM coach_appointments
         WHERE appointment_id = ANY (v_ids) AND coach_id = p_coach AND status IN ('held', 'scheduled')
           AND start_time > p_now AND start_time < p_to AND end_time > p_from
         ORDER BY appointment_id FOR UPDATE);
    -- Clearing holds moves credits of other calendars, so the caller does it in its own transaction and calls again.
    PERFORM engine.check_expired_holds(calendar_id, p_now) FROM unnest(v_calendars) AS calendar_id;
    PERFORM FROM coach_slots AS day
      WHERE EXISTS (SELECT FROM coach_appointments AS a JOIN coach_calendars AS member USING (calendar_id)
                     WHERE a.appointment_id = ANY (v_ids) AND day.coach_id IN (member.coach_id, p_coach)
                       -- Whoever takes over may have longer buffers.
                       AND day.first_slot > engine.slot_of(lower(a.takes)) - 16 - 104
                       AND day.first_slot < engine.slot_of(upper(a.takes)) + 16)
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    PERFORM engine.lock_periods(
        p_whole => '{}',
        p_slots => ARRAY(SELECT engine.slot_of(start_time) FROM coach_appointments WHERE appointment_id = ANY (v_ids)),
        p_coaches => p_coach || ARRAY(SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (v_calendars)));
    FOR v_hold IN
        SELECT * FROM coach_appointments WHERE appointment_id = ANY (v_ids) AND status = 'held' ORDER BY appointment_id
    LOOP
        PERFORM engine.drop_hold(a => v_hold, p_type => 'hold.released', p_now => p_now);
    END LOOP;
    FOR v_one IN
        SELECT a.appointment_id, calendar.conflict_policy AS policy
          FROM coach_appointments AS a JOIN calendars AS calendar USING (calendar_id)
         WHERE a.appointment_id = ANY (v_ids) AND a.status = 'scheduled'
         ORDER BY a.start_time, a.appointment_id
    LOOP
        v_outcomes := v_outcomes || engine.apply_conflict_policy(
            p_policy => v_one.policy, p_tenant => p_tenant, p_appointment => v_one.appointment_id,
            p_reason => p_reason, p_now => p_now);
    END LOOP;
    RETURN jsonb_build_object('kept', cardinality(array_positions(v_outcomes, 'kept')),
                              'reassigned', cardinality(array_positions(v_outcomes, 'reassigned')),
                              'cancelled', cardinality(array_positions(v_outcomes, 'cancelled')),
                              'after', v_last);
END $$;
