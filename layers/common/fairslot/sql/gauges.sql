-- name: each_minute
-- What waits, what is out of date and what was turned off, everywhere.
SELECT (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending') AS deliveries_pending,
       sources.stale AS calendars_stale, sources.ended AS calendars_ended,
       coalesce(extract(epoch FROM %(now)s - sources.oldest), 0)::float8 AS calendar_age,
       (SELECT count(*) FROM webhook_endpoints
         WHERE disabled_reason IN ('gone', 'failing') AND disabled_at > %(now)s - interval '1 day'
           AND deleted_at IS NULL) AS endpoints_disabled
  FROM (SELECT count(*) FILTER (WHERE source.ended IS NULL AND coalesce(source.synced_at, source.first_requested_at)
                                                               < %(stale_before)s) AS stale,
               count(source.ended) AS ended,
               min(coalesce(source.synced_at, source.first_requested_at)) FILTER (WHERE source.ended IS NULL) AS oldest
          FROM calendar_sources AS source JOIN coaches AS coach USING (coach_id)
         WHERE coach.active AND source.reads) AS sources;

-- name: fairness_deviation
-- The most bookings that any coach is owed, or has had too many of.
SELECT coalesce(max(abs(credit)), 0) / 1e6::float8 AS deviation FROM turns CROSS JOIN LATERAL unnest(credits) AS credit;
