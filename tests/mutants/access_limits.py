"""The guards of limits while Valkey is down, of what guesses cost, of rotations, and of secrets."""

from tests.mutants.guard import Guard

_TESTS = "tests/handlers"
_UNCOUNTED = f"{_TESTS}/test_api_counts_in_postgres.py"
_REFUSED = f"{_TESTS}/test_api_refused_credentials.py"
_COUNTED = f"{_REFUSED}::test_what_is_refused_is_counted"
_SECRECY = f"{_TESTS}/test_api_key_secrecy.py"
_NOWHERE = f"{_SECRECY}::test_a_secret_is_nowhere"
_KEYS = f"{_TESTS}/test_api_keys.py"
_TOKENS = f"{_TESTS}/test_api_tokens.py"
_BAD = f"{_TOKENS}::test_a_bad_token_is_refused_and_nothing_is_learnt"
_COUNTS = "schema/functions/29_rate_counts.sql"

GUARDS = (
    Guard(
        "without Valkey the limit of a key's changes does not hold",
        "access/limits.py",
        "        if not (self._changing and settings().redis_url):",
        "        if True:",
        f"{_UNCOUNTED}::test_changes_of_a_key_stay_limited",
    ),
    Guard(
        "without Valkey the limit of an address's changes does not hold",
        _COUNTS,
        "    IF allowed AND p_address IS NOT NULL THEN",
        "    IF false THEN",
        f"{_UNCOUNTED}::test_changes_of_an_address_stay_limited",
    ),
    Guard(
        "without Valkey what an address refuses costs the key",
        _COUNTS,
        "            allowed := false;\n            remaining",
        "            UPDATE rate_counts SET count = count + p_by WHERE name = p_name;\n"
        "            allowed := false;\n            remaining",
        f"{_UNCOUNTED}::test_changes_of_an_address_stay_limited",
    ),
    Guard(
        "without Valkey the window does not slide",
        _COUNTS,
        "- floor(k.before * v_left / 60)::integer);",
        "- k.before);",
        f"{_UNCOUNTED}::test_the_window_slides",
    ),
    Guard(
        "without Valkey reads are limited",
        "access/limits.py",
        "        if not (self._changing and settings().redis_url):",
        "        if not settings().redis_url:",
        f"{_UNCOUNTED}::test_reads_are_open",
    ),
    Guard(
        "without Valkey guesses at changes are looked up",
        "access/guesses.py",
        "counted = self._count(0, in_postgres=self._changing)",
        "counted = self._count(0, in_postgres=False)",
        f"{_UNCOUNTED}::test_who_guesses_can_change_nothing",
    ),
    Guard(
        "without Valkey an address guesses by reads",
        "access/guesses.py",
        "        self._count(_WRONG, in_postgres=True)",
        "        self._count(_WRONG, in_postgres=self._changing)",
        f"{_UNCOUNTED}::test_who_guesses_can_change_nothing[GET]",
    ),
    Guard(
        "without Valkey a guesser closes the door to who is known",
        "access/guesses.py",
        "            return stand_in.is_known_key(key, within=_KNOWN)",
        "            return False",
        f"{_UNCOUNTED}::test_who_is_known_goes_on_at_the_address_of_a_guesser",
    ),
    Guard(
        "without Valkey a revoked key is no guess",
        "sql/api_keys.sql",
        "                  AND k.revoked_at IS NULL AND (k.expires_at > %(now)s) IS NOT FALSE\n"
        "                  AND used",
        "                  AND (k.expires_at > %(now)s) IS NOT FALSE\n                  AND used",
        f"{_UNCOUNTED}::test_who_is_known_goes_on_at_the_address_of_a_guesser",
    ),
    Guard(
        "changes that nothing can count are made",
        "access/stand_in.py",
        "unit=MetricUnit.Count, value=1)\n        raise\n",
        "unit=MetricUnit.Count, value=1)\n        return 1, limit, 60, 0, 0\n",
        f"{_UNCOUNTED}::test_where_nothing_can_count_changes_are_closed_and_reads_open",
    ),
    Guard(
        "digests of addresses stay in the database",
        "functions/background/maintenance.py",
        "    db.run(stand_in.forget)\n",
        "",
        f"{_UNCOUNTED}::test_no_address_is_kept_for_long",
    ),
    Guard(
        "nobody is told that Valkey does not count",
        "access/limits.py",
        '    if settings().redis_url and "RateLimit',
        '    if False and "RateLimit',
        f"{_UNCOUNTED}::test_the_alarm_is_raised",
    ),
    Guard(
        "malformed credentials cost nothing",
        "access/authorize.py",
        '        if error.reason in {"malformed", "doubled"}:',
        '        if error.reason in {"doubled"}:',
        f"{_COUNTED}[truncated key-GET]",
    ),
    Guard(
        "two credentials at once cost nothing",
        "access/authorize.py",
        '        if error.reason in {"malformed", "doubled"}:',
        '        if error.reason in {"malformed"}:',
        f"{_COUNTED}[two keys-GET]",
    ),
    Guard(
        "refused tokens cost nothing",
        "access/authorize.py",
        '        error.reason = "token"\n        address.check()\n        address.count_wrong()\n',
        '        error.reason = "token"\n        address.check()\n',
        f"{_COUNTED}[jku-GET]",
    ),
    Guard(
        "wrong signatures cost nothing",
        "access/authorize.py",
        '        error.reason = "signature"\n        address.count_wrong()\n',
        '        error.reason = "signature"\n',
        f"{_REFUSED}::test_a_signature_from_the_future_is_counted",
    ),
    Guard(
        "the key before a rotation works for ever",
        "schema/functions/26_access.sql",
        "     WHERE previous_hash = p_hash AND previous_until > p_now AND revoked_at IS NULL\n",
        "     WHERE previous_hash = p_hash AND revoked_at IS NULL\n",
        f"{_KEYS}::test_two_keys_work_during_a_rotation",
    ),
    Guard(
        "a rotation ends the key before it",
        "schema/functions/26_access.sql",
        "CASE WHEN p_until::timestamptz IS NOT NULL THEN key_hash END, previous_until = p_until,",
        "NULL, previous_until = NULL,",
        f"{_KEYS}::test_two_keys_work_during_a_rotation",
    ),
    Guard(
        "an expired key is looked up as valid",
        "schema/functions/26_access.sql",
        "     WHERE key_hash = p_hash AND revoked_at IS NULL AND (expires_at > p_now) IS NOT FALSE\n",
        "     WHERE key_hash = p_hash AND revoked_at IS NULL\n",
        f"{_COUNTED}[expired key-GET]",
    ),
    Guard(
        "a token without a subject is taken",
        "access/tokens.py",
        '        sub={"essential": True},\n',
        "",
        f"{_BAD}[RS256-an empty subject]",
    ),
    Guard(
        "a token of any length is read",
        "access/tokens.py",
        "    if len(token) > LONGEST or not",
        "    if not",
        f"{_TOKENS}::test_the_longest_token_is_within_what_the_gateway_takes",
    ),
    Guard(
        "clocks may differ by anything",
        "access/tokens.py",
        "        leeway=issuer.leeway_seconds,",
        "        leeway=issuer.leeway_seconds + 3600,",
        f"{_TOKENS}::test_clocks_may_differ_a_little",
    ),
    Guard(
        "keys of an issuer are read over plain HTTP",
        "access/issuers.py",
        '    if not (url.startswith("https://") or local):',
        "    if False:",
        f"{_TESTS}/test_api_token_keys.py::test_a_setting_must_be_safe",
    ),
    Guard(
        "the log has a key that nobody has",
        "access/keys.py",
        "        if not _is_well_formed(key):\n",
        "        if not _is_well_formed(key):\n"
        "            from fairslot.platform.observability import logger\n\n"
        '            logger.info("malformed key", extra={"given": key})\n',
        f"{_NOWHERE}[key]",
    ),
    Guard(
        "an error has the key",
        "access/keys.py",
        '            raise AuthenticationError(reason="malformed" if key else "missing")',
        '            raise AuthenticationError(f"No key: {key}", reason="malformed" if key else "missing")',
        f"{_NOWHERE}[key]",
    ),
    Guard(
        "the log says what is wrong with a token by quoting it",
        "access/tokens.py",
        '        logger.info("token refused", extra={"reason": reason})',
        '        logger.info("token refused", extra={"reason": reason, "token": token})',
        f"{_NOWHERE}[token]",
    ),
    Guard(
        "lists have the key",
        "access/key_form.py",
        "    return key[:_SHOWN]",
        "    return key",
        f"{_SECRECY}::test_made_keys_are_nowhere_else",
    ),
)
