-- What is known of a coach's time beside what their calendar says: when they said not to be there, and which of the busy
-- time that is read there is our own blocks'. Why so: docs/decisions/0042.

CREATE TABLE coach_absences (
    coach_id    text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    span        tstzrange NOT NULL CHECK (lower(span) < upper(span)),
    event_id    uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (coach_id, event_id, span)
);
COMMENT ON TABLE coach_absences IS
    'When coaches said not to be there; it holds whatever their calendars say, until it is over or they are back sooner.';
COMMENT ON COLUMN coach_absences.event_id IS 'which of inbound_events said so; an absence outlives its event''s row';

ALTER TABLE inbound_events ADD COLUMN progress jsonb;
COMMENT ON COLUMN inbound_events.progress IS 'how far a change that is made in portions has come; null: not begun';

-- Whoever writes what a coach's external calendar allows, or what is asked of it, does so one after another and takes this
-- before any other lock: what is read afterwards stays true.
CREATE FUNCTION lock_external(p_coach text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(p_coach, 2))
$$;

-- What the calendar API is or was asked to do about a coach's time in a span.
CREATE INDEX webhook_deliveries_by_coach ON webhook_deliveries ((params ->> 'coach_id'), (params ->> 'end_time') COLLATE "C")
    WHERE params ? 'action';
CREATE FUNCTION calendar_actions_over(p_coach text, p_from timestamptz, p_to timestamptz) RETURNS SETOF webhook_deliveries
    LANGUAGE sql STABLE AS $$
    SELECT * FROM webhook_deliveries
     WHERE params ? 'action' AND params ->> 'coach_id' = p_coach
       AND (params ->> 'end_time') COLLATE "C" > zulu(p_from) AND params ->> 'start_time' < zulu(p_to) COLLATE "C"
$$;

-- When the answer was there that a delivery was delivered with.
CREATE FUNCTION answered_at(p_delivery uuid) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT max(at + latency_ms * interval '1 ms') FROM webhook_attempts
     WHERE delivery_id = p_delivery AND outcome = 'delivered'
$$;

-- As in 0004; each action says whose time it is about and which.
CREATE OR REPLACE FUNCTION calendar_actions(p_old coach_appointments, a coach_appointments) RETURNS SETOF jsonb
    LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('action', 'release', 'coach_id', p_old.coach_id, 'block_id', p_old.external_calendar_id,
                              'start_time', zulu(p_old.start_time), 'end_time', zulu(p_old.end_time))
     WHERE p_old.external_calendar_id IS NOT NULL
       AND (a.status = 'cancelled' OR (p_old.coach_id, p_old.takes) IS DISTINCT FROM (a.coach_id, a.takes))
    UNION ALL
    SELECT jsonb_build_object('action', 'block', 'coach_id', a.coach_id,
                              'start_time', zulu(a.start_time), 'end_time', zulu(a.end_time))
      FROM coaches AS coach
     WHERE coach.coach_id = a.coach_id AND coach.calendar_kind = 'calendar_api' AND a.status = 'scheduled'
       AND (p_old.coach_id, p_old.takes) IS DISTINCT FROM (a.coach_id, a.takes)
$$;
UPDATE webhook_deliveries AS d
   SET params = jsonb_build_object('coach_id', event.data ->> 'coach_id', 'start_time', told.start_time,
           'end_time', zulu(told.start_time::timestamptz + told.length)) || d.params
  FROM webhook_events AS event, LATERAL (
    SELECT one.delivery_id, (event.data ->> 'end_time')::timestamptz - (event.data ->> 'start_time')::timestamptz AS length,
           coalesce(CASE WHEN one.params ->> 'action' = 'release' THEN event.data ->> 'previous_start_time' END,
                    event.data ->> 'start_time') AS start_time
      FROM webhook_deliveries AS one
     WHERE one.event_id = event.event_id AND one.status = 'pending' AND one.params ? 'action') AS told
 WHERE told.delivery_id = d.delivery_id;

