-- Changes under a calendar's lock, committed without waiting for the disk under it: docs/decisions/0098.
--
-- Each is called alone, outside a transaction. Its commit does not wait, so the lock is free at once for the next
-- booking; the caller gets the answer only after all that was written before it is on the disk, which includes a change
-- that the answer repeats. `done` is what the function of the same name returns; it raises what that function raises.
-- p_origin is the request that it is done for: see act_for().
-- Functions are called by assigning what they return: PERFORM starts a query for it.

-- Waits until all that was written to the log is on the disk, a commit before it included: an empty record comes after that,
-- and a log is flushed in its order. A procedure that did the commit too would be a call more, with a transaction's memory of
-- its own.
CREATE OR REPLACE FUNCTION engine.flush_log() RETURNS pg_lsn LANGUAGE sql
    RETURN pg_logical_emit_message(false, 'fairslot', '', true);

-- book(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_book(
    p_tenant text, p_calendar text, p_start timestamptz, p_contact_name text, p_contact_email text, p_notes text,
    p_timezone text, p_metadata jsonb, p_hold uuid, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz,
    p_requires text[], p_origin text, INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.book(p_tenant => p_tenant, p_calendar => p_calendar, p_start => p_start, p_contact_name => p_contact_name,
                        p_contact_email => p_contact_email, p_notes => p_notes, p_timezone => p_timezone,
                        p_metadata => p_metadata, p_hold => p_hold, p_key => p_key, p_fingerprint => p_fingerprint,
                        p_keep_for => p_keep_for, p_now => p_now, p_requires => p_requires);
    COMMIT;
    v_end := engine.flush_log();
END $$;

-- cancel(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_cancel(
    p_tenant text, p_appointment uuid, p_cancelled_by text, p_reason text, p_key text, p_fingerprint bytea,
    p_keep_for interval, p_now timestamptz, p_origin text, INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.cancel(p_tenant => p_tenant, p_appointment => p_appointment, p_cancelled_by => p_cancelled_by,
                          p_reason => p_reason, p_key => p_key, p_fingerprint => p_fingerprint,
                          p_keep_for => p_keep_for, p_now => p_now);
    COMMIT;
    v_end := engine.flush_log();
END $$;

-- reschedule(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_reschedule(
    p_tenant text, p_appointment uuid, p_start timestamptz, p_any_coach boolean, p_key text, p_fingerprint bytea,
    p_keep_for interval, p_now timestamptz, p_origin text, INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.reschedule(p_tenant => p_tenant, p_appointment => p_appointment, p_start => p_start,
                              p_any_coach => p_any_coach, p_key => p_key, p_fingerprint => p_fingerprint,
                              p_keep_for => p_keep_for, p_now => p_now);
    COMMIT;
    v_end := engine.flush_log();
END $$;

-- reassign(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_reassign(
    p_tenant text, p_appointment uuid, p_coach text, p_reason text, p_key text, p_fingerprint bytea, p_keep_for interval,
    p_now timestamptz, p_origin text, INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.reassign(p_tenant => p_tenant, p_appointment => p_appointment, p_coach => p_coach,
                            p_reason => p_reason, p_key => p_key, p_fingerprint => p_fingerprint,
                            p_keep_for => p_keep_for, p_now => p_now);
    COMMIT;
    v_end := engine.flush_log();
END $$;

-- report_outcome(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_report_outcome(
    p_tenant text, p_appointment uuid, p_outcome text, p_key text, p_fingerprint bytea, p_keep_for interval,
    p_now timestamptz, p_origin text, INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.report_outcome(p_tenant => p_tenant, p_appointment => p_appointment, p_outcome => p_outcome,
                                  p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for,
                                  p_now => p_now);
    COMMIT;
    v_end := engine.flush_log();
END $$;

-- hold(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_hold(
    p_tenant text, p_client text, p_limit integer, p_calendar text, p_start timestamptz, p_duration interval,
    p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, p_requires text[], p_origin text,
    INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.hold(p_tenant => p_tenant, p_client => p_client, p_limit => p_limit, p_calendar => p_calendar,
                        p_start => p_start, p_duration => p_duration, p_key => p_key, p_fingerprint => p_fingerprint,
                        p_keep_for => p_keep_for, p_now => p_now, p_requires => p_requires);
    COMMIT;
    v_end := engine.flush_log();
END $$;

-- release_hold(), committed.
CREATE OR REPLACE PROCEDURE engine.commit_release_hold(
    p_tenant text, p_hold uuid, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, p_origin text,
    INOUT done jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits text := set_config('synchronous_commit', 'off', true);
    v_for   text := set_config('fairslot.origin', p_origin, true);
    v_end   pg_lsn;
BEGIN
    done := engine.release_hold(p_tenant => p_tenant, p_hold => p_hold, p_key => p_key, p_fingerprint => p_fingerprint,
                                p_keep_for => p_keep_for, p_now => p_now);
    COMMIT;
    v_end := engine.flush_log();
END $$;
