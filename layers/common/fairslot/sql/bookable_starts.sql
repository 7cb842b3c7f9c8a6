-- name: calendars
-- The tenant's active calendars, or one of them.
SELECT calendar_id, name, slot_duration, slot_interval, buffer_before, buffer_after,
       engine.opens_at(p_calendar => calendar, p_now => %(now)s) AS opens_at,
       engine.closes_at(p_calendar => calendar, p_now => %(now)s) AS closes_at,
       blocked_dates <> '{}' OR max_per_day IS NOT NULL AS has_closed_days,
       (SELECT engine.holds_have_expired(%(clock)s)) AS has_expired_holds
  FROM calendars AS calendar
 WHERE tenant_id = %(tenant)s AND active AND (%(calendar)s::text IS NULL OR calendar_id = %(calendar)s)
 ORDER BY calendar_id;

-- name: closed_days
-- The days of one calendar on which nothing may start.
SELECT closed.starts, closed.ends
  FROM calendars AS calendar
 CROSS JOIN LATERAL engine.closed_days(p_calendar => calendar, p_from => %(start)s, p_to => %(end)s, p_except => NULL,
                                     p_now => %(now)s) AS closed
 WHERE calendar.calendar_id = %(calendar)s;

-- name: teams
-- The calendars' active coaches, and when the coaches' own calendars were read.
SELECT member.calendar_id, member.coach_id, coach.calendar_kind <> 'none' AS external, sync.synced_at,
       coalesce(sync.failures, 0) AS failures, sync.first_requested_at
  FROM coach_calendars AS member
  JOIN coaches AS coach USING (coach_id)
  LEFT JOIN coach_syncs AS sync USING (coach_id)
 WHERE member.calendar_id = ANY (%(calendars)s) AND coach.active
 ORDER BY member.calendar_id, member.coach_id;

-- name: days
-- Each coach's slots as one string of bits; missing days are filled with 0.
-- `free` admits appointments, `open` their buffers; `full` has the days at their maximum, as [first slot, length].
-- The days of one coach after the other come from the index in order: sorting them all takes longer.
SELECT asked.coach_id, own.*
  FROM unnest(%(coaches)s::text[]) AS asked (coach_id) CROSS JOIN LATERAL (
    SELECT min(first_slot) AS first_slot,
           string_agg(CASE WHEN length = slot_count THEN substring(free, 1, slot_count)::text
                           ELSE rpad(substring(free, 1, slot_count)::text, length, '0') END, '' ORDER BY first_slot) AS free,
           CASE WHEN %(buffers)s THEN
               string_agg(rpad(substring(open, 1, slot_count)::text, length, '0'), '' ORDER BY first_slot) END AS open,
           array_agg(ARRAY[first_slot, length]) FILTER (WHERE booked >= max_per_day) AS "full"
      FROM (SELECT first_slot, slot_count, free, open, booked, max_per_day,
                   coalesce(lead(first_slot) OVER (ORDER BY first_slot) - first_slot, slot_count)::integer AS length
              FROM coach_slots
             WHERE coach_id = asked.coach_id AND first_slot > %(first)s - 104 AND first_slot < %(end)s) AS day) AS own
 WHERE own.first_slot IS NOT NULL;
