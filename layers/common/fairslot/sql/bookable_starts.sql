-- name: load
-- The teams of the tenant's active calendars, or of one of them, from the read model.
SELECT * FROM engine.load_teams(p_tenant => %(tenant)s, p_calendar => %(calendar)s, p_from => %(first)s, p_bytes => %(bytes)s);

-- name: changes
-- The rules of calendars and what changed in their teams since a snapshot; and since when a coach's external calendars must
-- have been read, in seconds.
SELECT changed.*,
       (SELECT date_part('epoch', engine.verified_since(p_calendar => calendar, p_now => %(now)s))
          FROM calendars AS calendar WHERE calendar.calendar_id = changed.calendar_id) AS verified_since
  FROM engine.team_changes(
    p_tenant => %(tenant)s, p_calendars => %(calendars)s, p_start => %(start)s, p_end => %(end)s, p_first => %(first)s,
    p_end_slot => %(end_slot)s, p_since => %(since)s::pg_snapshot, p_team_since => %(team_since)s::pg_snapshot,
    p_most => %(most)s, p_now => %(now)s, p_clock => %(clock)s, p_requires => %(requires)s) AS changed;

-- name: page_key
-- The key that kept pages are authenticated with; it is made if there is none.
SELECT * FROM engine.page_key();
