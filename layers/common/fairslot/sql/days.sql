-- name: coaches
-- What the days of active coaches of the tenant, null: of any, are made of; coaches null: of all of them.
SELECT coach_id, tenant_id, time_zone, working_hours, overrides, blocked_dates, max_per_day, calendar_kind,
       engine.made_of(coach) AS made_of
  FROM coaches AS coach
 WHERE active AND (%(coaches)s::text[] IS NULL OR coach_id = ANY (%(coaches)s))
   AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
 ORDER BY coach_id;

-- name: stored
-- Each coach's days that end after a slot, in one text: see days_text().
SELECT coach_id, string_agg(first_slot || '/' || slot_count || '/' || local_date - '1970-01-01'::date, ','
                            ORDER BY first_slot) AS days
  FROM coach_slots
 WHERE coach_id = ANY (%(coaches)s)
   AND first_slot > %(first)s - 104 AND first_slot + slot_count > %(first)s
 GROUP BY coach_id;

-- name: store
-- Stores what a calendar leaves free; an older reading never overwrites a younger one.
SELECT engine.upsert_days(p_coach => %(coach)s, p_fetched_at => %(fetched_at)s,
                          p_first_slots => %(first_slots)s::integer[], p_slot_counts => %(slot_counts)s::smallint[],
                          p_dates => %(dates)s::date[], p_working => %(working)s::text[],
                          p_external => %(external)s::text[], p_max_per_day => %(max_per_day)s::smallint,
                          p_unreadable => %(unreadable)s, p_made_of => %(made_of)s);

-- name: extend
-- Gives coaches these days, which are the same for all of them.
SELECT engine.extend_days(p_coaches => %(coaches)s,
                          p_first_slots => %(first_slots)s::integer[], p_slot_counts => %(slot_counts)s::smallint[],
                          p_dates => %(dates)s::date[], p_working => %(working)s::text[],
                          p_external => %(external)s::text[], p_max_per_day => %(max_per_day)s::smallint,
                          p_made_of => %(made_of)s);

-- name: replace
-- Replaces days of another zone by those of the coach's zone; one transaction.
SELECT engine.replace_days(p_coach => %(coach)s, p_made_of => %(made_of)s, p_from => %(from)s,
                         p_first => %(first_slots)s, p_count => %(slot_counts)s, p_dates => %(dates)s,
                         p_working => %(working)s, p_external => %(external)s, p_max_per_day => %(max_per_day)s::smallint),
       engine.apply_absences(p_coach => %(coach)s);

-- name: delete_old
-- Deletes the days that ended before a slot, and weeks and months likewise.
SELECT engine.delete_old_days(p_before => %(before)s) AS n;

-- name: has_coach
-- Whether the tenant has the coach.
SELECT count(*) AS n FROM coaches WHERE tenant_id = %(tenant)s AND coach_id = %(coach)s;
