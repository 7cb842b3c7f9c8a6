-- name: sources
-- What is asked of a coach's calendars.
SELECT source.coach_id, source.source_id, source.generation, source.kind, source.url, source.calendar_ref, source.credentials,
       source.ended, coach.time_zone
  FROM calendar_sources AS source JOIN coaches AS coach USING (coach_id)
 WHERE source.coach_id = %(coach)s AND source.reads
 ORDER BY source.source_id;

-- name: store
-- Stores what a source said of some slots.
SELECT engine.store_check(p_coach => %(coach)s, p_source => %(source)s, p_generation => %(generation)s,
                          p_checked_at => %(checked_at)s, p_first => %(first)s, p_count => %(count)s, p_free => %(free)s::varbit);
