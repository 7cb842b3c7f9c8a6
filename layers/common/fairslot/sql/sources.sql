-- find: whose source this is and the secrets that are good now, the newest first
SELECT tenant_id, rate_limit,
       CASE WHEN previous_until > %(now)s THEN ARRAY[secret, previous_secret] ELSE ARRAY[secret] END AS secrets
  FROM inbound_sources WHERE source_id = %(source)s;

-- get: the tenant's source
SELECT jsonb_build_object('source_id', source_id, 'created_at', zulu(created_at), 'updated_at', zulu(updated_at),
                          'previous_secret_until', zulu(previous_until)) AS source
  FROM inbound_sources WHERE tenant_id = %(tenant)s;

-- rotate: makes the tenant's source or gives it another secret
INSERT INTO inbound_sources AS known (source_id, tenant_id, secret, created_at, updated_at)
VALUES (%(source)s, %(tenant)s, %(secret)s, %(now)s, %(now)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET previous_secret = CASE WHEN %(until)s > %(now)s THEN known.secret END,
       previous_until = CASE WHEN %(until)s > %(now)s THEN %(until)s END,
       secret = excluded.secret, updated_at = excluded.updated_at
 WHERE known.source_id = excluded.source_id
RETURNING jsonb_build_object('source_id', source_id, 'created_at', zulu(created_at), 'updated_at', zulu(updated_at),
                             'previous_secret_until', zulu(previous_until)) AS source;

-- delete: the tenant's source
DELETE FROM inbound_sources WHERE tenant_id = %(tenant)s;
