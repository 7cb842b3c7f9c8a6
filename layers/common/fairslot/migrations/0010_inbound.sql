-- What partners may tell us: who they are, and what becomes of appointments whose coach is not there.

ALTER TABLE calendars ADD COLUMN conflict_policy text NOT NULL DEFAULT 'keep'
    CHECK (conflict_policy IN ('keep', 'reassign', 'cancel'));
COMMENT ON COLUMN calendars.conflict_policy IS
    'when the coach becomes unavailable: keep and mark it, hand it to whoever''s turn it is (or mark it), or cancel it';

-- Who signs its requests to us. The id stands in the address, which is no secret.
CREATE TABLE inbound_sources (
    source_id        uuid PRIMARY KEY,
    tenant_id        text NOT NULL UNIQUE,
    secret           text NOT NULL,
    previous_secret  text,
    previous_until   timestamptz,
    rate_limit       integer NOT NULL DEFAULT 600 CHECK (rate_limit > 0),
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
);
COMMENT ON COLUMN inbound_sources.secret IS 'ciphertext, base64, with the purpose and the source''s id as its encryption context';

-- Marks an appointment as one that cannot stand; returns the messages that the queue must get.
CREATE FUNCTION mark_unavailable(p_appointment uuid, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    UPDATE coach_appointments SET conflict = true, version = version + 1, updated_at = p_now
     WHERE appointment_id = p_appointment AND NOT conflict
    RETURNING * INTO a;
    RETURN CASE WHEN FOUND THEN emit_event('appointment.conflict', a, a) ELSE '[]' END;
END $$;

-- Takes a stretch of time from a coach: shuts it, lets go of what is held in it, and does with each appointment to
-- come what its calendar says. All locks are taken first and in the one order: every calendar that could give the
-- coach work meanwhile, the appointments, then the days of everybody who could be handed one.
-- Returns {"kept", "reassigned", "cancelled": how many of each, "messages": what the queue must get}.
CREATE FUNCTION give_up_time(
    p_tenant text, p_coach text, p_from timestamptz, p_to timestamptz, p_reason text, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_ids        uuid[];
    v_calendars  text[];
    v_first      integer := slot_of(p_from);
    v_end        integer := slot_of(p_to + interval '15 minutes' - interval '1 microsecond');
    v_one        record;
    v_done       jsonb;
    v_messages   jsonb := '[]';
    v_kept       integer := 0;
    v_reassigned integer := 0;
    v_cancelled  integer := 0;
    v_hold       coach_appointments;
BEGIN
    v_calendars := ARRAY(
        SELECT calendar_id FROM calendars AS calendar
         WHERE EXISTS (SELECT FROM coach_calendars AS member
                        WHERE member.calendar_id = calendar.calendar_id AND member.coach_id = p_coach)
            OR EXISTS (SELECT FROM coach_appointments AS a
                        WHERE a.calendar_id = calendar.calendar_id AND a.coach_id = p_coach
                          AND a.status IN ('held', 'scheduled') AND a.start_time < p_to AND a.end_time > p_from)
         ORDER BY calendar_id FOR NO KEY UPDATE);
    v_ids := ARRAY(
        SELECT appointment_id FROM coach_appointments AS a
         WHERE a.coach_id = p_coach AND a.tenant_id = p_tenant AND a.status IN ('held', 'scheduled')
           AND a.start_time > p_now AND a.start_time < p_to AND a.end_time > p_from
         ORDER BY appointment_id FOR UPDATE);
    -- A clearing of holds moves credits of other calendars: it is a transaction of its own, and then this is called again.
    PERFORM check_holds(calendar_id, p_now) FROM unnest(v_calendars) AS calendar_id;
    PERFORM FROM coach_slots AS day
      WHERE day.coach_id = p_coach AND day.first_slot > v_first - 104 AND day.first_slot < v_end
         OR EXISTS (SELECT FROM coach_appointments AS a JOIN coach_calendars AS member USING (calendar_id)
                     WHERE a.appointment_id = ANY (v_ids) AND day.coach_id IN (member.coach_id, p_coach)
                       AND day.first_slot > slot_of(lower(a.takes)) - 104 AND day.first_slot < slot_of(upper(a.takes)))
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    UPDATE coach_slots AS day
       SET external = day.external & ~span_mask(v_first - day.first_slot, v_end - v_first, day.slot_count)
     WHERE day.coach_id = p_coach AND day.first_slot > v_first - 104 AND day.first_slot < v_end;
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
    RETURN jsonb_build_object('kept', v_kept, 'reassigned', v_reassigned, 'cancelled', v_cancelled, 'messages', v_messages);
END $$;
