-- name: size
-- How many coaches are in a team of the tenant, also of a deleted calendar; no row where the calendar is not the tenant's.
SELECT cardinality(turn.credits) AS size FROM calendars AS calendar JOIN turns AS turn USING (calendar_id)
 WHERE calendar.calendar_id = %(calendar)s AND calendar.tenant_id = %(tenant)s AND turn.kind = 'normal';

-- name: page
-- The steps of a calendar's record after a number, and what is owed in each kind of hour at the same instant.
SELECT coalesce((
           SELECT jsonb_agg(to_jsonb(one) ORDER BY one.seq)
             FROM (SELECT log.seq, log.step, log.kind, log.policy, log.policy_version, log.chosen, log.reverses_seq,
                          log.appointment_id, engine.zulu(log.decided_at) AS decided_at, log.candidates
                     FROM distribution_log AS log
                    WHERE log.calendar_id = calendar.calendar_id AND log.seq > %(after)s AND log.change_seq > %(after)s
                      AND log.change_seq <= (SELECT max(near.seq)
                                               FROM (SELECT made.seq FROM changes AS made
                                                      WHERE made.calendar_id = calendar.calendar_id AND made.seq > %(after)s
                                                      ORDER BY made.seq LIMIT %(limit)s) AS near)
                    ORDER BY log.seq LIMIT %(limit)s) AS one), '[]') AS steps,
       coalesce((
           SELECT jsonb_agg(jsonb_build_object('kind', mate.kind, 'coach_id', mate.coach_id, 'credit', mate.credit,
                                               'last_assigned_seq', mate.last_assigned_seq)
                            ORDER BY mate.kind, mate.coach_id)
             FROM coach_credits AS mate WHERE mate.calendar_id = calendar.calendar_id), '[]') AS credits
  FROM calendars AS calendar
 WHERE calendar.calendar_id = %(calendar)s AND calendar.tenant_id = %(tenant)s;
