-- name: lock_tenant
-- Changes of a tenant's coaches, calendars and teams, one transaction at a time; before any other lock.
SELECT pg_advisory_xact_lock(hashtextextended('fairslot team of ' || %(tenant)s, 0));

-- name: lock
-- Every lock that a change needs, in the one order.
SELECT engine.lock_team_change(p_tenant => %(tenant)s, p_coaches => %(coaches)s, p_calendars => %(calendars)s,
                               p_closing => %(closing)s, p_now => %(now)s);

-- name: misfits
-- The appointments and holds that do not fit what is set, in the order of their start.
SELECT a.appointment_id, found.reason, a.status = 'held' AS held, a.calendar_id, a.coach_id,
       engine.zulu(a.start_time) AS start_time, engine.zulu(a.end_time) AS end_time
  FROM engine.misfits(p_tenant => %(tenant)s, p_coaches => %(coaches)s, p_calendars => %(closing)s, p_now => %(now)s)
           AS found
  JOIN coach_appointments AS a USING (appointment_id)
 ORDER BY a.start_time, a.appointment_id;

-- name: settle
-- Reassigns, cancels or keeps them.
SELECT * FROM engine.settle_misfits(p_tenant => %(tenant)s, p_ids => %(ids)s, p_reasons => %(reasons)s,
                                    p_action => %(action)s, p_reason => %(reason)s, p_now => %(now)s);

-- name: shares
-- Each coach's weight (millionths, 0 for who is out) and credit (millionths) in each kind of hour of these calendars of the
-- tenant.
SELECT mate.calendar_id, mate.kind, mate.coach_id, mate.credit,
       CASE WHEN mate.absent IN ('inactive', 'missing_attribute') THEN 0 ELSE mate.weight END AS weight
  FROM coach_credits AS mate JOIN calendars AS calendar USING (calendar_id)
 WHERE calendar.tenant_id = %(tenant)s AND mate.calendar_id = ANY (%(calendars)s)
 ORDER BY mate.calendar_id, mate.kind, mate.coach_id;

-- name: images
-- What the audit says of these coaches, calendars, members (calendar/coach), absences (coach/absence), sources (coach/source)
-- and adjustments (calendar/adjustment) of the tenant, each as it is now. It leaves out the reasons that people wrote.
SELECT 'coach' AS resource, c.coach_id AS id, engine.coach_json(c) AS image
  FROM coaches AS c
 WHERE c.tenant_id = %(tenant)s AND c.coach_id = ANY (%(coach)s::text[]) AND c.deleted_at IS NULL
UNION ALL
SELECT 'calendar', c.calendar_id, engine.calendar_json(c)
  FROM calendars AS c
 WHERE c.tenant_id = %(tenant)s AND c.calendar_id = ANY (%(calendar)s::text[]) AND c.deleted_at IS NULL
UNION ALL
SELECT 'member', member.calendar_id || '/' || member.coach_id, engine.member_json(member)
  FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
 WHERE cardinality(%(member)s::text[]) > 0 AND calendar.tenant_id = %(tenant)s
   AND member.calendar_id || '/' || member.coach_id = ANY (%(member)s::text[])
UNION ALL
SELECT 'absence', absence.coach_id || '/' || absence.event_id,
       jsonb_build_object(
           'absence_id', absence.event_id, 'coach_id', absence.coach_id, 'start', engine.zulu(min(lower(absence.span))),
           'end', engine.zulu(max(upper(absence.span))), 'ledger', max(absence.ledger))
  FROM coach_absences AS absence JOIN coaches AS coach USING (coach_id)
 WHERE cardinality(%(absence)s::text[]) > 0 AND coach.tenant_id = %(tenant)s
   AND absence.coach_id || '/' || absence.event_id = ANY (%(absence)s::text[])
 GROUP BY absence.coach_id, absence.event_id
UNION ALL
SELECT 'source', source.coach_id || '/' || source.source_id, engine.audited_source(source)
  FROM unnest(%(source)s::text[]) AS given (id)
  JOIN calendar_sources AS source ON source.source_id = right(given.id, 36)::uuid AND source.tenant_id = %(tenant)s
UNION ALL
SELECT 'adjustment', made.calendar_id || '/' || made.change_id, engine.adjustment_json(made) - 'reason'
  FROM unnest(%(adjustment)s::text[]) AS given (id)
  JOIN changes AS made ON made.change_id = right(given.id, 36)::uuid AND made.tenant_id = %(tenant)s;