-- The slots [first_slot, end_slot) of a coach that a reading which began at p_since may call busy for our own sake: of
-- appointments that have their block, of blocks on their way, and of blocks that were not released yet by then.
CREATE FUNCTION own_time(p_coach text, p_from timestamptz, p_to timestamptz, p_since timestamptz)
    RETURNS TABLE (first_slot integer, end_slot integer) LANGUAGE sql STABLE AS $$
    SELECT slot_of(start_time), slot_of(end_time) FROM coach_appointments
     WHERE coach_id = p_coach AND status IN ('scheduled', 'completed', 'no_show') AND external_calendar_id IS NOT NULL
       AND start_time > p_from - interval '1 day' AND start_time < p_to
    UNION ALL
    SELECT slot_of((params ->> 'start_time')::timestamptz), slot_of((params ->> 'end_time')::timestamptz)
      FROM calendar_actions_over(p_coach, p_from, p_to)
     WHERE status = 'pending'
        OR status = 'delivered' AND params ->> 'action' = 'release' AND answered_at(delivery_id) > p_since
$$;

-- The slots that a span touches.
CREATE FUNCTION slots_of(p_span tstzrange) RETURNS int4range LANGUAGE sql STABLE
    RETURN int4range(slot_of(lower(p_span)), slot_of(upper(p_span) + interval '15 minutes' - interval '1 microsecond'));

-- The bits of a day that lie in any of the stretches of slots.
CREATE FUNCTION day_mask(p_stretches int4range[], p_first integer, p_count smallint) RETURNS bit(104)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN p_stretches = '{}' THEN 0::bit(104) ELSE coalesce(
        (SELECT bit_or(span_mask(lower(one) - p_first, upper(one) - lower(one), p_count)) FROM unnest(p_stretches) AS one
          WHERE one && int4range(p_first, p_first + p_count)), 0::bit(104)) END;

-- The same for many days in order, by their number from 1, those that have none left out.
CREATE FUNCTION day_masks(p_stretches int4range[], p_firsts integer[], p_counts smallint[])
    RETURNS TABLE (day bigint, bits bit(104)) LANGUAGE sql STABLE AS $$
    SELECT day, bit_or(span_mask(lower(one) - p_firsts[day], upper(one) - lower(one), p_counts[day]))
      FROM unnest(p_stretches) AS one,
           generate_series(greatest(width_bucket(lower(one), p_firsts), 1), width_bucket(upper(one) - 1, p_firsts)) AS day
     GROUP BY day
$$;

