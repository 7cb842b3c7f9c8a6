-- Audit: who changed what. docs/decisions/0117.

-- Says until the end of the transaction for which request its changes are made: JSON, see audit_entries; null: for none. In a
-- function, as RDS Proxy pins a session whose statements set something themselves.
CREATE OR REPLACE FUNCTION engine.act_for(p_origin text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM set_config('fairslot.origin', p_origin, true);
END $$;

-- Writes entries, [{"resource", "resource_id", "action", "before", "after"}], for the request that the transaction acts for.
CREATE OR REPLACE FUNCTION engine.write_audit(p_tenant text, p_entries jsonb, p_now timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO audit_entries (tenant_id, at, origin, resource, resource_id, action, before, after)
    SELECT p_tenant, coalesce(p_now, clock_timestamp()), nullif(current_setting('fairslot.origin', true), '')::jsonb,
           one ->> 'resource', one ->> 'resource_id', one ->> 'action', nullif(one -> 'before', 'null'),
           nullif(one -> 'after', 'null')
      FROM jsonb_array_elements(p_entries) AS one
$$;

-- An appointment or a hold as the audit shows it: by reference, without its customer.
CREATE OR REPLACE FUNCTION engine.audited_appointment(a appointment_image) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object('calendar_id', a.calendar_id, 'coach_id', a.coach_id, 'start_time', engine.zulu(a.start_time),
                              'end_time', engine.zulu(a.end_time), 'status', a.status, 'version', a.version);

-- The audit: its own entries and, in one order with them, the changes of appointments and holds by requests.
CREATE OR REPLACE VIEW audit AS
SELECT entry_id, tenant_id, at, origin, resource, resource_id, action, before, after
  FROM audit_entries
UNION ALL
SELECT c.change_id, c.tenant_id, c.at, c.origin, split_part(c.type, '.', 1), c.appointment_id::text,
       split_part(c.type, '.', 2),
       CASE WHEN (c.before).coach_id IS NOT NULL
            THEN jsonb_build_object('coach_id', (c.before).coach_id, 'start_time', engine.zulu((c.before).start_time),
                                    'end_time', engine.zulu((c.before).end_time)) END,
       engine.audited_appointment(c.after)
  FROM changes AS c
 WHERE c.origin IS NOT NULL;

-- Refuses to change or delete entries of the audit, except for what forgets a customer, what ends their retention, and what
-- deletes a calendar without appointments with its decisions. The outermost function of the call stack says which it is, its
-- last line: a setting could be set by anybody, and the lines before can quote what a statement says.
CREATE OR REPLACE FUNCTION engine.keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_stack text;
BEGIN
    GET DIAGNOSTICS v_stack = PG_CONTEXT;
    IF TG_OP = 'TRUNCATE'
       OR split_part(v_stack, E'\n', -1) !~ '^PL/pgSQL function engine\.(forget_contact|expire_audit|keep_booked)\(' THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME,
            MESSAGE = 'entries of the audit are neither changed nor deleted';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

-- Ends the retention of up to a portion each of entries and of changes from before an instant; returns how many entries of
-- the audit that were. p_first is the id that this instant begins with, by which the key finds what is old. Of a change of an
-- appointment the decision stays.
CREATE OR REPLACE FUNCTION engine.expire_audit(p_first uuid, p_before timestamptz, p_portion integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_deleted integer;
    v_changed integer;
BEGIN
    DELETE FROM audit_entries
     WHERE entry_id IN (SELECT entry_id FROM audit_entries WHERE entry_id < p_first AND at < p_before
                         ORDER BY entry_id LIMIT p_portion FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    UPDATE changes SET origin = NULL
     WHERE change_id IN (SELECT change_id FROM changes WHERE change_id < p_first AND at < p_before AND origin IS NOT NULL
                          ORDER BY change_id LIMIT p_portion FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    RETURN v_deleted + v_changed;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'audit_kept') THEN
        CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit_entries
            FOR EACH ROW EXECUTE FUNCTION engine.keep_audit();
        CREATE TRIGGER audit_kept_whole BEFORE TRUNCATE ON audit_entries
            FOR EACH STATEMENT EXECUTE FUNCTION engine.keep_audit();
        CREATE TRIGGER changes_kept BEFORE DELETE ON changes
            FOR EACH ROW WHEN (OLD.origin IS NOT NULL) EXECUTE FUNCTION engine.keep_audit();
        CREATE TRIGGER changes_unchanged BEFORE UPDATE ON changes
            FOR EACH ROW WHEN (OLD.origin IS NOT NULL AND (
                OLD.origin, OLD.change_id, OLD.tenant_id, OLD.at, OLD.type, OLD.appointment_id, OLD.version,
                (OLD.before).coach_id, (OLD.before).start_time, (OLD.before).end_time,
                (OLD.after).calendar_id, (OLD.after).coach_id, (OLD.after).start_time, (OLD.after).end_time,
                (OLD.after).status) IS DISTINCT FROM (
                NEW.origin, NEW.change_id, NEW.tenant_id, NEW.at, NEW.type, NEW.appointment_id, NEW.version,
                (NEW.before).coach_id, (NEW.before).start_time, (NEW.before).end_time,
                (NEW.after).calendar_id, (NEW.after).coach_id, (NEW.after).start_time, (NEW.after).end_time,
                (NEW.after).status)) EXECUTE FUNCTION engine.keep_audit();
        CREATE TRIGGER changes_kept_whole BEFORE TRUNCATE ON changes
            FOR EACH STATEMENT EXECUTE FUNCTION engine.keep_audit();
    END IF;
END $$;
