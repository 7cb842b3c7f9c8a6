-- name: calendar_of
-- The calendar of an appointment or a hold of the tenant.
SELECT calendar_id FROM coach_appointments WHERE appointment_id = %(id)s AND tenant_id = %(tenant)s;
