-- The role of everything but the migrations: it calls the functions of `engine` and reads. Functions that are called from
-- outside and write are SECURITY DEFINER: they write as the owner. See docs/decisions/0127.

-- Roles belong to the server. Another database's migrations may make it at this moment, and an owner who may make no role
-- goes on as the only one.
DO $$ BEGIN
    IF to_regrole('fairslot_app') IS NULL THEN
        CREATE ROLE fairslot_app LOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'there is no role fairslot_app, and % may make none: everything connects as %', current_user, current_user;
END $$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA engine FROM PUBLIC;

DO $$ BEGIN
    -- Whoever could make a table of the same name, a temporary one too, would have the owner write to it.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    IF to_regrole('fairslot_app') IS NULL THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA public, engine TO fairslot_app;
    GRANT EXECUTE ON ALL ROUTINES IN SCHEMA engine TO fairslot_app;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO fairslot_app;
    -- On RDS: it is let in by a token of IAM, and by nothing else.
    IF to_regrole('rds_iam') IS NOT NULL AND NOT pg_has_role('fairslot_app', 'rds_iam', 'MEMBER') THEN
        GRANT rds_iam TO fairslot_app;
    END IF;
END $$;
