-- name: act_for
-- Says for which request the changes of the transaction are made.
SELECT engine.act_for(p_origin => %(origin)s);

-- name: write
-- Writes entries for that request.
SELECT engine.write_audit(p_tenant => %(tenant)s, p_entries => %(entries)s, p_now => %(now)s);

-- name: list_page
-- A page of the tenant's audit, the newest first.
SELECT entry_id, at, origin, resource, resource_id, action, before, after
  FROM audit
 WHERE tenant_id = %(tenant)s
   AND (%(after)s::uuid IS NULL OR entry_id < %(after)s::uuid)
   AND (%(actor)s::text IS NULL OR origin #>> '{actor,id}' = %(actor)s)
   AND (%(resource)s::text IS NULL OR resource = %(resource)s)
   AND (%(resource_id)s::text IS NULL OR resource_id = %(resource_id)s)
   AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
 ORDER BY entry_id DESC
 LIMIT %(limit)s;

-- name: expire
-- Ends the retention of a portion of the entries from before an instant; how many.
SELECT engine.expire_audit(p_first => %(first)s, p_before => %(before)s, p_portion => %(portion)s) AS n;
