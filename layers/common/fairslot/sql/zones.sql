-- name: calendar_zones
-- The zones in which calendars count blocked dates and daily maximums, and coaches weeks and months, and whether Postgres
-- has them.
SELECT time_zone, time_zone IN (SELECT name FROM pg_timezone_names) AS known
  FROM (SELECT DISTINCT time_zone FROM calendars
         WHERE active AND (max_per_day IS NOT NULL OR blocked_dates <> '{}')
        UNION
        SELECT time_zone FROM coaches AS coach WHERE active AND engine.has_periods(coach)) AS used
 ORDER BY time_zone;

-- name: days_apart
-- Those of the days that begin at another slot by Postgres' zones.
SELECT given.on_day FROM unnest(%(dates)s::date[], %(first_slots)s::integer[]) AS given (on_day, first_slot)
 WHERE engine.slot_of(engine.day_start(p_zone => %(time_zone)s, p_day => given.on_day)) <> given.first_slot;
