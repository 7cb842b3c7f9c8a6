-- What is known of a coach's days: what calendars say, absences, another time zone.
-- Why so: docs/decisions/0042 and 0070 to 0074.

-- The slots [first_slot, end_slot) of a coach that a reading which began at p_since may call busy for our own sake: of
-- appointments that have their block, of blocks on their way, and of blocks that were not released yet by then.
CREATE OR REPLACE FUNCTION engine.own_time(p_coach text, p_from timestamptz, p_to timestamptz, p_since timestamptz)
    RETURNS TABLE (first_slot integer, end_slot integer) LANGUAGE sql STABLE AS $$
    SELECT engine.slot_of(start_time), engine.slot_of(end_time) FROM coach_appointments
     WHERE coach_id = p_coach AND status IN ('scheduled', 'completed', 'no_show') AND external_calendar_id IS NOT NULL
       AND start_time > p_from - interval '1 day' AND start_time < p_to
    UNION ALL
    SELECT engine.slot_of((params ->> 'start_time')::timestamptz), engine.slot_of((params ->> 'end_time')::timestamptz)
      FROM engine.calendar_actions_over(p_coach, p_from, p_to)
     WHERE status = 'pending'
        OR status = 'delivered' AND params ->> 'action' = 'release' AND engine.answered_at(delivery_id) > p_since
$$;

