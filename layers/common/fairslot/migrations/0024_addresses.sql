-- Addresses of subscribers are written in one way (docs/decisions/0048). Those from before are rewritten as far as
-- SQL can tell; where two become one, the older keeps the address, and the other stays as it was written.
WITH read AS (
    SELECT endpoint_id, tenant_id, url, created_at,
           regexp_match(url, '^(https?)://([a-z0-9.-]+)(?::0*([0-9]*))?(/[^?#]*)?(\?[^#]*)?(?:#.*)?$', 'i') AS part
      FROM webhook_endpoints WHERE kind = 'standard' AND deleted_at IS NULL
), written AS (
    SELECT endpoint_id, tenant_id, url, created_at,
           lower(part[1]) || '://' || regexp_replace(lower(part[2]), '\.$', '')
               || CASE WHEN coalesce(part[3], '') IN ('', CASE lower(part[1]) WHEN 'https' THEN '443' ELSE '80' END) THEN ''
                       ELSE ':' || part[3] END
               || coalesce(part[4], '/') || coalesce(part[5], '') AS address
      FROM read WHERE part IS NOT NULL
), first AS (
    SELECT DISTINCT ON (tenant_id, address) endpoint_id, url, address FROM written
     ORDER BY tenant_id, address, url = address DESC, created_at, endpoint_id
)
UPDATE webhook_endpoints AS endpoint SET url = first.address
  FROM first
 WHERE endpoint.endpoint_id = first.endpoint_id AND first.url <> first.address;
COMMENT ON COLUMN webhook_endpoints.url IS
    'of a subscriber, as addresses.canonical() writes it: equal addresses are equal texts; null: a partner''s';
