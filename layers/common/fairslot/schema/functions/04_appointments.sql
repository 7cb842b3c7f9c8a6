-- Appointments: their JSON, and their locks.
--
-- Locks are always taken in this order: calendars by id, appointments, coach_slots by (coach_id, first_slot).

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
        'conflict', a.conflict, 'created_at', engine.zulu(a.created_at), 'updated_at', engine.zulu(a.updated_at),
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

-- Locks the calendar of an appointment, or with p_all_of_coach every calendar of its coach, in order; returns the
-- appointment's own.
CREATE OR REPLACE FUNCTION engine.lock_calendars(p_tenant text, p_appointment uuid, p_all_of_coach boolean)
    RETURNS calendars LANGUAGE plpgsql AS $$
DECLARE
    v_coach    text := (SELECT coach_id FROM coach_appointments WHERE appointment_id = p_appointment);
    v_calendar calendars;
BEGIN
    PERFORM FROM calendars AS calendar
      WHERE EXISTS (SELECT FROM coach_appointments AS a
                     WHERE a.appointment_id = p_appointment AND a.tenant_id = p_tenant
                       AND (a.calendar_id = calendar.calendar_id OR p_all_of_coach AND EXISTS (
                           SELECT FROM coach_calendars AS member
                            WHERE member.calendar_id = calendar.calendar_id AND member.coach_id = a.coach_id)))
      ORDER BY calendar_id FOR NO KEY UPDATE;
    SELECT calendar.* INTO v_calendar FROM calendars AS calendar JOIN coach_appointments AS a USING (calendar_id)
     WHERE a.appointment_id = p_appointment AND a.tenant_id = p_tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'appointment';
    ELSIF p_all_of_coach AND v_coach <> (SELECT coach_id FROM coach_appointments WHERE appointment_id = p_appointment) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the appointment was reassigned meanwhile';
    END IF;
    RETURN v_calendar;
END $$;

-- Locks every day that moving an appointment to p_takes could change, in order, so that what is read afterwards stays
-- true.
CREATE OR REPLACE FUNCTION engine.lock_days(a coach_appointments, p_takes tstzrange) RETURNS void LANGUAGE sql AS $$
    SELECT FROM coach_slots AS day
     WHERE (day.coach_id = a.coach_id
            AND day.first_slot > engine.slot_of(lower(a.takes)) - 104 AND day.first_slot < engine.slot_of(upper(a.takes)))
        OR (day.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = a.calendar_id)
            AND day.first_slot > engine.slot_of(lower(p_takes)) - 104 AND day.first_slot < engine.slot_of(upper(p_takes)))
     ORDER BY day.coach_id, day.first_slot FOR NO KEY UPDATE
$$;
