-- name: each_minute
-- What waits, what is out of date and what was turned off, everywhere.
SELECT (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending') AS deliveries_pending,
       syncs.stale AS calendars_stale,
       coalesce(extract(epoch FROM %(now)s - syncs.oldest), 0)::float8 AS calendar_age,
       (SELECT count(*) FROM webhook_endpoints
         WHERE disabled_reason IN ('gone', 'failing') AND disabled_at > %(now)s - interval '1 day'
           AND deleted_at IS NULL) AS endpoints_disabled
  FROM (SELECT count(*) FILTER (WHERE coalesce(sync.synced_at, sync.first_requested_at) < %(stale_before)s) AS stale,
               min(coalesce(sync.synced_at, sync.first_requested_at)) AS oldest
          FROM coach_syncs AS sync JOIN coaches AS coach USING (coach_id)
         WHERE coach.active AND coach.calendar_kind <> 'none') AS syncs;

-- name: fairness_deviation
-- The most bookings that any coach is owed, or has had too many of.
SELECT coalesce(max(abs(credit)), 0) / 1e6::float8 AS deviation FROM turns CROSS JOIN LATERAL unnest(credits) AS credit;
