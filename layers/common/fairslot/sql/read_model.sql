-- name: fold
-- Brings the read model up to date.
SELECT engine.fold_changes(%(limit)s) AS more;

-- name: delete_old
-- Deletes changes that the read model has and that no kept team is older than.
SELECT engine.delete_old_availability_changes(p_before => %(before)s) AS n;
