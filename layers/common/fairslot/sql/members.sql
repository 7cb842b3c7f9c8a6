-- name: get
-- One coach's place in a calendar's team.
SELECT engine.member_json(member) AS member
  FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id) JOIN coaches AS coach USING (coach_id)
 WHERE member.calendar_id = %(calendar)s AND member.coach_id = %(coach)s
   AND calendar.tenant_id = %(tenant)s AND coach.tenant_id = %(tenant)s;

-- name: list_page
-- A page of the teams of the tenant's calendars, or of one of them, by calendar and coach.
SELECT engine.member_json(member) AS member
  FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
 WHERE calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL
   AND (%(calendar)s::text IS NULL OR member.calendar_id = %(calendar)s)
   AND (%(after)s::text IS NULL OR member.coach_id COLLATE "C" > %(after)s)
 ORDER BY member.calendar_id COLLATE "C", member.coach_id COLLATE "C" LIMIT %(limit)s;

-- name: join
-- Adds a coach to a team with no credit and no debt, or changes what is set of the place; no row where one of them is not the tenant's.
SELECT engine.join_team(p_calendar => calendar.calendar_id, p_coach => coach.coach_id, p_manual_weight => %(weight)s,
                        p_buffer_before => %(before)s, p_buffer_after => %(after)s, p_notice => %(notice)s)
  FROM calendars AS calendar, coaches AS coach
 WHERE calendar.calendar_id = %(calendar)s AND calendar.tenant_id = %(tenant)s AND calendar.deleted_at IS NULL
   AND coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s AND coach.deleted_at IS NULL;

-- name: leave
-- Removes a coach from a team and divides the credit among the rest.
SELECT engine.leave_team(p_calendar => calendar.calendar_id, p_coach => %(coach)s, p_now => %(now)s)
  FROM calendars AS calendar
 WHERE calendar.calendar_id = %(calendar)s AND calendar.tenant_id = %(tenant)s;
