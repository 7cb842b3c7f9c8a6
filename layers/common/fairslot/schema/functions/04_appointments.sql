-- Appointments: their JSON, and their locks.
--
-- Locks are always taken in this order: a client's or a key's, external calendars, calendars by id, appointments,
-- coach_slots by (coach_id, first_slot), coach_periods by (coach_id, first_slot, kind), turns.

-- An appointment as the API shows it. Its metadata is text: jsonb would write its numbers in another form.
CREATE OR REPLACE FUNCTION engine.appointment_json(a appointment_image) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'contact_name', a.contact_name, 'contact_email', a.contact_email,
        'start_time', engine.zulu(a.start_time), 'end_time', engine.zulu(a.end_time), 'timezone', a.timezone,
        'status', a.status, 'version', a.version, 'notes', a.notes, 'metadata', a.metadata::text,
        'crm_contact_id', a.crm_contact_id, 'external_calendar_id', a.external_calendar_id,
        'external_block', CASE WHEN a.block_unconfirmed THEN 'unconfirmed'
                               WHEN a.external_calendar_id IS NOT NULL AND a.status <> 'cancelled' THEN 'confirmed' END,
        'conflict', a.conflict, 'requires', coalesce(to_jsonb(a.requires), '[]'), 'created_at', engine.zulu(a.created_at), 'updated_at', engine.zulu(a.updated_at),
        'cancelled_at', engine.zulu(a.cancelled_at));

-- The answer to a booking, without personal data.
CREATE OR REPLACE FUNCTION engine.booked_json(a appointment_image) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'appointment_id', a.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', a.coach_id,
        'start_time', engine.zulu(a.start_time), 'end_time', engine.zulu(a.end_time),
        'status', a.status, 'version', a.version);

-- Locks an appointment of the tenant and returns it; raises FS404 or, unless it is scheduled, FS410.
CREATE OR REPLACE FUNCTION engine.lock_appointment(p_tenant text, p_appointment uuid)
    RETURNS coach_appointments LANGUAGE plpgsql AS $$
DECLARE
    a coach_appointments;
BEGIN
    SELECT * INTO a FROM coach_appointments WHERE appointment_id = p_appointment FOR NO KEY UPDATE;
    IF NOT FOUND OR a.tenant_id <> p_tenant OR a.status = 'held' THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'appointment';
    ELSIF a.status <> 'scheduled' THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = a.status;
    END IF;
    RETURN a;
END $$;

-- Locks a calendar until the transaction ends: whatever changes its appointments, its team or its credits does so first.
-- It is no lock of the row, which wakes who waits for it twice (docs/decisions/0083). What is read afterwards is current.
CREATE OR REPLACE FUNCTION engine.lock_calendar(p_calendar text) RETURNS boolean LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended(p_calendar, 3)) IS NOT NULL;

