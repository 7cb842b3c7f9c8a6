-- name: find
-- The tenant of a source and its valid secrets, newest first.
SELECT tenant_id, rate_limit,
       secret || ARRAY(SELECT kept.one ->> 'secret'
                         FROM jsonb_array_elements(engine.earlier_secrets(p_older => older_secrets, p_after => %(now)s))
                              WITH ORDINALITY AS kept (one, position)
                        ORDER BY kept.position) AS secrets
  FROM inbound_sources WHERE source_id = %(source)s;

-- name: get
-- The tenant's source.
SELECT engine.source_json(known) AS source FROM inbound_sources AS known WHERE tenant_id = %(tenant)s;

-- name: rotate
-- Creates the tenant's source or sets a new secret unless too many are valid; with an overlap the earlier ones stay
-- valid for a while.
SELECT * FROM engine.rotate_source_secret(
    p_source => %(source)s, p_tenant => %(tenant)s, p_secret => %(secret)s, p_now => %(now)s, p_until => %(until)s,
    p_most_earlier => %(most_earlier)s
);

-- name: delete
-- Deletes the tenant's source.
SELECT engine.delete_source(p_tenant => %(tenant)s) AS n;
