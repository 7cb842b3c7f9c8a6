-- name: get
-- One coach's place in the team of a calendar of the tenant.
SELECT engine.member_json(member) AS member
  FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
 WHERE member.calendar_id = %(calendar)s AND member.coach_id = %(coach)s AND calendar.tenant_id = %(tenant)s;

-- name: list_page
-- A page of the teams of the tenant's calendars, or of one of them, by calendar and coach.
SELECT engine.member_json(member) AS member
  FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
 WHERE calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL
   AND (%(calendar)s::text IS NULL OR member.calendar_id = %(calendar)s)
   AND (%(after)s::text IS NULL OR member.coach_id COLLATE "C" > %(after)s)
 ORDER BY member.calendar_id COLLATE "C", member.coach_id COLLATE "C" LIMIT %(limit)s;

-- name: join
-- Adds coaches to teams with no credit and no debt, or changes what is set of them; no row where one is not the tenant's.
WITH given AS (
    SELECT one.*
      FROM unnest(%(calendar)s::text[], %(coach)s::text[], %(weight)s::float8[], %(before)s::integer[],
                  %(after)s::integer[], %(notice)s::integer[]) AS one (calendar_id, coach_id, weight, before, after, notice)
      JOIN calendars AS calendar USING (calendar_id)
      JOIN coaches AS coach USING (coach_id)
     WHERE calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL
       AND coach.tenant_id = %(tenant)s AND coach.deleted_at IS NULL
), joined AS (
    SELECT engine.join_teams(p_calendars => array_agg(calendar_id), p_coaches => array_agg(coach_id),
                             p_manual_weights => array_agg(weight), p_buffers_before => array_agg(before),
                             p_buffers_after => array_agg(after), p_notices => array_agg(notice)) FROM given
)
SELECT calendar_id || '/' || coach_id AS member_id FROM given, joined;

-- name: leave
-- Removes coaches from teams and divides their credit among the rest.
SELECT engine.leave_teams(p_calendars => array_agg(calendar.calendar_id), p_coaches => array_agg(one.coach_id),
                          p_now => %(now)s)
  FROM unnest(%(calendar)s::text[], %(coach)s::text[]) AS one (calendar_id, coach_id)
  JOIN calendars AS calendar USING (calendar_id)
 WHERE calendar.tenant_id = %(tenant)s;
