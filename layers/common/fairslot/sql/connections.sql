-- name: make
-- Stores a connection of a coach of the tenant; null where there is no such coach, or no such source.
SELECT engine.make_connection(
    p_connection => %(connection)s, p_tenant => %(tenant)s, p_coach => %(coach)s, p_source => %(source)s,
    p_is_new => %(is_new)s, p_kind => %(kind)s, p_calendar_ref => %(calendar_ref)s, p_reads => %(reads)s,
    p_writes => %(writes)s, p_digest => %(digest)s, p_expires_at => %(expires_at)s, p_now => %(now)s) AS connection;

-- name: grant
-- The grant of a source of a coach of the tenant, if no other source has the same account; and its channel, if there is one.
SELECT s.kind, s.credentials, s.calendar_ref, watch.channel_id, watch.resource_id, watch.expires_at, watch.counts_from
  FROM calendar_sources AS s LEFT JOIN calendar_watches AS watch USING (source_id)
 WHERE s.source_id = %(source)s AND s.coach_id = %(coach)s AND s.tenant_id = %(tenant)s
   AND s.credentials IS NOT NULL AND engine.is_only_use(s);

-- name: state
-- What a link is about, and whether it can be used. The link itself says whose it is.
SELECT engine.link_state(p_id => %(id)s, p_digest => %(digest)s, p_generation => %(generation)s, p_now => %(now)s) AS link;

-- name: use
-- Gives a link's source its credentials, once.
SELECT engine.use_link(p_id => %(id)s, p_digest => %(digest)s, p_generation => %(generation)s,
                       p_credentials => %(credentials)s, p_account => %(account)s, p_url => %(url)s,
                       p_calendar_ref => %(calendar_ref)s, p_now => %(now)s) AS link;
