-- name: book
-- Books the time of the coach whose turn it is, or confirms a hold, durably, in a transaction of its own.
CALL engine.commit_book(p_tenant => %(tenant)s, p_calendar => %(calendar)s, p_start => %(start)s,
                        p_contact_name => %(name)s, p_contact_email => %(email)s, p_notes => %(notes)s,
                        p_timezone => %(timezone)s, p_metadata => %(metadata)s, p_hold => %(hold)s::uuid, p_key => %(key)s,
                        p_fingerprint => %(fingerprint)s, p_keep_for => %(keep)s, p_now => %(now)s,
                        p_requires => %(requires)s, p_origin => %(origin)s, done => NULL);

-- name: cancel
-- Cancels an appointment, durably, in a transaction of its own.
CALL engine.commit_cancel(p_tenant => %(tenant)s, p_appointment => %(appointment)s, p_cancelled_by => %(by)s,
                          p_reason => %(reason)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s, p_keep_for => %(keep)s,
                          p_now => %(now)s, p_origin => %(origin)s, done => NULL);

-- name: reschedule
-- Moves an appointment, or leaves everything as it was, durably, in a transaction of its own.
CALL engine.commit_reschedule(p_tenant => %(tenant)s, p_appointment => %(appointment)s, p_start => %(start)s,
                              p_any_coach => %(any)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s,
                              p_keep_for => %(keep)s, p_now => %(now)s, p_origin => %(origin)s, done => NULL);

-- name: reassign
-- Hands an appointment to another coach, durably, in a transaction of its own.
CALL engine.commit_reassign(p_tenant => %(tenant)s, p_appointment => %(appointment)s, p_coach => %(coach)s,
                            p_reason => %(reason)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s, p_keep_for => %(keep)s,
                            p_now => %(now)s, p_origin => %(origin)s, done => NULL);

-- name: report_outcome
-- Stores how an appointment ended and updates the score, durably, in a transaction of its own.
CALL engine.commit_report_outcome(p_tenant => %(tenant)s, p_appointment => %(appointment)s, p_outcome => %(outcome)s,
                                  p_key => %(key)s, p_fingerprint => %(fingerprint)s, p_keep_for => %(keep)s, p_now => %(now)s,
                                  p_origin => %(origin)s, done => NULL);

-- name: get
-- One appointment of the tenant; for OFFSET 0 see list_page.
SELECT engine.appointment_json(a => found.image) AS appointment,
       engine.calendar_event_states(p_appointment => (found.image).appointment_id) AS calendar_events
  FROM (SELECT engine.image_of(a) AS image
          FROM coach_appointments AS a
         WHERE a.appointment_id = %(appointment)s AND a.tenant_id = %(tenant)s AND a.status <> 'held'
        OFFSET 0) AS found;

-- name: list_page
-- A page of the tenant's appointments in order of start. LIMIT (and OFFSET 0 above) keeps the planner from putting the text of
-- image_of in place of each member that the JSON takes of it: planning that took longer than all the rest.
SELECT engine.appointment_json(a => page.image) AS appointment
  FROM (SELECT engine.image_of(a) AS image, a.start_time, a.appointment_id
          FROM coach_appointments AS a
         WHERE a.tenant_id = %(tenant)s AND a.status <> 'held'
           AND (%(coach)s::text IS NULL OR a.coach_id = %(coach)s)
           AND (%(calendar)s::text IS NULL OR a.calendar_id = %(calendar)s)
           AND (%(seen)s::text[] IS NULL OR a.calendar_id = ANY (%(seen)s))
           AND (%(status)s::text IS NULL OR a.status = %(status)s)
           AND (%(start)s::timestamptz IS NULL OR a.start_time >= %(start)s)
           AND (%(end)s::timestamptz IS NULL OR a.start_time < %(end)s)
           AND (%(after_start)s::timestamptz IS NULL
                OR (a.start_time, a.appointment_id) > (%(after_start)s, %(after_id)s::uuid))
         ORDER BY a.start_time, a.appointment_id
         LIMIT %(limit)s) AS page
 ORDER BY page.start_time, page.appointment_id;
