-- name: begin_absence
-- Closes a span of the time of a coach of the tenant, whatever readings say.
SELECT engine.begin_absence(p_coach => coach.coach_id, p_from => %(from)s, p_to => %(to)s, p_event => %(event)s)
  FROM coaches AS coach WHERE coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s;

-- name: end_absence
-- Ends absences of a coach of the tenant within a span.
SELECT engine.end_absence(p_coach => coach.coach_id, p_from => %(from)s, p_to => %(to)s)
  FROM coaches AS coach WHERE coach.coach_id = %(coach)s AND coach.tenant_id = %(tenant)s;

-- name: delete_old
-- Deletes the absences that ended before a slot.
SELECT engine.delete_old_absences(p_before => %(before)s) AS n;

-- name: note_reason
-- Notes why a coach of the tenant is away, and what that does to the credits.
SELECT engine.note_absence_reason(
    p_reason => %(reason)s, p_ledger => %(ledger)s, p_coach => %(coach)s, p_event => %(event)s, p_tenant => %(tenant)s
);

-- name: settle
-- Hands what the coach is owed in each team to the rest of it.
SELECT engine.settle_absence(p_tenant => %(tenant)s, p_coach => %(coach)s, p_absence => %(event)s, p_reason => %(reason)s,
                             p_now => %(now)s);

-- name: get
-- One absence of a coach of the tenant.
SELECT * FROM engine.absences_of(p_tenant => %(tenant)s, p_coach => %(coach)s) WHERE absence_id = %(event)s;

-- name: list_page
-- A page of the absences of a coach of the tenant that touch a period, by their start.
SELECT * FROM engine.absences_of(p_tenant => %(tenant)s, p_coach => %(coach)s) AS own
 WHERE own."end" > coalesce(%(start)s, '-infinity'::timestamptz) AND own.start < coalesce(%(end)s, 'infinity'::timestamptz)
   AND (%(after_start)s::timestamptz IS NULL OR (own.start, own.absence_id) > (%(after_start)s, %(after_id)s::uuid))
 ORDER BY own.start, own.absence_id LIMIT %(limit)s;

-- name: delete
-- Deletes one absence of a coach of the tenant; returns the stretches in which the coach has no other.
SELECT * FROM engine.delete_absence(p_coach => %(coach)s, p_event => %(event)s, p_tenant => %(tenant)s);
