-- What release 0.1.0 calls, until the release after this one: its code runs on while a release is rolled out. What it does is
-- done for no request, and is not in the audit. A procedure with fewer arguments is another one: see 18_commits.sql.

-- commit_book(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_book(
    p_tenant text, p_calendar text, p_start timestamptz, p_contact_name text, p_contact_email text, p_notes text,
    p_timezone text, p_metadata jsonb, p_hold uuid, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz,
    INOUT done jsonb, p_requires text[] DEFAULT NULL
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_book(p_tenant => p_tenant, p_calendar => p_calendar, p_start => p_start,
                            p_contact_name => p_contact_name, p_contact_email => p_contact_email, p_notes => p_notes,
                            p_timezone => p_timezone, p_metadata => p_metadata, p_hold => p_hold, p_key => p_key,
                            p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => p_now,
                            p_requires => p_requires, p_origin => NULL, done => done);
END $$;

-- commit_cancel(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_cancel(
    p_tenant text, p_appointment uuid, p_cancelled_by text, p_reason text, p_key text, p_fingerprint bytea,
    p_keep_for interval, p_now timestamptz, INOUT done jsonb
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_cancel(p_tenant => p_tenant, p_appointment => p_appointment, p_cancelled_by => p_cancelled_by,
                              p_reason => p_reason, p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for,
                              p_now => p_now, p_origin => NULL, done => done);
END $$;

-- commit_reschedule(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_reschedule(
    p_tenant text, p_appointment uuid, p_start timestamptz, p_any_coach boolean, p_key text, p_fingerprint bytea,
    p_keep_for interval, p_now timestamptz, INOUT done jsonb
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_reschedule(p_tenant => p_tenant, p_appointment => p_appointment, p_start => p_start,
                                  p_any_coach => p_any_coach, p_key => p_key, p_fingerprint => p_fingerprint,
                                  p_keep_for => p_keep_for, p_now => p_now, p_origin => NULL, done => done);
END $$;

-- commit_reassign(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_reassign(
    p_tenant text, p_appointment uuid, p_coach text, p_reason text, p_key text, p_fingerprint bytea, p_keep_for interval,
    p_now timestamptz, INOUT done jsonb
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_reassign(p_tenant => p_tenant, p_appointment => p_appointment, p_coach => p_coach,
                                p_reason => p_reason, p_key => p_key, p_fingerprint => p_fingerprint,
                                p_keep_for => p_keep_for, p_now => p_now, p_origin => NULL, done => done);
END $$;

-- commit_report_outcome(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_report_outcome(
    p_tenant text, p_appointment uuid, p_outcome text, p_key text, p_fingerprint bytea, p_keep_for interval,
    p_now timestamptz, INOUT done jsonb
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_report_outcome(p_tenant => p_tenant, p_appointment => p_appointment, p_outcome => p_outcome,
                                      p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for,
                                      p_now => p_now, p_origin => NULL, done => done);
END $$;

-- commit_hold(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_hold(
    p_tenant text, p_client text, p_limit integer, p_calendar text, p_start timestamptz, p_duration interval,
    p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, INOUT done jsonb,
    p_requires text[] DEFAULT NULL
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_hold(p_tenant => p_tenant, p_client => p_client, p_limit => p_limit, p_calendar => p_calendar,
                            p_start => p_start, p_duration => p_duration, p_key => p_key, p_fingerprint => p_fingerprint,
                            p_keep_for => p_keep_for, p_now => p_now, p_requires => p_requires, p_origin => NULL,
                            done => done);
END $$;

-- commit_release_hold(), for no request.
CREATE OR REPLACE PROCEDURE engine.commit_release_hold(
    p_tenant text, p_hold uuid, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, INOUT done jsonb
) LANGUAGE plpgsql AS $$
BEGIN
    CALL engine.commit_release_hold(p_tenant => p_tenant, p_hold => p_hold, p_key => p_key, p_fingerprint => p_fingerprint,
                                    p_keep_for => p_keep_for, p_now => p_now, p_origin => NULL, done => done);
END $$;