-- Locks several calendars in the one order.
CREATE OR REPLACE FUNCTION engine.lock_calendars(p_calendars text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_calendar text;
BEGIN
    FOR v_calendar IN SELECT DISTINCT one COLLATE "C" FROM unnest(p_calendars) AS one ORDER BY 1 LOOP
        PERFORM engine.lock_calendar(v_calendar);
    END LOOP;
END $$;

-- The calendars in which a coach's time from a slot on, or time that counts in one of the coach's periods, can be booked or
-- given back.
CREATE OR REPLACE FUNCTION engine.calendars_of_coach(p_coach text, p_from integer)
    RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT calendar_id FROM coach_calendars WHERE coach_id = p_coach
     UNION
    SELECT calendar_id FROM coach_appointments
     WHERE coach_id = p_coach AND status IN ('held', 'scheduled') AND upper(takes) > engine.instant_of(
         least(p_from, (SELECT min(day.first_slot) FROM coach_slots AS day WHERE day.coach_id = p_coach)) - 3072)
$$;

-- Locks what calendars_of_coach() returns for any of the coaches.
CREATE OR REPLACE FUNCTION engine.lock_calendars_of(p_coaches text[], p_from integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_calendars text[] := ARRAY(SELECT engine.calendars_of_coach(one, p_from) FROM unnest(p_coaches) AS one);
BEGIN
    PERFORM engine.lock_calendars(v_calendars);
    IF EXISTS (SELECT FROM unnest(p_coaches) AS one, engine.calendars_of_coach(one, p_from) AS calendar_id
                WHERE calendar_id <> ALL (v_calendars)) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'a coach joined or was booked in another calendar meanwhile';
    END IF;
END $$;

-- A calendar with its roster and its turns.
CREATE OR REPLACE FUNCTION engine.ledger(p_calendar text)
    RETURNS TABLE (calendar calendars, turn turns, roster rosters) LANGUAGE sql STABLE AS $$
    SELECT calendar, turn, roster
      FROM calendars AS calendar
      JOIN turns AS turn ON turn.calendar_id = calendar.calendar_id AND turn.kind = 'normal'
      JOIN rosters AS roster ON roster.calendar_id = turn.calendar_id AND roster.version = turn.roster_version
     WHERE calendar.calendar_id = p_calendar
$$;

-- Locks a calendar of the tenant and returns its ledger, the time that counts, whether some hold has expired by then, and
-- whether a change has the key, for which idempotent_answer() then has the answer; raises FS404.
CREATE OR REPLACE FUNCTION engine.lock_ledger(
    p_tenant text, p_calendar text, p_key text, p_now timestamptz, OUT calendar calendars, OUT turn turns,
    OUT roster rosters, OUT at timestamptz, OUT has_expired_holds boolean, OUT has_key boolean
) LANGUAGE plpgsql AS $$
DECLARE
    v_locked boolean := engine.lock_calendar(p_calendar);
    v_found  record;
BEGIN
    at := coalesce(p_now, clock_timestamp());
    SELECT own.*, EXISTS (SELECT FROM coach_appointments AS hold WHERE hold.status = 'held' AND hold.expires_at <= at)
               AS has_expired_holds,
           EXISTS (SELECT FROM changes AS known WHERE known.tenant_id = p_tenant AND known.key = p_key) AS has_key
      INTO v_found FROM engine.ledger(p_calendar) AS own;
    has_expired_holds := v_found.has_expired_holds;
    has_key := v_found.has_key;
    calendar := v_found.calendar;
    IF calendar.tenant_id IS DISTINCT FROM p_tenant THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    END IF;
    turn := v_found.turn;
    roster := v_found.roster;
END $$;

-- Locks the calendar of an appointment, or with p_all_of_coach every calendar of its coach too; returns the ledger of the
-- appointment's own. Raises FS404.
CREATE OR REPLACE FUNCTION engine.lock_ledger_of(
    p_tenant text, p_appointment uuid, p_all_of_coach boolean, OUT calendar calendars, OUT turn turns, OUT roster rosters
) LANGUAGE plpgsql AS $$
DECLARE
    v_coach text;
    v_own   text;
    v_found record;
BEGIN
    SELECT coach_id, calendar_id INTO v_coach, v_own FROM coach_appointments
     WHERE appointment_id = p_appointment AND tenant_id = p_tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'appointment';
    ELSIF NOT p_all_of_coach THEN
        PERFORM engine.lock_calendar(v_own);
    ELSE
        PERFORM engine.lock_calendars(v_own || ARRAY(SELECT calendar_id FROM coach_calendars WHERE coach_id = v_coach));
        IF v_coach <> (SELECT coach_id FROM coach_appointments WHERE appointment_id = p_appointment) THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the appointment was reassigned meanwhile';
        END IF;
    END IF;
    SELECT * INTO v_found FROM engine.ledger(v_own);
    calendar := v_found.calendar;
    turn := v_found.turn;
    roster := v_found.roster;
END $$;

-- Locks every day, week and month that moving an appointment to p_takes, which starts at p_start, could change, in order, so
-- that what is read afterwards stays true. Buffers of coaches can make p_takes longer.
CREATE OR REPLACE FUNCTION engine.lock_days(
    a coach_appointments, p_roster rosters, p_start timestamptz, p_takes tstzrange
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_wider integer := CASE WHEN p_roster.buffers_before IS NULL THEN 0 ELSE 16 END;
BEGIN
    PERFORM FROM coach_slots AS day
      WHERE (day.coach_id = a.coach_id
             AND day.first_slot > engine.slot_of(lower(a.takes)) - 104 AND day.first_slot < engine.slot_of(upper(a.takes)))
         OR (day.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = a.calendar_id)
             AND day.first_slot > engine.slot_of(lower(p_takes)) - v_wider - 104
             AND day.first_slot < engine.slot_of(upper(p_takes)) + v_wider)
      ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE;
    PERFORM engine.lock_periods(
        p_whole => '{}', p_slots => ARRAY[engine.slot_of(a.start_time), engine.slot_of(p_start)],
        p_coaches => a.coach_id || CASE WHEN p_roster.limited IS NULL THEN '{}' ELSE p_roster.coach_ids END);
END $$;

-- The time that an appointment of the slots [p_from, p_to) takes of a coach, whose place in the roster is p_place; null: the
-- coach is not in the team. Of the calendar's and the coach's buffers the larger ones hold.
CREATE OR REPLACE FUNCTION engine.takes_of(
    p_calendar calendars, p_roster rosters, p_place integer, p_from integer, p_to integer
) RETURNS tstzrange LANGUAGE sql STABLE
    RETURN tstzrange(
        engine.instant_of(p_from - greatest(p_calendar.buffer_before / 15, p_roster.buffers_before[p_place])),
        engine.instant_of(p_to + greatest(p_calendar.buffer_after / 15, p_roster.buffers_after[p_place])));
