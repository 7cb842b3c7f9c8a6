-- Who answers HTTP gives up on the database after 5.5 s (0046): the server has to be done with it before, or soon after.
--
-- lock_timeout, 5 s: the server says so itself that a lock was not to be had, and the caller knows that nothing was done.
--   Still longer than idle_in_transaction_session_timeout (4 s).
-- client_connection_check_interval, 1 s: what runs or waits for a client that has gone is cancelled.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''5s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET client_connection_check_interval = ''1s''', current_database());
END $$;
