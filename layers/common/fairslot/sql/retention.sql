-- name: deliveries
-- Deletes a portion of the deliveries settled before an instant, with their attempts; locked ones stay for now.
SELECT engine.delete_settled_deliveries(p_first => %(first)s, p_before => %(before)s, p_portion => %(portion)s) AS n;

-- name: events
-- Deletes a portion of the old changes that are told, have no delivery left, no key, no decision, and are no entry of the audit.
SELECT engine.delete_settled_events(p_first => %(first)s, p_before => %(before)s, p_portion => %(portion)s) AS n;

-- name: decided
-- Leaves of a portion of such changes the decision, which replay needs for ever, and the entry of the audit.
SELECT engine.empty_settled_decisions(p_first => %(first)s, p_before => %(before)s, p_portion => %(portion)s) AS n;

-- name: inbound
-- Deletes a portion of the inbound events processed before an instant; their keys are free again.
SELECT engine.delete_settled_inbound_events(
    p_first => %(first)s, p_before => %(before)s, p_portion => %(portion)s
) AS n;

-- name: calendar_events
-- Deletes a portion of the events in coaches' calendars whose appointments were over before an instant; there they stay.
SELECT engine.delete_old_calendar_events(p_before => %(before)s, p_portion => %(portion)s) AS n;
