-- name: coming
-- The scheduled appointments to come of a customer, in order.
SELECT appointment_id, calendar_id, coach_id, engine.zulu(start_time) AS start_time, engine.zulu(end_time) AS end_time
  FROM engine.contact_appointments(p_tenant => %(tenant)s, p_email => %(email)s,
                                   p_now => coalesce(%(now)s, clock_timestamp()));

-- name: forget
-- Forgets a portion of a customer's appointments; how many, and how many texts were changed.
SELECT appointments, texts
  FROM engine.forget_contact(p_tenant => %(tenant)s, p_email => %(email)s, p_portion => %(portion)s,
                             p_now => coalesce(%(now)s, clock_timestamp()));

-- name: key
-- The key of the keyed hash of addresses.
SELECT key FROM contact_keys;
