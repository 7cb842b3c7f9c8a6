-- Forgetting a customer: docs/decisions/0118.

-- What is on record of an appointment, without its customer.
CREATE OR REPLACE FUNCTION engine.without_contact(a appointment_image) RETURNS appointment_image LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    a.contact_name := NULL;
    a.contact_email := NULL;
    a.notes := NULL;
    a.timezone := NULL;
    a.metadata := CASE WHEN a.metadata IS NOT NULL THEN '{}'::json END;
    a.crm_contact_id := NULL;
    RETURN a;
END $$;

-- An answer stored for a key, an appointment or a delivery, without the customer.
CREATE OR REPLACE FUNCTION engine.answer_without_contact(p_answer jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN p_answer ? 'contact_email' THEN
            p_answer || '{"contact_name": null, "contact_email": null, "notes": null, "timezone": null, "metadata": "{}",
                          "crm_contact_id": null}'
        WHEN p_answer ? 'attempts' THEN
            jsonb_set(p_answer, '{attempts}', (
                SELECT coalesce(jsonb_agg(one || '{"response_excerpt": null}'), '[]')
                  FROM jsonb_array_elements(p_answer -> 'attempts') AS one))
        ELSE p_answer END;

-- Whether a delivery is about an appointment whose customer was forgotten.
CREATE OR REPLACE FUNCTION engine.is_forgotten(p_delivery uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM webhook_deliveries AS delivery
                     JOIN changes AS event ON event.change_id = delivery.event_id
                     JOIN coach_appointments AS a ON a.appointment_id = event.appointment_id
                    WHERE delivery.delivery_id = p_delivery AND a.forgotten_at IS NOT NULL)
$$;

-- Whether a request of a delivery that names the customer may begin within p_for: not once the customer is forgotten. It is
-- noted until when, for contact_wait().
CREATE OR REPLACE FUNCTION engine.permit_contact(p_delivery uuid, p_for interval) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- Whoever forgets has the lock until that is committed.
    PERFORM FROM webhook_deliveries WHERE delivery_id = p_delivery FOR NO KEY UPDATE;
    IF NOT FOUND OR engine.is_forgotten(p_delivery) THEN
        RETURN false;
    END IF;
    UPDATE webhook_deliveries SET contact_until = clock_timestamp() + p_for WHERE delivery_id = p_delivery;
    RETURN true;
END $$;

-- The seconds until no request begins any more that names a customer whom the tenant has forgotten lately; null: none does.
CREATE OR REPLACE FUNCTION engine.contact_wait(p_tenant text) RETURNS double precision LANGUAGE sql SECURITY DEFINER AS $$
    SELECT extract(epoch FROM max(delivery.contact_until) - clock_timestamp())
      FROM coach_appointments AS a
      JOIN changes AS event ON event.appointment_id = a.appointment_id
      JOIN webhook_deliveries AS delivery ON delivery.event_id = event.change_id
     WHERE a.tenant_id = p_tenant AND a.forgotten_at > clock_timestamp() - interval '1 minute'
       AND delivery.contact_until > clock_timestamp()
$$;

-- The scheduled appointments to come of a customer.
CREATE OR REPLACE FUNCTION engine.contact_appointments(p_tenant text, p_email text, p_now timestamptz)
    RETURNS SETOF coach_appointments LANGUAGE sql STABLE AS $$
    SELECT * FROM coach_appointments
     WHERE tenant_id = p_tenant AND lower(contact_email) = lower(p_email) AND status = 'scheduled' AND start_time > p_now
     ORDER BY start_time, appointment_id
$$;

