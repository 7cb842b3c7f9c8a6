-- name: load
-- The teams of the tenant's active calendars, or of one of them, from the read model: each coach's slots as bytes, one coach
-- after the other, as of the snapshot `folded`; where that is null, the read model has to be made first.
-- `read_at` has each coach's reading in seconds: infinity without an external calendar, 0 before the first reading.
SELECT calendar.calendar_id,
       pg_current_snapshot()::text AS snapshot, engine.folded_snapshot()::text AS folded, team.*
  FROM calendars AS calendar
 CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(own.coach_id), '{}') AS coaches,
           coalesce(string_agg(engine.horizon_bytes(p_bits => own.free, p_first => own.first_slot, p_from => %(first)s,
                                                    p_bytes => %(bytes)s), ''), '') AS free,
           coalesce(string_agg(engine.horizon_bytes(p_bits => own.open, p_first => own.first_slot, p_from => %(first)s,
                                                    p_bytes => %(bytes)s), '')
                        FILTER (WHERE calendar.buffer_before + calendar.buffer_after > 0), '') AS open,
           array_agg(own.coach_id) FILTER (WHERE own.full_days IS NOT NULL) AS full_coaches,
           string_agg(engine.horizon_bytes(p_bits => own.full_days, p_first => own.first_slot, p_from => %(first)s,
                                           p_bytes => %(bytes)s), '')
               FILTER (WHERE own.full_days IS NOT NULL) AS "full",
           coalesce(string_agg(float8send(own.read_at), ''), '') AS read_at,
           array_agg(own.coach_id) FILTER (WHERE own.failures > 0) AS failing
      FROM (SELECT member.coach_id, coalesce(horizon.first_slot, %(first)s) AS first_slot,
                   coalesce(horizon.free, '') AS free, coalesce(horizon.open, '') AS open, horizon.full_days,
                   CASE WHEN coach.calendar_kind = 'none' THEN 'infinity'
                        ELSE coalesce(date_part('epoch', sync.synced_at), 0) END AS read_at,
                   CASE WHEN coach.calendar_kind <> 'none' THEN sync.failures END AS failures
              FROM coach_calendars AS member
              JOIN coaches AS coach USING (coach_id)
              LEFT JOIN coach_horizons AS horizon USING (coach_id)
              LEFT JOIN coach_syncs AS sync USING (coach_id)
             WHERE member.calendar_id = calendar.calendar_id AND coach.active
               -- For the planner: it knows how large this team is, and not how large that of the calendar's row.
               AND (%(calendar)s::text IS NULL OR member.calendar_id = %(calendar)s)) AS own) AS team
 WHERE calendar.tenant_id = %(tenant)s AND calendar.active
   AND (%(calendar)s::text IS NULL OR calendar.calendar_id = %(calendar)s)
 ORDER BY calendar.calendar_id;

-- name: changes
-- The rules of calendars and what changed in their teams since a snapshot.
SELECT * FROM engine.team_changes(
    p_tenant => %(tenant)s, p_calendars => %(calendars)s, p_start => %(start)s, p_end => %(end)s, p_first => %(first)s,
    p_end_slot => %(end_slot)s, p_since => %(since)s::pg_snapshot, p_team_since => %(team_since)s::pg_snapshot,
    p_most => %(most)s, p_now => %(now)s, p_clock => %(clock)s);

-- name: page_key
-- The key that kept pages are authenticated with; it is made if there is none.
WITH made AS (
    INSERT INTO page_keys AS page_key DEFAULT VALUES
    ON CONFLICT (only_one) DO UPDATE SET key = excluded.key, made_by = excluded.made_by
     WHERE page_key.xmin <> page_key.made_by::xid
    RETURNING key
)
SELECT encode(key, 'hex') AS key FROM made
 UNION ALL
SELECT encode(key, 'hex') FROM page_keys WHERE xmin = made_by::xid;
