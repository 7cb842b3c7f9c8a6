-- Providers that tell of changes: the channels, and what a notification asks for. Why so: docs/decisions/0148.
-- Locks: a source before its row of calendar_watches.

-- Whether the provider of a source is asked to tell of changes.
CREATE OR REPLACE FUNCTION engine.is_watchable(p_source calendar_sources) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN p_source.kind IN ('google', 'microsoft') AND p_source.reads AND p_source.ended IS NULL;

-- When a provider that gave no good answer is asked again: after 5 minutes, doubling up to 6 hours, give or take a fifth.
CREATE OR REPLACE FUNCTION engine.watch_again(p_attempts integer) RETURNS interval LANGUAGE sql
    RETURN least(300 * 2 ^ least(p_attempts, 7), 21600) * (0.8 + 0.4 * random()) * interval '1 second';

-- Has a channel stopped, with what opens its calendar now.
CREATE OR REPLACE FUNCTION engine.stop_channel(
    p_source calendar_sources, p_channel text, p_resource text, p_expires_at timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO ended_channels (source_id, channel_id, resource_id, expires_at, kind, calendar_ref, credentials)
    SELECT p_source.source_id, p_channel, p_resource, p_expires_at, p_source.kind, p_source.calendar_ref, p_source.credentials
     WHERE p_channel IS NOT NULL
    ON CONFLICT (source_id, channel_id) DO NOTHING
$$;

-- Has the next channel of a source asked for; what the last ones tell, or tell late, does not count. p_due is when, at the
-- earliest.
CREATE OR REPLACE FUNCTION engine.begin_anew(p_source uuid, p_due timestamptz) RETURNS void LANGUAGE sql AS $$
    UPDATE calendar_watches
       SET channel_id = NULL, resource_id = NULL, expires_at = NULL, counts_from = generation + 1, due_at = p_due, attempts = 0,
           error = NULL
     WHERE source_id = p_source;
    UPDATE calendar_sources SET pushed_until = NULL WHERE source_id = p_source AND pushed_until IS NOT NULL
$$;

-- Has a source watched that can be, and no longer where it goes, ends, or is another calendar: its channel is stopped with what
-- opened it.
CREATE OR REPLACE FUNCTION engine.follow_watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_channel calendar_watches;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT * INTO v_channel FROM calendar_watches WHERE source_id = OLD.source_id;
        PERFORM engine.stop_channel(p_source => OLD, p_channel => v_channel.channel_id, p_resource => v_channel.resource_id,
                                    p_expires_at => v_channel.expires_at);
    END IF;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM calendar_watches WHERE source_id = OLD.source_id;
    ELSE
        INSERT INTO calendar_watches (source_id) SELECT NEW.source_id WHERE engine.is_watchable(NEW)
        ON CONFLICT (source_id) DO NOTHING;
        PERFORM engine.begin_anew(p_source => NEW.source_id, p_due => '-infinity');
    END IF;
    RETURN NULL;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'calendar_sources_watched') THEN
        CREATE TRIGGER calendar_sources_watched AFTER INSERT OR DELETE ON calendar_sources
            FOR EACH ROW EXECUTE FUNCTION engine.follow_watch();
        CREATE TRIGGER calendar_sources_watched_anew
            AFTER UPDATE OF kind, calendar_ref, reads, generation, ended ON calendar_sources
            FOR EACH ROW WHEN ((OLD.kind, OLD.calendar_ref, OLD.reads, OLD.generation, OLD.ended)
                               IS DISTINCT FROM (NEW.kind, NEW.calendar_ref, NEW.reads, NEW.generation, NEW.ended))
            EXECUTE FUNCTION engine.follow_watch();
    END IF;
END $$;

-- Claims up to p_most sources whose provider is to be asked for a channel, or to renew theirs. Google renews none: the next
-- one takes its place. A calendar that was never read is not asked for one.
CREATE OR REPLACE FUNCTION engine.claim_watches(p_now timestamptz, p_most integer)
    RETURNS TABLE (action text, source_id uuid, generation integer, kind text, calendar_ref text, credentials text,
                   channel_id text, resource_id text, expires_at timestamptz) LANGUAGE sql SECURITY DEFINER AS $$
    WITH due AS (
        SELECT watch.source_id,
               source.kind = 'microsoft' AND coalesce(watch.expires_at > p_now, false) AS renews
          FROM calendar_watches AS watch JOIN calendar_sources AS source USING (source_id) JOIN coaches AS coach USING (coach_id)
         WHERE watch.due_at <= p_now AND engine.is_watchable(source) AND source.synced_at IS NOT NULL AND coach.active
           AND NOT engine.is_open(p_provider => source.provider, p_now => p_now)
         ORDER BY watch.due_at, watch.source_id LIMIT p_most
           FOR NO KEY UPDATE OF watch SKIP LOCKED)
    UPDATE calendar_watches AS watch
       SET generation = watch.generation + CASE WHEN due.renews THEN 0 ELSE 1 END, asked_at = p_now,
           due_at = p_now + engine.watch_again(watch.attempts), attempts = watch.attempts + 1
      FROM due JOIN calendar_sources AS source USING (source_id)
     WHERE watch.source_id = due.source_id
    RETURNING CASE WHEN due.renews THEN 'renew' ELSE 'watch' END, watch.source_id,
              CASE WHEN due.renews THEN watch.counts_from ELSE watch.generation END, source.kind, source.calendar_ref,
              source.credentials, watch.channel_id, watch.resource_id, watch.expires_at
