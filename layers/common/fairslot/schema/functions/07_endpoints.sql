-- Webhook endpoints and their health.

-- An endpoint as the API shows it, without its secrets.
CREATE OR REPLACE FUNCTION engine.endpoint_json(e webhook_endpoints) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'endpoint_id', e.endpoint_id, 'kind', e.kind, 'url', e.url, 'event_types', e.event_types,
        'description', e.description, 'headers', e.headers, 'concurrency', e.concurrency,
        'rate_per_second', e.rate_per_second, 'enabled', e.enabled, 'disabled_reason', e.disabled_reason,
        'disabled_at', engine.zulu(e.disabled_at), 'failing_since', engine.zulu(e.failing_since),
        'previous_secret_until', engine.earlier_until(e.older_secrets) -> 0,
        'previous_secrets_until', engine.earlier_until(e.older_secrets),
        'created_at', engine.zulu(e.created_at), 'updated_at', engine.zulu(e.updated_at));

-- Turns an endpoint off; the tenant's other subscribers are told why.
CREATE OR REPLACE FUNCTION engine.disable_endpoint(e webhook_endpoints, p_reason text, p_at timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_endpoints SET enabled = false, disabled_reason = p_reason, disabled_at = p_at, updated_at = p_at
     WHERE endpoint_id = e.endpoint_id;
    PERFORM engine.record_change(p_tenant => e.tenant_id, p_type => 'endpoint.disabled', p_details => jsonb_build_object(
        'endpoint_id', e.endpoint_id, 'kind', e.kind, 'description', e.description, 'reason', p_reason,
        'failing_since', engine.zulu(e.failing_since), 'disabled_at', engine.zulu(p_at)));
END $$;

-- Sends an endpoint of the tenant a test event, whatever it subscribes to; returns its message for the queue. Raises FS404.
CREATE OR REPLACE FUNCTION engine.send_test(p_tenant text, p_endpoint uuid) RETURNS jsonb LANGUAGE plpgsql
    SECURITY DEFINER AS $$
DECLARE
    v_event uuid := uuidv7();
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints WHERE endpoint_id = p_endpoint AND tenant_id = p_tenant) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'endpoint';
    END IF;
    PERFORM engine.record_change(p_tenant => p_tenant, p_type => 'endpoint.test', p_change => v_event,
                                 p_details => jsonb_build_object('endpoint_id', p_endpoint));
    RETURN (SELECT (messages -> 0)::jsonb
              FROM engine.make_deliveries(p_limit => 1, p_only => v_event, p_alone => false));
END $$;