-- Takes an address out of the audit, where people wrote it into a name or a description; returns of how many entries.
CREATE OR REPLACE FUNCTION engine.forget_in_audit(p_tenant text, p_email text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_rows    integer;
    v_pattern text := regexp_replace(p_email, '([^[:alnum:]])', '\\\1', 'g');
BEGIN
    UPDATE audit_entries
       SET before = regexp_replace(before::text, v_pattern, 'forgotten', 'gi')::jsonb,
           after = regexp_replace(after::text, v_pattern, 'forgotten', 'gi')::jsonb
     WHERE tenant_id = p_tenant AND resource <> 'coach'
       AND strpos(lower(concat(before, after)), lower(p_email)) > 0;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;

-- Takes an address out of what people and partners sent as free text: inbound events, and reasons of absences
-- and adjustments; returns of how many.
CREATE OR REPLACE FUNCTION engine.forget_in_texts(p_tenant text, p_email text, p_appointments text[]) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    v_events      integer;
    v_absences    integer;
    v_adjustments integer;
BEGIN
    -- Who it is about and what it says stay: without them an event that is not processed yet could not be.
    UPDATE inbound_events
       SET body = (SELECT coalesce(jsonb_object_agg(member.key, member.value), '{}') FROM jsonb_each(body) AS member
                    WHERE member.key IN ('event_type', 'appointment_id', 'coach_id', 'start_time', 'end_time')
                      AND strpos(lower(member.value::text), lower(p_email)) = 0)
     WHERE tenant_id = p_tenant
       AND (body ->> 'appointment_id' = ANY (p_appointments) OR strpos(lower(body::text), lower(p_email)) > 0);
    GET DIAGNOSTICS v_events = ROW_COUNT;
    UPDATE coach_absences AS absence SET reason = NULL
      FROM coaches AS coach
     WHERE coach.coach_id = absence.coach_id AND coach.tenant_id = p_tenant
       AND strpos(lower(absence.reason), lower(p_email)) > 0;
    GET DIAGNOSTICS v_absences = ROW_COUNT;
    UPDATE changes SET details = details || '{"reason": "forgotten"}'
     WHERE tenant_id = p_tenant AND type IN ('credit.adjusted', 'credit.settled')
       AND strpos(lower(details ->> 'reason'), lower(p_email)) > 0;
    GET DIAGNOSTICS v_adjustments = ROW_COUNT;
    RETURN v_events + v_absences + v_adjustments;
END $$;

-- Forgets a portion of a customer's appointments, all but scheduled ones to come, with all that hangs on them; returns how
-- many, and how many free texts were changed. What is kept: when, with whom, how it ended, and the decisions. What the CRM has
-- not heard of by then it does not hear, whatever is on the queue: see permit_contact().
CREATE OR REPLACE FUNCTION engine.forget_contact(p_tenant text, p_email text, p_portion integer, p_now timestamptz,
                                                 OUT appointments integer, OUT texts integer)
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ids        uuid[] := ARRAY(
        SELECT appointment_id FROM coach_appointments
         WHERE tenant_id = p_tenant AND lower(contact_email) = lower(p_email)
           AND NOT (status = 'scheduled' AND start_time > p_now)
         ORDER BY appointment_id LIMIT p_portion);
    v_deliveries uuid[];
BEGIN
    -- First, as whoever records an attempt locks the delivery first too.
    PERFORM FROM webhook_deliveries
      WHERE event_id IN (SELECT change_id FROM changes WHERE appointment_id = ANY (v_ids))
      ORDER BY delivery_id FOR NO KEY UPDATE;
    UPDATE coach_appointments
       SET contact_name = NULL, contact_email = NULL, notes = NULL, timezone = NULL, metadata = '{}', crm_contact_id = NULL,
           cancel_reason = NULL, forgotten_at = clock_timestamp()
     WHERE appointment_id = ANY (v_ids);
    -- Waits for whoever makes deliveries of these changes, so that those are found below.
    UPDATE changes
       SET after = engine.without_contact(after), details = details - 'reason', answer = engine.answer_without_contact(answer)
     WHERE appointment_id = ANY (v_ids);
    UPDATE changes SET answer = engine.answer_without_contact(answer)
     WHERE tenant_id = p_tenant AND key IS NOT NULL AND type = 'answer'
       AND answer ->> 'appointment_id' = ANY (v_ids::text[]);
    v_deliveries := ARRAY(
        SELECT delivery.delivery_id
          FROM webhook_deliveries AS delivery
          JOIN changes AS event ON event.change_id = delivery.event_id
         WHERE event.appointment_id = ANY (v_ids)
         ORDER BY delivery.delivery_id FOR NO KEY UPDATE OF delivery);
    UPDATE webhook_deliveries AS delivery
       SET status = 'cancelled', reason = 'contact_forgotten', finished_at = p_now, next_attempt_at = NULL
      FROM webhook_endpoints AS endpoint, changes AS event
     WHERE delivery.delivery_id = ANY (v_deliveries) AND delivery.status IN ('pending', 'failed')
       AND endpoint.endpoint_id = delivery.endpoint_id AND event.change_id = delivery.event_id
       AND engine.carries_contact(p_kind => endpoint.kind, p_type => event.type);
    UPDATE webhook_attempts SET response_excerpt = NULL
     WHERE delivery_id = ANY (v_deliveries) AND response_excerpt IS NOT NULL;
    appointments := cardinality(v_ids);
    texts := engine.forget_in_texts(p_tenant => p_tenant, p_email => p_email, p_appointments => v_ids::text[])
             + engine.forget_in_audit(p_tenant => p_tenant, p_email => p_email);
END $$;
