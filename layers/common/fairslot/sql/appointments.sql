-- book: takes the time of the coach whose turn it is; one transaction
SELECT book(%(tenant)s, %(calendar)s, %(start)s, %(name)s, %(email)s, %(notes)s, %(timezone)s, %(metadata)s, %(hold)s::uuid,
            %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- cancel: frees the time and gives the credits back; one transaction
SELECT cancel(%(tenant)s, %(appointment)s, %(by)s, %(reason)s, %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- reschedule: moves the appointment, or leaves it all as it was; one transaction
SELECT reschedule(%(tenant)s, %(appointment)s, %(start)s, %(any)s, %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- reassign: hands the appointment to another coach; one transaction
SELECT reassign(%(tenant)s, %(appointment)s, %(coach)s, %(reason)s, %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- report_outcome: says how the appointment ended and learns from it; one transaction
SELECT report_outcome(%(tenant)s, %(appointment)s, %(outcome)s, %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- get: one appointment of the tenant
SELECT appointment_json(a) AS appointment
  FROM coach_appointments AS a
 WHERE a.appointment_id = %(appointment)s AND a.tenant_id = %(tenant)s AND a.status <> 'held';

-- list_page: a page of the tenant's appointments in order of start
SELECT appointment_json(a) AS appointment
  FROM coach_appointments AS a
 WHERE a.tenant_id = %(tenant)s AND a.status <> 'held'
   AND (%(coach)s::text IS NULL OR a.coach_id = %(coach)s)
   AND (%(calendar)s::text IS NULL OR a.calendar_id = %(calendar)s)
   AND (%(status)s::text IS NULL OR a.status = %(status)s)
   AND (%(start)s::timestamptz IS NULL OR a.start_time >= %(start)s)
   AND (%(end)s::timestamptz IS NULL OR a.start_time < %(end)s)
   AND (%(after_start)s::timestamptz IS NULL
        OR (a.start_time, a.appointment_id) > (%(after_start)s, %(after_id)s::uuid))
 ORDER BY a.start_time, a.appointment_id
 LIMIT %(limit)s;
