-- What is deleted when its time is over. The numbers are of rows.

-- Deletes the absences that ended before a slot.
CREATE OR REPLACE FUNCTION engine.delete_old_absences(p_before integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM coach_absences WHERE upper(span) <= engine.instant_of(p_before)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Deletes the days that ended before a slot, and weeks and months likewise.
CREATE OR REPLACE FUNCTION engine.delete_old_days(p_before integer) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH periods AS (
        DELETE FROM coach_periods WHERE end_slot <= p_before
    ), done AS (
        DELETE FROM coach_slots WHERE first_slot + slot_count <= p_before
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Deletes changes that the read model has and that no kept team is older than.
CREATE OR REPLACE FUNCTION engine.delete_old_availability_changes(p_before timestamptz) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM availability_changes WHERE at < p_before AND xid < engine.folded_snapshot()
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Deletes a portion of the deliveries settled before an instant, with their attempts; locked ones stay for now.
CREATE OR REPLACE FUNCTION engine.delete_settled_deliveries(p_first uuid, p_before timestamptz, p_portion bigint)
    RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM webhook_deliveries
         WHERE delivery_id IN (
            SELECT delivery_id FROM webhook_deliveries
             WHERE delivery_id < p_first AND status <> 'pending' AND coalesce(finished_at, created_at) < p_before
             ORDER BY delivery_id LIMIT p_portion FOR UPDATE SKIP LOCKED)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Deletes a portion of the old changes that are told, have no delivery left, no key, no decision, and are no entry of the audit.
CREATE OR REPLACE FUNCTION engine.delete_settled_events(p_first uuid, p_before timestamptz, p_portion bigint)
    RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM changes
         WHERE change_id IN (
            SELECT change_id FROM changes AS event
             WHERE change_id < p_first AND at < p_before AND told AND key IS NULL AND seq IS NULL AND origin IS NULL
               AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.change_id)
             ORDER BY change_id LIMIT p_portion FOR UPDATE SKIP LOCKED)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Leaves of a portion of such changes the decision, which replay needs for ever, and the entry of the audit.
CREATE OR REPLACE FUNCTION engine.empty_settled_decisions(p_first uuid, p_before timestamptz, p_portion bigint)
    RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        UPDATE changes SET before = CASE WHEN origin IS NOT NULL THEN before END,
                           after = CASE WHEN origin IS NOT NULL THEN engine.without_contact(after) END, details = NULL
         WHERE change_id IN (
            SELECT change_id FROM changes AS event
             WHERE change_id < p_first AND at < p_before AND told AND key IS NULL
               AND (seq IS NOT NULL OR origin IS NOT NULL)
               AND CASE WHEN origin IS NULL THEN (after).appointment_id IS NOT NULL
                        ELSE (after).contact_email IS NOT NULL END
               AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery WHERE delivery.event_id = event.change_id)
             ORDER BY change_id LIMIT p_portion FOR UPDATE SKIP LOCKED)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Deletes a portion of the inbound events processed before an instant; their keys are free again.
CREATE OR REPLACE FUNCTION engine.delete_settled_inbound_events(p_first uuid, p_before timestamptz, p_portion bigint)
    RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM inbound_events
         WHERE event_id IN (
            SELECT event_id FROM inbound_events
             WHERE event_id < p_first AND processed_at < p_before
             ORDER BY event_id LIMIT p_portion FOR UPDATE SKIP LOCKED)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;

-- Forgets a portion of the keys whose time is over, with their answers; how many.
CREATE OR REPLACE FUNCTION engine.forget_expired_keys(p_now timestamptz, p_portion bigint) RETURNS TABLE (n integer)
    LANGUAGE sql SECURITY DEFINER AS $$
    SELECT engine.forget_keys(p_changes => ARRAY(
        SELECT change_id FROM changes WHERE key IS NOT NULL AND key_until <= p_now
         ORDER BY key_until LIMIT p_portion FOR UPDATE SKIP LOCKED), p_now => p_now) AS n
$$;