-- Keeps what a calendar allows on a coach's days, with what is our own there and without the coach's absences. An older
-- reading never overwrites a younger. Without p_fetched_at nothing was read: what is known of days that are there stays.
CREATE FUNCTION keep_days(
    p_coach text, p_fetched_at timestamptz, p_first_slots integer[], p_slot_counts smallint[], p_dates date[],
    p_working text[], p_external text[], p_max smallint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_from timestamptz := instant_of(p_first_slots[1]);
    v_to   timestamptz := instant_of(p_first_slots[cardinality(p_first_slots)] + 104);
    v_own  int4range[] := '{}';
    v_gone int4range[];
BEGIN
    PERFORM lock_external(p_coach);
    IF p_fetched_at IS NOT NULL THEN
        INSERT INTO coach_syncs AS sync (coach_id, synced_at) VALUES (p_coach, p_fetched_at)
        ON CONFLICT (coach_id) DO UPDATE
           SET synced_at = excluded.synced_at, failed_at = NULL, failures = 0, error = NULL
         WHERE sync.synced_at IS NULL OR sync.synced_at < excluded.synced_at;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        v_own := ARRAY(SELECT int4range(own.first_slot, own.end_slot) FROM own_time(p_coach, v_from, v_to, p_fetched_at) AS own);
    END IF;
    v_gone := ARRAY(SELECT slots_of(span) FROM coach_absences WHERE coach_id = p_coach AND span && tstzrange(v_from, v_to));
    INSERT INTO coach_slots AS day (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT p_coach, given.first_slot, given.slot_count, given.local_date, given.working::bit(104),
           (given.external::bit(104) | coalesce(own.bits, 0::bit(104))) & ~coalesce(gone.bits, 0::bit(104)), p_max
      FROM unnest(p_first_slots, p_slot_counts, p_dates, p_working, p_external) WITH ORDINALITY
           AS given (first_slot, slot_count, local_date, working, external, day)
      LEFT JOIN day_masks(v_own, p_first_slots, p_slot_counts) AS own USING (day)
      LEFT JOIN day_masks(v_gone, p_first_slots, p_slot_counts) AS gone USING (day)
     ORDER BY given.first_slot
    ON CONFLICT (coach_id, first_slot) DO UPDATE
       SET working = excluded.working, max_per_day = excluded.max_per_day,
           external = CASE WHEN p_fetched_at IS NULL THEN day.external ELSE excluded.external END
     WHERE (day.working, day.max_per_day) IS DISTINCT FROM (excluded.working, excluded.max_per_day)
        OR p_fetched_at IS NOT NULL AND day.external <> excluded.external;
END $$;

-- Shuts what a coach's absences have of the days that there are.
CREATE FUNCTION heed_absences(p_coach text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_gone int4range[] := ARRAY(SELECT slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
BEGIN
    UPDATE coach_slots AS day SET external = day.external & ~day_mask(v_gone, day.first_slot, day.slot_count)
     WHERE day.coach_id = p_coach AND (day.external & day_mask(v_gone, day.first_slot, day.slot_count)) <> 0::bit(104);
END $$;

-- Shuts a coach's time, whatever calendars say, until it is over; what is in it stays: see give_up_some().
CREATE FUNCTION begin_absence(p_coach text, p_from timestamptz, p_to timestamptz, p_event uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_external(p_coach);
    INSERT INTO coach_absences (coach_id, span, event_id) VALUES (p_coach, tstzrange(p_from, p_to), p_event) ON CONFLICT DO NOTHING;
    PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
    PERFORM heed_absences(p_coach);
END $$;

-- Ends what a coach's absences have of a span. Who has no other calendar is free then; for others the next reading says.
CREATE FUNCTION end_absence(p_coach text, p_from timestamptz, p_to timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_back tstzrange := tstzrange(p_from, p_to);
    v_gone int4range[];
BEGIN
    PERFORM lock_external(p_coach);
    WITH ended AS (
        DELETE FROM coach_absences WHERE coach_id = p_coach AND span && v_back RETURNING *
    )
    INSERT INTO coach_absences (coach_id, span, event_id, created_at)
    SELECT coach_id, unnest(tstzmultirange(span) - tstzmultirange(v_back)), event_id, created_at FROM ended;
    IF EXISTS (SELECT FROM coaches WHERE coach_id = p_coach AND calendar_kind = 'none') THEN
        v_gone := ARRAY(SELECT slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
        PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
        UPDATE coach_slots AS day
           SET external = day.external | (day_mask(ARRAY[slots_of(v_back)], day.first_slot, day.slot_count)
                                          & ~day_mask(v_gone, day.first_slot, day.slot_count))
         WHERE day.coach_id = p_coach AND int4range(day.first_slot, day.first_slot + day.slot_count) && slots_of(v_back);
    END IF;
END $$;

COMMENT ON FUNCTION give_up_time IS 'for code of before 0013; goes with a later migration';

-- The next p_most appointments and holds, after p_after, of a coach who is not there for a time that is shut already: lets
-- go of what is held and does with each appointment to come what its calendar says. All locks are taken first and in the
-- one order: the calendars, the appointments, then the days of everybody who could be handed one.
-- Returns {"kept", "reassigned", "cancelled": how many of each, "messages": what the queue must get, "after": where to go
-- on, null when nothing was left}.
CREATE FUNCTION give_up_some(
    p_tenant text, p_coach text, p_from timestamptz, p_to timestamptz, p_after timestamptz, p_most integer, p_reason text, p_now timestamptz
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
    PERFORM check_holds(calendar_id, p_now) FROM unnest(v_calendars) AS calendar_id;
    PERFORM FROM coach_slots AS day
      WHERE EXISTS (SELECT FROM coach_appointments AS a JOIN coach_calendars AS member USING (calendar_id)
                     WHERE a.appointment_id = ANY (v_ids) AND day.coach_id IN (member.coach_id, p_coach)
                       AND day.first_slot > slot_of(lower(a.takes)) - 104 AND day.first_slot < slot_of(upper(a.takes)))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    FOR v_hold IN SELECT * FROM coach_appointments WHERE appointment_id = ANY (v_ids) AND status = 'held' ORDER BY appointment_id LOOP
        PERFORM drop_hold(v_hold, p_now);
    END LOOP;
    FOR v_one IN
        SELECT a.appointment_id, calendar.conflict_policy AS policy
          FROM coach_appointments AS a JOIN calendars AS calendar USING (calendar_id)
         WHERE a.appointment_id = ANY (v_ids) AND a.status = 'scheduled'
         ORDER BY a.start_time, a.appointment_id
    LOOP
        v_done := NULL;
        IF v_one.policy = 'cancel' THEN
            v_done := cancel(p_tenant, v_one.appointment_id, 'coach', p_reason, NULL, NULL, NULL, p_now);
            v_cancelled := v_cancelled + 1;
        ELSIF v_one.policy = 'reassign' THEN
            BEGIN
                v_done := reassign(p_tenant, v_one.appointment_id, NULL, p_reason, NULL, NULL, NULL, p_now);
                v_reassigned := v_reassigned + 1;
            EXCEPTION WHEN SQLSTATE 'FS409' THEN
                v_done := NULL;
            END;
        END IF;
        IF v_done IS NULL THEN
            v_done := jsonb_build_object('messages', mark_unavailable(v_one.appointment_id, p_now));
            v_kept := v_kept + 1;
        END IF;
        v_messages := v_messages || (v_done -> 'messages');
    END LOOP;
    RETURN jsonb_build_object('kept', v_kept, 'reassigned', v_reassigned, 'cancelled', v_cancelled,
                              'messages', v_messages, 'after', v_last);
END $$;

-- Whether a block that was refused by p_at may have met what is ours and goes: "awaits_release" while another action over
-- its time is under way, "released" if a block was given back after the attempt began (clocks may be a second apart),
-- null if neither, or if nobody wants the block any more: then somebody took that time outside this system.
CREATE FUNCTION block_awaits(d webhook_deliveries, p_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN bool_or(other.status = 'pending') THEN 'awaits_release' WHEN count(*) > 0 THEN 'released' END
      FROM calendar_actions_over(d.params ->> 'coach_id', (d.params ->> 'start_time')::timestamptz,
                                 (d.params ->> 'end_time')::timestamptz) AS other
     WHERE other.delivery_id <> d.delivery_id
       -- Of two that wait for one another neither would ever go on.
       AND (other.status = 'pending' AND other.reason IS DISTINCT FROM 'awaits_release'
            OR other.status = 'delivered' AND other.params ->> 'action' = 'release'
               AND answered_at(other.delivery_id) > p_at - interval '1 second')
       AND EXISTS (SELECT FROM webhook_events AS event JOIN coach_appointments AS a USING (appointment_id)
                    WHERE event.event_id = d.event_id AND a.status = 'scheduled' AND a.external_calendar_id IS NULL
                      AND a.coach_id = d.params ->> 'coach_id' AND zulu(a.start_time) = d.params ->> 'start_time')
$$;

-- Puts blocks back on their way; returns the messages that the queue must get. Attempts go on being counted.
CREATE FUNCTION send_again(p_deliveries uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_deliveries SET reason = NULL, published_at = NULL, next_attempt_at = NULL
     WHERE delivery_id = ANY (p_deliveries);
    RETURN (SELECT coalesce(jsonb_agg(one.message || jsonb_build_object('attempts', (
                SELECT attempt FROM webhook_attempts AS made WHERE made.delivery_id = one.delivery_id ORDER BY at DESC LIMIT 1))), '[]')
              FROM delivery_messages AS one WHERE one.delivery_id = ANY (p_deliveries));
END $$;

-- As in 0004; the release says which time it is about.
CREATE OR REPLACE FUNCTION keep_block(p_delivery webhook_deliveries, p_event webhook_events, p_block text) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    v_release uuid;
BEGIN
    UPDATE coach_appointments AS a SET external_calendar_id = p_block
     WHERE a.appointment_id = p_event.appointment_id AND a.status <> 'cancelled'
       AND a.coach_id = p_event.data ->> 'coach_id' AND zulu(a.start_time) = p_event.data ->> 'start_time';
    IF FOUND THEN
        RETURN '[]';
    END IF;
    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    VALUES (p_event.event_id, p_delivery.endpoint_id, p_delivery.params || jsonb_build_object('action', 'release', 'block_id', p_block))
    RETURNING delivery_id INTO v_release;
    RETURN (SELECT jsonb_agg(message) FROM delivery_messages WHERE delivery_id = v_release);
END $$;

COMMENT ON COLUMN webhook_deliveries.reason IS
    'why it failed: the last attempt''s error, dead_letter or endpoint_disabled; while it is pending, why nothing is sent:
     what holds it back, or awaits_release: it met a block of ours that is being released';
