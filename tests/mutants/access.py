"""The guards of who may call: keys that ended, calendars that a key may not see, tokens of others."""

from tests.mutants.guard import Guard

_TESTS = "tests/handlers"
_KEYS = f"{_TESTS}/test_api_keys.py"
_SEEN = f"{_TESTS}/test_api_calendars_seen.py"
_TOKENS = f"{_TESTS}/test_api_tokens.py"
_BAD = f"{_TOKENS}::test_a_bad_token_is_refused_and_nothing_is_learnt"
_AUTHENTICATION = f"{_TESTS}/test_api_authentication.py"
_ISSUER_KEYS = f"{_TESTS}/test_api_token_keys.py"
_ADDRESSES = f"{_TESTS}/test_api_addresses.py"
_BEHIND = "tests/unit/access/test_client_address.py"

GUARDS = (
    Guard(
        "a revoked key is taken where it is remembered",
        "access/limits.py",
        "    if KEYS[2] and ARGV[3] ~= '' and",
        "    if false and KEYS[2] and ARGV[3] ~= '' and",
        f"{_KEYS}::test_no_process_takes_a_key_after_it_is_revoked",
    ),
    Guard(
        "and where no cache tells of it",
        "access/limits.py",
        "if self._remembered is not None and not self._remembered.fresh:",
        "if False:",
        f"{_AUTHENTICATION}::test_without_a_cache_a_revoked_key_is_refused_at_once",
    ),
    Guard(
        "a change of a key is no other version",
        "schema/functions/26_access.sql",
        "SET version = known.version + 1",
        "SET version = known.version",
        f"{_KEYS}::test_a_key_that_leaked_is_replaced_at_once",
    ),
    Guard(
        "a version that is published late hides a later one",
        "access/limits.py",
        "if tonumber(ARGV[1]) > (",
        "if true or tonumber(ARGV[1]) > (",
        f"{_KEYS}::test_an_older_version_does_not_hide_a_later_one",
    ),
    Guard(
        "a revocation that nobody was told of is answered as done",
        "access/key_management.py",
        "    if settings().redis_url and not told:",
        "    if False:",
        f"{_KEYS}::test_a_revocation_that_was_not_told_says_so",
    ),
    Guard(
        "a remembered key does not expire",
        "access/keys.py",
        "    if found is None or not found.is_valid():",
        "    if found is None:",
        f"{_KEYS}::test_a_key_ends_when_it_expires",
    ),
    Guard(
        "a text without the form of a key is looked up",
        "access/keys.py",
        "return key_form.is_key(key) if of_ours else bool(",
        "return bool(",
        f"{_KEYS}::test_as_deployed_a_key_must_have_the_form",
    ),
    Guard(
        "of two credentials one is chosen",
        "access/authorize.py",
        '    if ("x-api-key" in given) + ("authorization" in given) + is_signed > 1:',
        "    if False:",
        f"{_AUTHENTICATION}::test_two_credentials_are_none",
    ),
    Guard(
        "a calendar that a key may not see can be named",
        "access/calendars_seen.py",
        "if not _named(arguments) <= seen:",
        "if False:",
        f"{_SEEN}::test_what_is_of_another_calendar_is_not_there[create_hold]",
    ),
    Guard(
        "of several calendars those that a key may not see can be named",
        "access/calendars_seen.py",
        'return {*(arguments.get("calendars") or ()), ',
        "return {",
        f"{_SEEN}::test_one_name_of_another_calendar_is_enough",
    ),
    Guard(
        "the soonest starts are of every calendar",
        "coach_time/soonest.py",
        "                seen=seen,\n",
        "",
        f"{_SEEN}::test_a_list_has_what_the_key_may_see[list_soonest]",
    ),
    Guard(
        "an appointment in a calendar that a key may not see is there",
        "access/calendars_seen.py",
        "if calendar_id is not None and calendar_id not in seen:",
        "if False:",
        f"{_SEEN}::test_what_is_of_another_calendar_is_not_there[cancel_appointment]",
    ),
    Guard(
        "appointments are listed whatever their calendar",
        "sql/appointments.sql",
        "   AND (%(seen)s::text[] IS NULL OR a.calendar_id = ANY (%(seen)s))\n",
        "   AND (%(seen)s::text[] IS NULL OR true)\n",
        f"{_SEEN}::test_a_list_has_what_the_key_may_see[list_appointments]",
    ),
    Guard(
        "a route that never asks what its caller may see is answered",
        "http/routing.py",
        "    if calendars_seen.must_be_limited(subject, arguments) and",
        "    if False and",
        f"{_SEEN}::test_a_route_that_lists_too_much_is_not_answered",
    ),
    Guard(
        "a route need not say which calendars it is about",
        "http/routing.py",
        '    if calendars is None and scope in {"read", "write"}:',
        "    if False:",
        f"{_SEEN}::test_a_route_must_say_what_it_is_about",
    ),
    Guard(
        "a key for some calendars manages all",
        "access/key_management.py",
        '    if "admin" in grant.scopes:',
        "    if False:",
        f"{_KEYS}::test_a_key_that_makes_no_sense_is_refused[members4-body.calendars]",
    ),
    Guard(
        "a token for others is taken",
        "access/tokens.py",
        '        aud={"essential": True, "value": issuer.audience},\n',
        "",
        f"{_BAD}[RS256-wrong audience]",
    ),
    Guard(
        "a token need not end",
        "access/tokens.py",
        '        exp={"essential": True},\n',
        "",
        f"{_BAD}[RS256-without an end]",
    ),
    Guard(
        "a token may say where its key is",
        "access/tokens.py",
        "    if _REFUSED & header.keys():",
        "    if False:",
        f"{_BAD}[RS256-jku]",
    ),
    Guard(
        "a token may be of any type",
        "access/tokens.py",
        'removeprefix("application/") not in _TYPES:',
        'removeprefix("application/") is None:',
        f"{_BAD}[RS256-an id token's type]",
    ),
    Guard(
        "an issuer speaks for any tenant",
        "access/tokens.py",
        "    if issuer.tenants is not None and",
        "    if False and",
        f"{_TOKENS}::test_an_issuer_speaks_for_its_tenants_only",
    ),
    Guard(
        "a key for something else verifies tokens",
        "access/issuers.py",
        "for one in read if issuer.takes(one)}",
        "for one in read}",
        f"{_TOKENS}::test_a_symmetric_key_of_the_set_is_not_used",
    ),
    Guard(
        "made-up key ids ask for the keys each time",
        "schema/functions/26_access.sql",
        " WHERE (known.asked_at >= p_before) IS NOT TRUE\n",
        " WHERE (known.asked_at >= p_before) IS NOT TRUE OR true\n",
        f"{_ISSUER_KEYS}::test_an_unknown_id_asks_once_a_minute",
    ),
    Guard(
        "an older reading of keys wins",
        "schema/functions/26_access.sql",
        "answered_at = p_answered_at, failed_at = NULL, error = NULL\n"
        "     WHERE issuer = p_issuer AND url = p_url AND (fetched_at >= p_fetched_at) IS NOT TRUE\n",
        "answered_at = p_answered_at, failed_at = NULL, error = NULL\n"
        "     WHERE issuer = p_issuer AND url = p_url\n",
        f"{_ISSUER_KEYS}::test_an_older_reading_does_not_win",
    ),
    Guard(
        "wrong keys cost as much as right ones",
        "access/guesses.py",
        "self._count(_WRONG, in_postgres=True)",
        "self._count(_RIGHT, in_postgres=True)",
        f"{_ADDRESSES}::test_a_wrong_key_costs_ten_times_what_a_right_one_does",
    ),
    Guard(
        "keys are looked up before the limit",
        "access/keys.py",
        "    is_new = address.check(digest)\n    try:\n",
        "    try:\n        _look_up(digest)\n"
        "    finally:\n        is_new = address.check(digest)\n    try:\n",
        f"{_TESTS}/test_api_unknown_keys.py::test_past_the_limit_guesses_are_not_looked_up",
    ),
    Guard(
        "a client may say its address",
        "access/client_address.py",
        "    if not edge_proof.is_from_cloudfront(headers):",
        "    if False:",
        f"{_ADDRESSES}::test_a_client_cannot_choose_its_address",
    ),
    Guard(
        "and may say it through CloudFront",
        "access/client_address.py",
        "    return hops[-1] if _is_address(hops[-1])",
        "    return hops[0] if _is_address(hops[0])",
        f"{_ADDRESSES}::test_behind_cloudfront_viewers_are_told_apart",
    ),
    Guard(
        "without a secret everybody is CloudFront",
        "platform/edge_proof.py",
        "for one in known if one]",
        "for one in known]",
        f"{_BEHIND}::test_a_deployment_without_cloudfront_has_no_proof",
    ),
    Guard(
        "addresses are kept as they are",
        "access/client_address.py",
        "    return blake2b(_network(source).encode(), key=_secret(), digest_size=16).hexdigest()",
        "    return _network(source)",
        f"{_ADDRESSES}::test_no_address_is_kept_or_told",
    ),
    Guard(
        "an address has no limit beside those of its keys",
        "access/limits.py",
        "    if KEYS[3] then",
        "    if false then",
        f"{_ADDRESSES}::test_an_address_has_a_limit_beside_those_of_its_keys",
    ),
    Guard(
        "a refusal has no reason",
        "http/problems.py",
        '        for name in ("CredentialsRefused", f"CredentialsRefused{reason.title()}"):',
        '        for name in ("CredentialsRefused",):',
        f"{_TESTS}/test_api_bad_credentials.py::test_what_a_known_caller_may_not_is_counted",
    ),
)
