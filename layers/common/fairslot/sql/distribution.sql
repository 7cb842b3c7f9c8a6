-- name: shares
-- Per coach, what the decisions of a period gave (got) and owed (owed), and the appointments that stand.
-- A period has the decisions about the appointments that start in it. One without an appointment (a hold that ended, a coach
-- who left) counts when it was written. A decision that moves a credit by x moves got - owed by -x; highest_score moves no
-- credits and owes the shares.
WITH offered AS (
    SELECT calendar_id FROM calendars
     WHERE tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar_id = %(calendar)s)
       AND (%(seen)s::text[] IS NULL OR calendar_id = ANY (%(seen)s))
), members AS (
    SELECT coach_id, sum(credit) AS credit, avg(weight) AS weight
      FROM coach_credits WHERE calendar_id IN (SELECT calendar_id FROM offered)
     GROUP BY coach_id
), ended AS (
    SELECT log.* FROM distribution_log AS log
     WHERE log.calendar_id IN (SELECT calendar_id FROM offered) AND log.kind <> 'assigned'
       AND log.decided_at >= %(start)s AND log.decided_at < %(end)s
       AND NOT EXISTS (SELECT FROM coach_appointments AS a WHERE a.appointment_id = log.appointment_id)
), entries AS (
    SELECT log.* FROM coach_appointments AS a JOIN distribution_log AS log USING (appointment_id)
     WHERE a.tenant_id = %(tenant)s AND log.calendar_id IN (SELECT calendar_id FROM offered)
       AND a.start_time >= %(start)s AND a.start_time < %(end)s
     UNION ALL
    SELECT * FROM ended
     UNION ALL
    SELECT made.* FROM ended JOIN distribution_log AS made
        ON made.calendar_id = ended.calendar_id AND made.seq = ended.reverses_seq
), moves AS (
    SELECT one ->> 'coach_id' AS coach_id, 0 AS got, (one ->> 'delta')::bigint AS owed
      FROM entries CROSS JOIN LATERAL jsonb_array_elements(candidates) AS one
     WHERE one ? 'delta' AND (policy <> 'highest_score' OR kind = 'left')
     UNION ALL
    SELECT one ->> 'coach_id', 0, CASE entry.kind WHEN 'assigned' THEN 1 ELSE -1 END * (one ->> 'share')::bigint
      FROM entries AS entry
      JOIN distribution_log AS made
        ON made.calendar_id = entry.calendar_id AND made.seq = coalesce(entry.reverses_seq, entry.seq)
     CROSS JOIN LATERAL jsonb_array_elements(made.candidates) AS one
     WHERE one ? 'share' AND entry.policy = 'highest_score' AND entry.kind <> 'left'
     UNION ALL
    SELECT chosen, CASE kind WHEN 'assigned' THEN 1 ELSE -1 END,
           CASE WHEN policy = 'highest_score' THEN 0 WHEN kind = 'assigned' THEN 1000000 ELSE -1000000 END
      FROM entries WHERE kind <> 'left'
), ledger AS (
    SELECT coach_id, sum(got) AS assigned, sum(owed) AS entitled FROM moves GROUP BY coach_id
), booked AS (
    SELECT coach_id, count(*) AS appointments
      FROM coach_appointments
     WHERE tenant_id = %(tenant)s AND calendar_id IN (SELECT calendar_id FROM offered)
       AND start_time >= %(start)s AND start_time < %(end)s AND status NOT IN ('cancelled', 'held')
     GROUP BY coach_id
)
SELECT coach.coach_id, coach.name, coach.score, coach.max_per_day, coalesce(members.credit, 0)::bigint AS credit,
       coalesce(members.weight, 0)::float8 AS weight, coalesce(ledger.entitled, 0)::bigint AS entitled,
       coalesce(ledger.assigned, 0)::integer AS assigned, coalesce(booked.appointments, 0)::integer AS appointments
  FROM coaches AS coach LEFT JOIN members USING (coach_id) LEFT JOIN ledger USING (coach_id) LEFT JOIN booked USING (coach_id)
 WHERE coalesce(members.coach_id, ledger.coach_id, booked.coach_id) IS NOT NULL
 ORDER BY coach.coach_id;

-- name: known
-- Whether the tenant has the calendar.
SELECT 1 AS known FROM calendars WHERE tenant_id = %(tenant)s AND calendar_id = %(calendar)s;

-- name: bound
-- The bound of a coach's credit: (n - 1) / 2 for each calendar of n coaches, as their credits add up, and what reversals and
-- coaches who left can have added; null if a calendar's policy is not fair_share.
SELECT coalesce(sum(team.undone), 0)::integer AS refunds,
       CASE WHEN coalesce(bool_and(team.policy = 'fair_share'), true) THEN
           coalesce(sum(greatest(team.size - 1, 0) / 2.0 + team.undone + team.gone), 0)::float8 END AS bound
  FROM (SELECT calendar.policy,
               (SELECT count(*) FROM coach_calendars AS member WHERE member.calendar_id = calendar.calendar_id) AS size,
               (SELECT count(*) FROM distribution_log AS log WHERE log.calendar_id = calendar.calendar_id
                   AND log.kind = 'reversed' AND log.policy = 'fair_share') AS undone,
               (SELECT coalesce(sum(greatest(cardinality(roster.coach_ids) - 2, 0) / 2.0
                                    + cardinality(roster.coach_ids) / 1000000.0), 0)
                  FROM decisions AS made
                  JOIN rosters AS roster ON roster.calendar_id = made.calendar_id AND roster.version = made.roster_version
                 WHERE made.calendar_id = calendar.calendar_id AND made.appointment_id IS NULL) AS gone
          FROM calendars AS calendar
         WHERE calendar.tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar.calendar_id = %(calendar)s)
           AND (%(seen)s::text[] IS NULL OR calendar.calendar_id = ANY (%(seen)s))) AS team;