-- Updates an endpoint's health by an attempt; returns whether there is something to tell. After p_warn_after of failures alone
-- the tenant is warned, after p_disable_after the endpoint is turned off, no sooner after the warning than the two are
-- apart. 410 turns a subscriber off at once; from a partner, whom all tenants share, it is a failed attempt. Failures
-- of our own, attempts that were not made, and attempts from before the endpoint was last turned on do not count.
CREATE OR REPLACE FUNCTION engine.update_endpoint_health(
    p_endpoint uuid, p_at timestamptz, p_outcome text, p_error text,
    p_warn_after interval, p_disable_after interval
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_gone  boolean := p_outcome = 'failed' AND p_error = 'http_410';
    v_grace interval := p_disable_after - p_warn_after;
    e       webhook_endpoints;
BEGIN
    IF p_outcome = 'delivered' THEN
        UPDATE webhook_endpoints SET failing_since = NULL, warned_at = NULL
         WHERE endpoint_id = p_endpoint AND failing_since <= p_at;
        RETURN false;
    ELSIF p_error IN ('already_blocked', 'invalid_message', 'unknown_kind', 'internal',
                      'circuit_open', 'over_limit', 'secret_unavailable') THEN
        RETURN false;
    END IF;
    -- Most failures change nothing here, and must not wait for a lock.
    PERFORM FROM webhook_endpoints
      WHERE endpoint_id = p_endpoint AND enabled
        AND (v_gone OR failing_since IS NULL OR failing_since <= p_at - p_warn_after);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT * INTO e FROM webhook_endpoints WHERE endpoint_id = p_endpoint AND enabled FOR NO KEY UPDATE;
    IF NOT FOUND OR p_at < e.enabled_at THEN
        RETURN false;
    ELSIF v_gone AND e.kind = 'standard' THEN
        PERFORM engine.disable_endpoint(e => e, p_reason => 'gone', p_at => p_at);
        RETURN true;
    ELSIF e.failing_since IS NULL THEN
        UPDATE webhook_endpoints SET failing_since = p_at WHERE endpoint_id = p_endpoint;
    ELSIF e.warned_at IS NULL AND e.failing_since <= p_at - p_warn_after THEN
        UPDATE webhook_endpoints SET warned_at = p_at WHERE endpoint_id = p_endpoint;
        PERFORM engine.record_change(p_tenant => e.tenant_id, p_type => 'endpoint.failing', p_details => jsonb_build_object(
            'endpoint_id', e.endpoint_id, 'kind', e.kind, 'description', e.description,
            'failing_since', engine.zulu(e.failing_since),
            'disabled_after', engine.zulu(greatest(e.failing_since + p_disable_after, p_at + v_grace))));
        RETURN true;
    ELSIF e.failing_since <= p_at - p_disable_after AND e.warned_at <= p_at - v_grace THEN
        PERFORM engine.disable_endpoint(e => e, p_reason => 'failing', p_at => p_at);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Counts an endpoint's changes that concern its messages or whether it gets any, whoever makes them.
CREATE OR REPLACE FUNCTION engine.note_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    IF NEW.enabled AND NOT OLD.enabled THEN
        NEW.enabled_at := NEW.updated_at;
    END IF;
    RETURN NEW;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'webhook_endpoints_revision') THEN
        CREATE TRIGGER webhook_endpoints_revision BEFORE UPDATE ON webhook_endpoints
            FOR EACH ROW WHEN (
                (OLD.url, OLD.headers, OLD.secret, OLD.older_secrets, OLD.concurrency, OLD.rate_per_second, OLD.enabled,
                 OLD.deleted_at)
                IS DISTINCT FROM
                (NEW.url, NEW.headers, NEW.secret, NEW.older_secrets, NEW.concurrency, NEW.rate_per_second, NEW.enabled,
                 NEW.deleted_at))
            EXECUTE FUNCTION engine.note_revision();
    END IF;
END $$;

-- Reports, once per outage, external calendars that could not be read since p_before. A reading that succeeds ends the
-- outage.
CREATE OR REPLACE FUNCTION engine.notify_stale_calendars(p_before timestamptz, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_one record;
BEGIN
    FOR v_one IN
        SELECT sync.*, coach.tenant_id FROM coach_syncs AS sync JOIN coaches AS coach USING (coach_id)
         WHERE coach.active AND coach.calendar_kind <> 'none'
           AND coalesce(sync.synced_at, sync.first_requested_at) < p_before
           AND (sync.stale_told_at IS NULL OR sync.stale_told_at < sync.synced_at)
         ORDER BY coach_id LIMIT 500 FOR NO KEY UPDATE OF sync SKIP LOCKED
    LOOP
        UPDATE coach_syncs SET stale_told_at = p_now WHERE coach_id = v_one.coach_id;
        PERFORM engine.record_change(
            p_tenant => v_one.tenant_id, p_type => 'calendar.stale', p_details => jsonb_build_object(
            'coach_id', v_one.coach_id, 'synced_at', engine.zulu(v_one.synced_at), 'error', v_one.error,
            'calendar_ids', (SELECT coalesce(jsonb_agg(calendar_id ORDER BY calendar_id), '[]')
                               FROM coach_calendars WHERE coach_id = v_one.coach_id)));
    END LOOP;
END $$;
