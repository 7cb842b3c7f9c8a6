-- What booking, holding and changing promise, kept to the letter.

-- What moved credits without a booking: the reversals, which the bound of the deviations counts, and the leavers.
CREATE INDEX distribution_log_undone ON distribution_log (calendar_id, decided_at) WHERE kind <> 'assigned';
