-- shares: per coach, what the standing decisions about appointments of a period gave and owed
WITH members AS (
    SELECT member.coach_id, sum(member.credit) AS credit, avg(member.weight) AS weight
      FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
     WHERE calendar.tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar_id = %(calendar)s)
     GROUP BY member.coach_id
), decisions AS (
    SELECT log.candidates
      FROM distribution_log AS log
      JOIN coach_appointments AS appointment USING (appointment_id)
     WHERE appointment.tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR log.calendar_id = %(calendar)s)
       AND appointment.start_time >= %(start)s AND appointment.start_time < %(end)s
       AND appointment.status <> 'held'
), owed AS (
    SELECT one ->> 'coach_id' AS coach_id, sum((one ->> 'share')::bigint) AS entitled
      FROM decisions CROSS JOIN LATERAL jsonb_array_elements(candidates) AS one
     WHERE one ? 'share'
     GROUP BY 1
), got AS (
    SELECT coach_id, count(*) AS assigned
      FROM coach_appointments
     WHERE tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar_id = %(calendar)s)
       AND start_time >= %(start)s AND start_time < %(end)s AND status NOT IN ('cancelled', 'held')
     GROUP BY coach_id
)
SELECT coach.coach_id, coach.name, coach.score, coach.max_per_day, members.credit::bigint, members.weight::float8,
       coalesce(owed.entitled, 0)::bigint AS entitled, coalesce(got.assigned, 0)::integer AS assigned
  FROM members JOIN coaches AS coach USING (coach_id) LEFT JOIN owed USING (coach_id) LEFT JOIN got USING (coach_id)
 ORDER BY coach.coach_id;

-- known: whether the tenant has the calendar
SELECT 1 AS known FROM calendars WHERE tenant_id = %(tenant)s AND calendar_id = %(calendar)s;

-- bound: how far a coach can be off at the most: (n - 1) / 2 for each calendar, of which deviations add up
SELECT coalesce(sum((size - 1) / 2.0), 0)::float8 AS bound
  FROM (SELECT count(*) AS size FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
         WHERE calendar.tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar_id = %(calendar)s)
         GROUP BY calendar_id) AS team;
