-- name: count
-- Counts a request while Valkey does not answer.
SELECT * FROM engine.count_request(p_name => %(name)s, p_limit => %(limit)s, p_by => %(by)s, p_address => %(address)s,
                                   p_address_limit => %(address_limit)s);

-- name: forget
-- Forgets counts that are over.
SELECT engine.forget_rate_counts();
