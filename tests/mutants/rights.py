"""The guards of who gets in, and of what may be done inside: rights in the database, IAM, CloudFront."""

from tests.mutants.guard import Guard

_RIGHTS = "tests/integration/test_rights.py"
_TEXT = "schema/rights.sql"

GUARDS = (
    Guard(
        "functions may write to tables",
        _TEXT,
        "GRANT SELECT ON ALL TABLES",
        "GRANT ALL ON ALL TABLES",
        f"{_RIGHTS}::test_every_direct_write_is_refused",
    ),
    Guard(
        "anybody may call what writes as the owner",
        _TEXT,
        "REVOKE ALL ON ALL ROUTINES IN SCHEMA engine FROM PUBLIC;",
        "",
        f"{_RIGHTS}::test_nobody_else_may_call",
    ),
    Guard(
        "a temporary table stands before one of ours",
        _TEXT,
        "EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());",
        "",
        f"{_RIGHTS}::test_migrations_make_the_role",
    ),
    Guard(
        "an owner who may make no role cannot migrate",
        _TEXT,
        "    WHEN insufficient_privilege THEN",
        "    WHEN division_by_zero THEN",
        f"{_RIGHTS}::test_migrations_make_the_role",
    ),
    Guard(
        "a key is locked as its caller",
        "schema/functions/26_access.sql",
        "p_key_id uuid, p_tenant text)\n    RETURNS TABLE (ended boolean, is_rotating boolean) LANGUAGE sql"
        " SECURITY DEFINER",
        "p_key_id uuid, p_tenant text)\n    RETURNS TABLE (ended boolean, is_rotating boolean) LANGUAGE sql",
        f"{_RIGHTS}::test_functions_that_write_do_it_as_the_owner",
    ),
    Guard(
        "a token is for another role",
        "platform/iam.py",
        '"DBUser": user',
        '"DBUser": "fairslot"',
        "tests/unit/platform/test_iam.py::test_the_database_token_is_that_of_the_sdk",
    ),
    Guard(
        "requests come in beside CloudFront",
        "platform/edge_proof.py",
        "    return not settings().only_through_cloudfront or",
        "    return True or",
        "tests/handlers/test_api_addresses.py::test_where_cloudfront_is_the_only_way_in_others_are_refused",
    ),
)
