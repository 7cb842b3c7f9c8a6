-- name: count_keys
-- How many API keys there are.
SELECT count(*) AS n FROM api_keys;

-- name: add_endpoint
-- A partner that is told of events.
SELECT engine.add_partner(p_tenant => %(tenant)s, p_kind => %(kind)s, p_types => %(types)s);
