-- name: decision
-- The last decision about an appointment of the tenant, the names of its candidates, whether it was undone, and what was
-- required of coaches: by the calendar, and as asked for; of both, what each did not meet.
SELECT log.calendar_id, log.seq, log.kind, log.policy, log.policy_version, log.chosen, log.candidates,
       roster.requires, roster.unmet, (made.after).requires AS also_requires, made.unmet AS also_unmet,
       EXISTS (SELECT FROM distribution_log AS undone
                WHERE undone.appointment_id = log.appointment_id AND undone.reverses_seq = log.seq) AS reversed,
       (SELECT coalesce(jsonb_object_agg(coach.coach_id, coach.name), '{}') FROM coaches AS coach
         WHERE coach.coach_id IN (SELECT one ->> 'coach_id' FROM jsonb_array_elements(log.candidates) AS one)) AS names
  FROM distribution_log AS log
  JOIN coach_appointments AS a USING (appointment_id)
  JOIN changes AS made ON made.calendar_id = log.calendar_id AND made.seq = log.seq
  JOIN rosters AS roster ON roster.calendar_id = made.calendar_id AND roster.version = made.roster_version
 WHERE log.appointment_id = %(appointment)s AND log.step = 'assigned' AND a.tenant_id = %(tenant)s AND a.status <> 'held'
 ORDER BY log.seq DESC
 LIMIT 1;

-- name: kind
-- The kind of hour of a start in a calendar of the tenant.
SELECT engine.kind_of(p_calendar => calendar, p_start => %(start)s) AS kind
  FROM calendars AS calendar WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s;

-- name: grid
-- Whether an instant is on the calendar's grid, and whether expired holds still take time.
SELECT engine.instant_of(engine.slot_of(%(start)s)) = %(start)s
           AND engine.slot_of(%(start)s) %% (slot_interval / 15) = 0 AS fits,
       (SELECT engine.holds_have_expired(%(now)s)) AS has_expired_holds
  FROM calendars WHERE calendar_id = %(calendar)s AND tenant_id = %(tenant)s;

-- name: explain
-- Each coach of a calendar and why an appointment cannot start then, or null. Booked time is either held, booked or a buffer.
-- Days are stored up to the deployment's horizon: a start after the last one is beyond the horizon too.
SELECT one.coach_id, one.requires, one.unmet, one.also_unmet,
       coalesce(
           engine.calendar_refusal(p_calendar => calendar, p_start => %(start)s, p_except => NULL,
                                   p_now => coalesce(%(now)s, clock_timestamp())),
           -- Whoever is free is told first: null = 'not_synced' is no answer, and the rest would be looked up for nothing.
           CASE WHEN one.excluded IS NULL THEN NULL
                WHEN one.excluded = 'not_synced'
                     AND engine.slot_of(%(start)s) + calendar.slot_duration / 15 + one.after > (
                         SELECT day.first_slot + day.slot_count FROM coach_slots AS day
                          WHERE day.coach_id = one.coach_id ORDER BY day.first_slot DESC LIMIT 1)
                THEN 'beyond_horizon'
                WHEN one.excluded NOT IN ('booked', 'buffer') THEN one.excluded
                ELSE coalesce((
                    SELECT CASE WHEN bool_or(a.status = 'held') THEN 'held' ELSE 'booked' END
                      FROM coach_appointments AS a
                     WHERE a.coach_id = one.coach_id AND a.status IN ('held', 'scheduled', 'completed', 'no_show')
                       AND a.takes && own.span AND tstzrange(a.start_time, a.end_time) && own.span
                    HAVING count(*) > 0), 'buffer') END) AS reason,
       coalesce(sync.unreadable_events, 0) AS unreadable_events, sync.synced_at,
       coach.calendar_kind <> 'none'
           AND (sync.synced_at IS NULL OR sync.failures > 0
                OR sync.synced_at < coalesce(%(now)s, clock_timestamp()) - %(stale_after)s::interval) AS stale
  FROM calendars AS calendar
 CROSS JOIN LATERAL tstzrange(%(start)s, %(start)s + make_interval(mins => calendar.slot_duration)) AS own (span)
 CROSS JOIN LATERAL engine.candidates(p_calendar => calendar.calendar_id,
                                      p_from => engine.slot_of(%(start)s),
                                      p_count => calendar.slot_duration / 15, p_before => calendar.buffer_before / 15,
                                      p_after => calendar.buffer_after / 15,
                                      p_now => coalesce(%(now)s, clock_timestamp()), p_requires => %(requires)s) AS one
  JOIN coaches AS coach ON coach.coach_id = one.coach_id
  LEFT JOIN coach_syncs AS sync ON sync.coach_id = one.coach_id AND coach.calendar_kind <> 'none'
 WHERE calendar.calendar_id = %(calendar)s AND calendar.tenant_id = %(tenant)s
 ORDER BY one.coach_id COLLATE "C";
