-- name: due
-- Claims the sources whose provider is to be asked for a channel, or to renew theirs.
SELECT action, source_id, generation, kind, calendar_ref, credentials, channel_id, resource_id, expires_at
  FROM engine.claim_watches(p_now => %(now)s, p_most => %(most)s);

-- name: ended
-- Claims the channels that are to be stopped.
SELECT 'stop' AS action, source_id, 0 AS generation, kind, calendar_ref, credentials, channel_id, resource_id, expires_at
  FROM engine.claim_ended_channels(p_now => %(now)s, p_most => %(most)s);

-- name: store
-- Stores that there is a channel, or how long the one that is there lasts.
SELECT engine.store_channel(p_source => %(source)s, p_generation => %(generation)s, p_channel => %(channel)s,
                            p_resource => %(resource)s, p_expires_at => %(expires_at)s, p_now => %(now)s);

-- name: failed
-- Notes that a provider gave no channel, or did not renew the one that is there.
SELECT engine.note_watch_failed(p_source => %(source)s, p_generation => %(generation)s, p_channel => %(channel)s,
                                p_error => %(error)s, p_after => %(after)s, p_gone => %(gone)s, p_now => %(now)s);

-- name: stopped
-- Notes that a channel was stopped.
SELECT engine.note_stopped(p_source => %(source)s, p_channel => %(channel)s);
