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

-- name: of_appointment
-- The states of an appointment's events, a row a calendar that is written or has one.
SELECT event.source_id, engine.calendar_event_state(e => event, s => source) AS state
  FROM calendar_events AS event JOIN calendar_sources AS source USING (source_id)
 WHERE event.appointment_id = %(appointment)s AND source.tenant_id = %(tenant)s
   AND engine.calendar_event_state(e => event, s => source) IS NOT NULL
 ORDER BY event.source_id;
