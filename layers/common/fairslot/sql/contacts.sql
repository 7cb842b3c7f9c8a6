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

-- name: permit
-- Whether a request of a delivery that names the customer may begin within an interval.
SELECT engine.permit_contact(p_delivery => %(delivery)s, p_for => %(for)s) AS permitted;

-- name: wait
-- The seconds until no request begins any more that names a customer who was forgotten.
SELECT engine.contact_wait(p_tenant => %(tenant)s) AS seconds;

-- name: key
-- The key of the keyed hash of addresses.
SELECT key FROM contact_keys;