-- Shuts what a coach's absences have of the days that there are.
CREATE OR REPLACE FUNCTION engine.apply_absences(p_coach text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_gone int4range[] := ARRAY(SELECT engine.slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
BEGIN
    UPDATE coach_slots AS day SET external = day.external & ~engine.day_mask(v_gone, day.first_slot, day.slot_count)
     WHERE day.coach_id = p_coach
       AND (day.external & engine.day_mask(v_gone, day.first_slot, day.slot_count)) <> 0::bit(104);
END $$;

-- Keeps what a calendar allows on a coach's days, with what is our own there and without the coach's absences. An older
-- reading never overwrites a younger. Without p_fetched_at nothing was read: what is known of days that are there stays.
CREATE OR REPLACE FUNCTION engine.upsert_days(
    p_coach text, p_fetched_at timestamptz, p_first_slots integer[], p_slot_counts smallint[], p_dates date[],
    p_working text[], p_external text[], p_max smallint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_from timestamptz := engine.instant_of(p_first_slots[1]);
    v_to   timestamptz := engine.instant_of(p_first_slots[cardinality(p_first_slots)] + 104);
    v_own  int4range[] := '{}';
    v_gone int4range[];
BEGIN
    PERFORM engine.lock_external(p_coach);
    IF p_fetched_at IS NOT NULL THEN
        INSERT INTO coach_syncs AS sync (coach_id, synced_at) VALUES (p_coach, p_fetched_at)
        ON CONFLICT (coach_id) DO UPDATE
           SET synced_at = excluded.synced_at, failed_at = NULL, failures = 0, error = NULL
         WHERE sync.synced_at IS NULL OR sync.synced_at < excluded.synced_at;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        v_own := ARRAY(SELECT int4range(own.first_slot, own.end_slot)
                         FROM engine.own_time(p_coach, v_from, v_to, p_fetched_at) AS own);
    END IF;
    v_gone := ARRAY(SELECT engine.slots_of(span) FROM coach_absences
                     WHERE coach_id = p_coach AND span && tstzrange(v_from, v_to));
    INSERT INTO coach_slots AS day (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT p_coach, given.first_slot, given.slot_count, given.local_date, given.working::bit(104),
           (given.external::bit(104) | coalesce(own.bits, 0::bit(104))) & ~coalesce(gone.bits, 0::bit(104)), p_max
      FROM unnest(p_first_slots, p_slot_counts, p_dates, p_working, p_external) WITH ORDINALITY
           AS given (first_slot, slot_count, local_date, working, external, day)
      LEFT JOIN engine.day_masks(v_own, p_first_slots, p_slot_counts) AS own USING (day)
      LEFT JOIN engine.day_masks(v_gone, p_first_slots, p_slot_counts) AS gone USING (day)
     ORDER BY given.first_slot
    ON CONFLICT (coach_id, first_slot) DO UPDATE
       SET working = excluded.working, max_per_day = excluded.max_per_day,
           external = CASE WHEN p_fetched_at IS NULL THEN day.external ELSE excluded.external END
     WHERE (day.working, day.max_per_day) IS DISTINCT FROM (excluded.working, excluded.max_per_day)
        OR p_fetched_at IS NOT NULL AND day.external <> excluded.external;
END $$;

-- What a coach's appointments and holds take of the day that has these slots, and how many start on it.
CREATE OR REPLACE FUNCTION engine.load_of_day(
    p_coach text, p_first integer, p_count integer, OUT taken bit(104), OUT booked smallint
) LANGUAGE sql STABLE AS $$
    SELECT coalesce(bit_or(engine.span_mask(engine.slot_of(lower(a.takes)) - p_first,
                                            engine.slot_of(upper(a.takes)) - engine.slot_of(lower(a.takes)), p_count)),
                    0::bit(104)),
           count(*) FILTER (WHERE engine.slot_of(a.start_time) >= p_first
                              AND engine.slot_of(a.start_time) < p_first + p_count)
      FROM coach_appointments AS a
     WHERE a.coach_id = p_coach AND a.status IN ('held', 'scheduled', 'completed', 'no_show')
       AND a.takes && tstzrange(engine.instant_of(p_first), engine.instant_of(p_first + p_count))
$$;

-- Replaces the coach's days that end after p_from by the given ones, which must cover them. What the external calendar
-- said stays with its slot, and given.external counts where no day was; what is taken comes from the appointments.
-- Nothing happens if the coach's zone is no longer p_zone.
--
-- With the locks of all the calendars that the coach's time can be booked or given back in, nobody else changes it.
CREATE OR REPLACE FUNCTION engine.recut_days(
    p_coach text, p_zone text, p_from integer, p_first integer[], p_count smallint[], p_dates date[], p_working text[],
    p_external text[], p_max smallint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_calendars text[];
    v_old       coach_slots[];
BEGIN
    v_calendars := ARRAY(SELECT calendar_id FROM calendars
                          WHERE calendar_id IN (SELECT engine.calendars_of_coach(p_coach, p_from))
                          ORDER BY calendar_id FOR NO KEY UPDATE);
    IF EXISTS (SELECT FROM engine.calendars_of_coach(p_coach, p_from) AS calendar_id
                WHERE calendar_id <> ALL (v_calendars)) THEN
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
        SELECT bit_or(engine.span_mask(day.first_slot - given.first_slot, day.slot_count, given.slot_count)) AS covered,
               bit_or(CASE WHEN day.first_slot > given.first_slot THEN day.external >> (day.first_slot - given.first_slot)
                           ELSE day.external << (given.first_slot - day.first_slot) END
                      & engine.span_mask(0, given.slot_count, given.slot_count)) AS external
          FROM unnest(v_old) AS day
         WHERE day.first_slot < given.first_slot + given.slot_count
           AND day.first_slot + day.slot_count > given.first_slot) AS known
     CROSS JOIN LATERAL engine.load_of_day(p_coach, given.first_slot, given.slot_count) AS load;
END $$;

-- The calendars in which a coach's time from a slot on can be booked, or given back.
CREATE OR REPLACE FUNCTION engine.calendars_of_coach(p_coach text, p_from integer)
    RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT calendar_id FROM coach_calendars WHERE coach_id = p_coach
     UNION
    SELECT calendar_id FROM coach_appointments
     WHERE coach_id = p_coach AND status IN ('held', 'scheduled') AND upper(takes) > engine.instant_of(p_from)
$$;

-- Shuts a coach's time, whatever calendars say, until it is over; what is in it stays: see release_next_appointments().
CREATE OR REPLACE FUNCTION engine.begin_absence(p_coach text, p_from timestamptz, p_to timestamptz, p_event uuid)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM engine.lock_external(p_coach);
    INSERT INTO coach_absences (coach_id, span, event_id) VALUES (p_coach, tstzrange(p_from, p_to), p_event)
    ON CONFLICT DO NOTHING;
    PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
    PERFORM engine.apply_absences(p_coach);
END $$;

-- Ends what a coach's absences have of a span. Who has no other calendar is free then; for others the next reading says.
CREATE OR REPLACE FUNCTION engine.end_absence(p_coach text, p_from timestamptz, p_to timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_back tstzrange := tstzrange(p_from, p_to);
    v_gone int4range[];
BEGIN
    PERFORM engine.lock_external(p_coach);
    WITH ended AS (
        DELETE FROM coach_absences WHERE coach_id = p_coach AND span && v_back RETURNING *
    )
    INSERT INTO coach_absences (coach_id, span, event_id, created_at)
    SELECT coach_id, unnest(tstzmultirange(span) - tstzmultirange(v_back)), event_id, created_at FROM ended;
    IF EXISTS (SELECT FROM coaches WHERE coach_id = p_coach AND calendar_kind = 'none') THEN
        v_gone := ARRAY(SELECT engine.slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
        PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
        UPDATE coach_slots AS day
           SET external = day.external | (engine.day_mask(ARRAY[engine.slots_of(v_back)], day.first_slot, day.slot_count)
                                          & ~engine.day_mask(v_gone, day.first_slot, day.slot_count))
         WHERE day.coach_id = p_coach
           AND int4range(day.first_slot, day.first_slot + day.slot_count) && engine.slots_of(v_back);
    END IF;
END $$;

-- The next p_most appointments and holds, after p_after, of a coach who is not there for a time that is shut already: lets
-- go of what is held and does with each appointment to come what its calendar says. All locks are taken first and in the
-- one order: the calendars, the appointments, then the days of everybody who could be handed one.
-- Returns {"kept", "reassigned", "cancelled": how many of each, "messages": what the queue must get, "after": where to go
-- on, null when nothing was left}.
CREATE OR REPLACE FUNCTION engine.release_next_appointments(
    p_tenant text, p_coach text, p_from timestamptz, p_to timestamptz, p_after timestamptz, p_most integer,
    p_reason text, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_ids        uuid[];
    v_calendars  text[];
    v_last       timestamptz;
    v_one        record;
    v_done       jsonb;
    v_messages   jsonb := '[]';
    v_kept       integer := 0;
    v_reassigned integer := 0;
    v_cancelled  integer := 0;
    v_hold       coach_appointments;
BEGIN
    SELECT array_agg(one.appointment_id), array_agg(DISTINCT one.calendar_id), max(one.start_time)
      INTO v_ids, v_calendars, v_last
      FROM (SELECT appointment_id, calendar_id, start_time FROM coach_appointments
             WHERE coach_id = p_coach AND tenant_id = p_tenant AND status IN ('held', 'scheduled')
               AND start_time > greatest(p_now, p_after) AND start_time < p_to AND end_time > p_from
             ORDER BY start_time LIMIT p_most) AS one;
    PERFORM FROM calendars WHERE calendar_id = ANY (v_calendars) ORDER BY calendar_id FOR NO KEY UPDATE;
    -- Whoever was before us may have moved or cancelled some.
    v_ids := ARRAY(
        SELECT appointment_id FROM coach_appointments
         WHERE appointment_id = ANY (v_ids) AND coach_id = p_coach AND status IN ('held', 'scheduled')
           AND start_time > p_now AND start_time < p_to AND end_time > p_from
         ORDER BY appointment_id FOR UPDATE);
    -- A clearing of holds moves credits of other calendars: it is a transaction of its own, and then this is called again.
    PERFORM engine.check_holds(calendar_id, p_now) FROM unnest(v_calendars) AS calendar_id;
    PERFORM FROM coach_slots AS day
      WHERE EXISTS (SELECT FROM coach_appointments AS a JOIN coach_calendars AS member USING (calendar_id)
                     WHERE a.appointment_id = ANY (v_ids) AND day.coach_id IN (member.coach_id, p_coach)
                       AND day.first_slot > engine.slot_of(lower(a.takes)) - 104
                       AND day.first_slot < engine.slot_of(upper(a.takes)))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    FOR v_hold IN
        SELECT * FROM coach_appointments WHERE appointment_id = ANY (v_ids) AND status = 'held' ORDER BY appointment_id
    LOOP
        PERFORM engine.drop_hold(v_hold, p_now);
    END LOOP;
    FOR v_one IN
        SELECT a.appointment_id, calendar.conflict_policy AS policy
          FROM coach_appointments AS a JOIN calendars AS calendar USING (calendar_id)
         WHERE a.appointment_id = ANY (v_ids) AND a.status = 'scheduled'
         ORDER BY a.start_time, a.appointment_id
    LOOP
        v_done := NULL;
        IF v_one.policy = 'cancel' THEN
            v_done := engine.cancel(p_tenant, v_one.appointment_id, 'coach', p_reason, NULL, NULL, NULL, p_now);
            v_cancelled := v_cancelled + 1;
        ELSIF v_one.policy = 'reassign' THEN
            BEGIN
                v_done := engine.reassign(p_tenant, v_one.appointment_id, NULL, p_reason, NULL, NULL, NULL, p_now);
                v_reassigned := v_reassigned + 1;
            EXCEPTION WHEN SQLSTATE 'FS409' THEN
                v_done := NULL;
            END;
        END IF;
        IF v_done IS NULL THEN
            v_done := jsonb_build_object('messages', engine.mark_unavailable(v_one.appointment_id, p_now));
            v_kept := v_kept + 1;
        END IF;
        v_messages := v_messages || (v_done -> 'messages');
    END LOOP;
    RETURN jsonb_build_object('kept', v_kept, 'reassigned', v_reassigned, 'cancelled', v_cancelled,
                              'messages', v_messages, 'after', v_last);
END $$;
