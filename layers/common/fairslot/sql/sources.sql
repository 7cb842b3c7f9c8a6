-- name: get
-- One source of a coach of the tenant.
SELECT engine.calendar_source_json(s) || engine.source_health(s => s, p_now => coalesce(%(now)s, clock_timestamp())) AS source
  FROM calendar_sources AS s
 WHERE s.source_id = %(source)s AND s.coach_id = %(coach)s AND s.tenant_id = %(tenant)s;

-- name: list
-- The sources of coaches of the tenant, null: of all of them, in the order in which they were added.
SELECT engine.calendar_source_json(s) || engine.source_health(s => s, p_now => coalesce(%(now)s, clock_timestamp())) AS source
  FROM calendar_sources AS s
 WHERE s.tenant_id = %(tenant)s AND (%(coach)s::text IS NULL OR s.coach_id = %(coach)s)
 ORDER BY s.coach_id COLLATE "C", s.created_at, s.source_id;

-- name: crowded
-- A coach of the tenant, of these, who has more than so many sources.
SELECT coach_id FROM calendar_sources
 WHERE tenant_id = %(tenant)s AND coach_id = ANY (%(coaches)s) GROUP BY coach_id HAVING count(*) > %(most)s LIMIT 1;

-- name: add
-- Adds sources to coaches of the tenant; no row for a coach that there is not.
SELECT source_id
  FROM engine.add_calendar_sources(p_tenant => %(tenant)s, p_coaches => %(coaches)s, p_sources => %(sources)s::uuid[],
                                   p_settings => %(settings)s, p_now => %(now)s) AS one (source_id);

-- name: set
-- Sets what a source is; no row where the tenant's coach has no such one.
SELECT engine.set_calendar_source(p_tenant => %(tenant)s, p_coach => %(coach)s, p_source => %(source)s,
                                  p_settings => %(settings)s, p_sets_credentials => %(sets_credentials)s,
                                  p_credentials => %(credentials)s, p_now => %(now)s) AS source_id;

-- name: delete
-- Deletes a source of a coach of the tenant.
SELECT engine.delete_calendar_source(p_tenant => %(tenant)s, p_coach => %(coach)s, p_source => %(source)s);
