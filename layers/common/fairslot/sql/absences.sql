-- name: begin_absence
-- Closes a span of a coach's time, whatever readings say.
SELECT engine.begin_absence(p_coach => %(coach)s, p_from => %(from)s, p_to => %(to)s, p_event => %(event)s);

-- name: end_absence
-- Ends a coach's absences within a span.
SELECT engine.end_absence(p_coach => %(coach)s, p_from => %(from)s, p_to => %(to)s);

-- name: delete_old
-- Deletes the absences that ended before a slot.
DELETE FROM coach_absences WHERE upper(span) <= engine.instant_of(%(before)s);
