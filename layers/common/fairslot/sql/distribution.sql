-- name: shares
-- Per coach, what the decisions of a period gave (got) and owed (owed), in all and in each kind of hour, and the appointments
-- that stand. A period has the decisions about the appointments that start in it. One without an appointment (a hold that ended,
-- a coach who left, an adjustment) counts when it was written. A decision that moves a credit by x moves got - owed by -x;
-- highest_score moves no credits and owes the shares. The decisions of a kind that was removed are in normal.
WITH offered AS (
    SELECT calendar_id FROM calendars
     WHERE tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar_id = %(calendar)s)
       AND (%(seen)s::text[] IS NULL OR calendar_id = ANY (%(seen)s))
), members AS (
    SELECT coach_id, kind, sum(credit) AS credit, avg(weight) AS weight
      FROM coach_credits WHERE calendar_id IN (SELECT calendar_id FROM offered)
     GROUP BY coach_id, kind
), wanted AS MATERIALIZED (
    -- Only these are spelled out: a record of years is much longer than a period.
    SELECT made.calendar_id, made.seq
      FROM coach_appointments AS a JOIN changes AS made USING (appointment_id)
     WHERE a.tenant_id = %(tenant)s AND a.calendar_id IN (SELECT calendar_id FROM offered)
       AND a.start_time >= %(start)s AND a.start_time < %(end)s AND made.seq IS NOT NULL
     UNION
    SELECT made.calendar_id, number
      FROM changes AS made CROSS JOIN LATERAL (VALUES (made.seq), (made.reverses)) AS own (number)
     WHERE made.calendar_id IN (SELECT calendar_id FROM offered)
       AND made.type IN ('hold.released', 'hold.expired', 'coach.left', 'credit.adjusted', 'credit.settled', 'kind.removed')
       AND made.decided_at >= %(start)s AND made.decided_at < %(end)s AND number IS NOT NULL
), entries AS MATERIALIZED (
    SELECT log.*
      FROM wanted
     CROSS JOIN LATERAL (SELECT * FROM distribution_log AS step
                          WHERE step.calendar_id = wanted.calendar_id AND step.change_seq = wanted.seq OFFSET 0) AS log
), kept AS (
    SELECT entry.*, coalesce(turn.kind, 'normal') AS ledger
      FROM entries AS entry
      LEFT JOIN turns AS turn
        ON turn.calendar_id = entry.calendar_id AND turn.kind = entry.kind AND turn.since < entry.seq
), moves AS (
    SELECT one ->> 'coach_id' AS coach_id, ledger, 0 AS got, (one ->> 'delta')::bigint AS owed
      FROM kept CROSS JOIN LATERAL jsonb_array_elements(candidates) AS one
     WHERE one ? 'delta' AND (policy <> 'highest_score' OR step IN ('left', 'adjusted', 'settled'))
     UNION ALL
    SELECT one ->> 'coach_id', ledger, 0, CASE entry.step WHEN 'assigned' THEN 1 ELSE -1 END * (one ->> 'share')::bigint
      FROM kept AS entry
     CROSS JOIN LATERAL (SELECT step.candidates FROM distribution_log AS step
                          WHERE step.calendar_id = entry.calendar_id AND step.step = 'assigned'
                            AND step.change_seq = coalesce(entry.reverses_seq, entry.seq) OFFSET 0) AS made
     CROSS JOIN LATERAL jsonb_array_elements(made.candidates) AS one
     WHERE one ? 'share' AND entry.policy = 'highest_score' AND entry.step IN ('assigned', 'reversed')
     UNION ALL
    SELECT chosen, ledger, CASE step WHEN 'assigned' THEN 1 ELSE -1 END,
           CASE WHEN policy = 'highest_score' THEN 0 WHEN step = 'assigned' THEN 1000000 ELSE -1000000 END
      FROM kept WHERE step IN ('assigned', 'reversed')
), ledgers AS (
    SELECT coach_id, ledger AS kind, sum(got) AS assigned, sum(owed) AS entitled FROM moves GROUP BY coach_id, ledger
), standings AS (
    SELECT coach_id, sum(credit) AS credit, avg(weight) FILTER (WHERE kind = 'normal') AS weight,
           sum(entitled) AS entitled, sum(assigned) AS assigned,
           jsonb_object_agg(kind, jsonb_build_object('assigned', coalesce(assigned, 0), 'entitled', coalesce(entitled, 0),
                                                     'credit', coalesce(credit, 0))) AS kinds
      FROM members FULL JOIN ledgers USING (coach_id, kind)
     GROUP BY coach_id
), booked AS (
    SELECT coach_id, count(*) AS appointments
      FROM coach_appointments
     WHERE tenant_id = %(tenant)s AND calendar_id IN (SELECT calendar_id FROM offered)
       AND start_time >= %(start)s AND start_time < %(end)s AND status NOT IN ('cancelled', 'held')
     GROUP BY coach_id
)
SELECT coach.coach_id, coach.name, coach.score, coach.max_per_day, coalesce(own.credit, 0)::bigint AS credit,
       coalesce(own.weight, 0)::float8 AS weight, coalesce(own.entitled, 0)::bigint AS entitled,
       coalesce(own.assigned, 0)::integer AS assigned, coalesce(booked.appointments, 0)::integer AS appointments,
       coalesce(own.kinds, '{}') AS kinds
  FROM coaches AS coach LEFT JOIN standings AS own USING (coach_id) LEFT JOIN booked USING (coach_id)
 WHERE coalesce(own.coach_id, booked.coach_id) IS NOT NULL
 ORDER BY coach.coach_id;

-- name: known
-- Whether the tenant has the calendar.
SELECT 1 AS known FROM calendars WHERE tenant_id = %(tenant)s AND calendar_id = %(calendar)s;

-- name: ledgers
-- The credits of each calendar in each kind of hour, with the policy; those of an empty team are left out.
SELECT turn.kind, turn.credits, calendar.policy
  FROM calendars AS calendar JOIN turns AS turn USING (calendar_id)
 WHERE calendar.tenant_id = %(tenant)s AND (%(calendar)s::text IS NULL OR calendar.calendar_id = %(calendar)s)
   AND (%(seen)s::text[] IS NULL OR calendar.calendar_id = ANY (%(seen)s))
   AND turn.credits <> '{}';
