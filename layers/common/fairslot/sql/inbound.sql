-- name: receive
-- Stores an event unless its key is known.
SELECT * FROM engine.receive_event(
    p_tenant => %(tenant)s, p_key => %(key)s, p_fingerprint => %(fingerprint)s, p_type => %(type)s,
    p_body => %(body)s, p_now => %(now)s, p_origin => %(origin)s
);

-- name: known
-- The event that a key was used for.
SELECT event_id, fingerprint FROM inbound_events WHERE tenant_id = %(tenant)s AND key = %(key)s;

-- name: claim
-- Locks an event that is not processed and not being processed.
SELECT * FROM engine.claim_event(p_event => %(event)s);

-- name: processed
-- Stores the outcome of an event.
SELECT engine.note_event_processed(p_now => %(now)s, p_outcome => %(outcome)s, p_event => %(event)s);

-- name: left_over
-- Events that were received before an instant and not processed.
SELECT event_id FROM inbound_events WHERE processed_at IS NULL AND received_at < %(before)s
 ORDER BY received_at LIMIT 100;

-- name: note_progress
-- Stores how far an event has been processed.
SELECT engine.note_event_progress(p_progress => %(progress)s, p_event => %(event)s);

-- name: release_next_appointments
-- Handles the next appointments and holds of an absent coach by their calendars' policies.
SELECT engine.release_next_appointments(p_tenant => %(tenant)s, p_coach => %(coach)s, p_from => %(from)s,
                                        p_to => %(to)s, p_after => %(after)s::timestamptz, p_limit => %(most)s,
                                        p_reason => %(reason)s, p_now => %(now)s) AS done;
