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
INSERT INTO inbound_sources AS known (source_id, tenant_id, secret, created_at, updated_at)
VALUES (%(source)s, %(tenant)s, %(secret)s, %(now)s, %(now)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET older_secrets = engine.replaced_secrets(p_secret => known.secret, p_older => known.older_secrets,
                                               p_until => %(until)s, p_now => %(now)s),
       secret = excluded.secret, updated_at = excluded.updated_at
 WHERE known.source_id = excluded.source_id
   AND (%(until)s <= %(now)s
        OR jsonb_array_length(engine.earlier_secrets(p_older => known.older_secrets, p_after => %(now)s))
           < %(most_earlier)s)
RETURNING engine.source_json(known) AS source;

-- name: delete
-- Deletes the tenant's source.
DELETE FROM inbound_sources WHERE tenant_id = %(tenant)s;