$$;

-- Claims up to p_most channels that are to be stopped, and forgets those that have ended or could not be stopped.
CREATE OR REPLACE FUNCTION engine.claim_ended_channels(p_now timestamptz, p_most integer) RETURNS SETOF ended_channels
    LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM ended_channels WHERE expires_at <= p_now OR (attempts >= 5 AND due_at <= p_now);
    UPDATE ended_channels SET attempts = attempts + 1, due_at = p_now + engine.watch_again(attempts)
     WHERE (source_id, channel_id) IN (
         SELECT source_id, channel_id FROM ended_channels WHERE due_at <= p_now
          ORDER BY due_at, source_id, channel_id LIMIT p_most FOR UPDATE SKIP LOCKED)
    RETURNING *
$$;

-- Notes that a channel was stopped.
CREATE OR REPLACE FUNCTION engine.note_stopped(p_source uuid, p_channel text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM ended_channels WHERE source_id = p_source AND channel_id = p_channel
$$;

-- Stores that there is a channel, or that the one that is there lasts until p_expires_at; it is renewed after half of that, give
-- or take a twentieth. One that comes late, beside one that is there, is stopped; of a source that is gone it ends by itself.
CREATE OR REPLACE FUNCTION engine.store_channel(
    p_source uuid, p_generation integer, p_channel text, p_resource text, p_expires_at timestamptz, p_now timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_source calendar_sources;
    v_watch  calendar_watches;
BEGIN
    SELECT * INTO v_source FROM calendar_sources WHERE source_id = p_source FOR NO KEY UPDATE;
    SELECT * INTO v_watch FROM calendar_watches WHERE source_id = p_source FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    ELSIF p_generation < v_watch.counts_from
          OR (p_generation = v_watch.counts_from AND v_watch.channel_id <> p_channel) THEN
        PERFORM engine.stop_channel(p_source => v_source, p_channel => p_channel, p_resource => p_resource,
                                    p_expires_at => p_expires_at);
        RETURN;
    ELSIF v_watch.channel_id <> p_channel THEN
        PERFORM engine.stop_channel(p_source => v_source, p_channel => v_watch.channel_id, p_resource => v_watch.resource_id,
                                    p_expires_at => v_watch.expires_at);
    END IF;
    UPDATE calendar_watches
       SET channel_id = p_channel, resource_id = p_resource, expires_at = p_expires_at, counts_from = p_generation, attempts = 0,
           error = NULL, due_at = p_now + (p_expires_at - p_now) * (0.45 + 0.1 * random())
     WHERE source_id = p_source;
    UPDATE calendar_sources SET pushed_until = p_expires_at WHERE source_id = p_source;
END $$;

-- Notes that a provider gave no channel, or did not renew the one that is there: it is asked again later, after p_after seconds
-- at the earliest. Where the channel to renew is gone, p_gone, another one is asked for at once.
CREATE OR REPLACE FUNCTION engine.note_watch_failed(
    p_source uuid, p_generation integer, p_channel text, p_error text, p_after double precision, p_gone boolean,
    p_now timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM FROM calendar_sources WHERE source_id = p_source FOR NO KEY UPDATE;
    UPDATE calendar_watches
       SET error = p_error, due_at = greatest(due_at, p_now + p_after * interval '1 second')
     WHERE source_id = p_source AND p_generation BETWEEN counts_from AND generation;
    IF p_gone AND EXISTS (SELECT FROM calendar_watches WHERE source_id = p_source AND channel_id = p_channel) THEN
        PERFORM engine.begin_anew(p_source => p_source, p_due => p_now);
    END IF;
END $$;

-- Does what a provider's notification asks for, if it is one of a channel that counts: changed: the source is read; renew: the
-- channel is renewed soon; removed: another one is asked for, and the source is read. A channel is asked for once a minute at
-- most. Returns the sources to read.
CREATE OR REPLACE FUNCTION engine.note_notification(
    p_source uuid, p_generation integer, p_task text, p_now timestamptz, p_pause interval
) RETURNS SETOF calendar_sources LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_due timestamptz;
BEGIN
    SELECT greatest(p_now, asked_at + interval '1 minute') INTO v_due FROM calendar_watches
     WHERE source_id = p_source AND p_generation BETWEEN counts_from AND generation;
    IF NOT FOUND THEN
        RETURN;
    ELSIF p_task = 'renew' THEN
        UPDATE calendar_watches SET due_at = least(due_at, v_due) WHERE source_id = p_source;
        RETURN;
    ELSIF p_task = 'removed' THEN
        PERFORM FROM calendar_sources WHERE source_id = p_source FOR NO KEY UPDATE;
        PERFORM engine.begin_anew(p_source => p_source, p_due => v_due);
    END IF;
    RETURN QUERY SELECT * FROM engine.request_readings(p_sources => ARRAY[p_source], p_now => p_now, p_pause => p_pause);
END $$;
