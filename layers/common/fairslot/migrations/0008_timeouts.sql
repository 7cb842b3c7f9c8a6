-- How long anybody may keep others waiting. They belong to the database, as RDS Proxy refuses connection options and
-- pins a session on SET; sessions that are open already go on without. Each is longer than the one before:
--
-- idle_in_transaction_session_timeout, 4 s: a client that was frozen or cut off inside a transaction loses it, and its
--   locks with it. Ours are idle there only while the sweep hands 100 messages to the queue, in ten calls of 10 to 20 ms.
-- lock_timeout, 6 s: longer than that, so that who waits for a frozen client's locks goes on and is not refused.
--   A booking holds its calendar for a few milliseconds, so that a live queue of a thousand fits too.
-- statement_timeout, 8 s: the HTTP functions have 10 s; a statement whose caller has given up must not go on alone.
-- transaction_timeout, 20 s: the sum of several statements, whatever each of them does.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''4s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''6s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''8s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET transaction_timeout = ''20s''', current_database());
END $$;
