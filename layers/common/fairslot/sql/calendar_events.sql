-- name: permit
-- Whether a delivery may be written now.
SELECT engine.permit_calendar_event(p_delivery => %(delivery)s) AS permitted;

-- name: send_due
-- Makes deliveries of events that are due and have none; their messages.
SELECT engine.send_due_calendar_events(p_limit => %(limit)s) AS messages;

-- name: compare
-- Compares what a reading of a source saw of our events with what is to be there.
SELECT engine.compare_own_events(
    p_source => %(source)s, p_generation => %(generation)s, p_at => %(fetched_at)s,
    p_window => tstzrange(%(from)s, %(to)s), p_own => %(own)s, p_is_whole => %(whole)s
);
