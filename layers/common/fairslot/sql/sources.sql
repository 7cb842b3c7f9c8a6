-- find: whose source this is and the secrets that are good now, the newest first
SELECT tenant_id, rate_limit,
       secret || ARRAY(SELECT kept.one ->> 'secret'
                         FROM jsonb_array_elements(earlier_secrets(previous_secret, previous_until, older_secrets, %(now)s))
                              WITH ORDINALITY AS kept (one, position)
                        ORDER BY kept.position) AS secrets
  FROM inbound_sources WHERE source_id = %(source)s;

-- get: the tenant's source
SELECT source_json(known) AS source FROM inbound_sources AS known WHERE tenant_id = %(tenant)s;

-- rotate: makes the tenant's source or gives it another secret, unless too many are good; without an overlap only the
-- new one is
INSERT INTO inbound_sources AS known (source_id, tenant_id, secret, created_at, updated_at)
VALUES (%(source)s, %(tenant)s, %(secret)s, %(now)s, %(now)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET older_secrets = CASE WHEN %(until)s > %(now)s
                            THEN earlier_secrets(known.previous_secret, known.previous_until, known.older_secrets, %(now)s)
                            ELSE '[]' END,
       previous_secret = CASE WHEN %(until)s > %(now)s THEN known.secret END,
       previous_until = CASE WHEN %(until)s > %(now)s THEN %(until)s END,
       secret = excluded.secret, updated_at = excluded.updated_at
 WHERE known.source_id = excluded.source_id
   AND (%(until)s <= %(now)s
        OR jsonb_array_length(earlier_secrets(known.previous_secret, known.previous_until, known.older_secrets, %(now)s))
           < %(most_earlier)s)
RETURNING source_json(known) AS source;

-- delete: the tenant's source
DELETE FROM inbound_sources WHERE tenant_id = %(tenant)s;
