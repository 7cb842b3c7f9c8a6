"""The guards of connecting calendars: whose browser it is, how often a link works, and what was allowed."""

from tests.mutants.guard import Guard

_SQL = "schema/functions/39_connections.sql"
_OAUTH = "tests/handlers/test_connect_oauth.py"
_CALDAV = "tests/handlers/test_connect_caldav.py"
_LIFE = "tests/handlers/test_connect_life.py"
_BROWSER = "functions/calendar_connect/browser.py"
_BY_OAUTH = "functions/calendar_connect/by_oauth.py"

GUARDS = (
    Guard(
        "the cookie is not compared",
        _BROWSER,
        "    return hashlib.sha256(cookie.encode()).digest()",
        '    return b""',
        f"{_OAUTH}::test_the_way_back_is_for_the_browser_that_began",
    ),
    Guard(
        "another site's form is taken",
        _BROWSER,
        "    return hashlib.sha256(cookie.encode()).digest()",
        '    return b""',
        f"{_CALDAV}::test_a_form_is_for_the_browser_that_it_was_shown_to",
    ),
    Guard(
        "the way back is open for ever",
        _BROWSER,
        'members if members.pop("until") >= time.time() else None',
        'members if members.pop("until") else None',
        f"{_OAUTH}::test_the_way_back_is_open_for_ten_minutes",
    ),
    Guard(
        "a link works twice",
        _SQL,
        "            WHEN v_asked.used_at IS NOT NULL THEN 'used'\n",
        "",
        f"{_OAUTH}::test_a_link_works_once",
    ),
    Guard(
        "of two at the same time both connect",
        _SQL,
        "    IF v_link ->> 'state' <> 'open' THEN",
        "    IF false THEN",
        f"{_OAUTH}::test_of_two_at_the_same_time_one_connects",
        times=2,
    ),
    Guard(
        "a link to connect again works twice",
        _SQL,
        "WHEN v_source.generation <> p_generation OR v_source.ended IS DISTINCT FROM 'disconnected' THEN",
        "WHEN false THEN",
        f"{_LIFE}::test_nothing_secret_is_left_anywhere",
    ),
    Guard(
        "what was unticked is not noticed",
        _BY_OAUTH,
        "    if lacking:",
        "    if False:",
        f"{_OAUTH}::test_what_was_unticked_is_noticed",
    ),
    Guard(
        "another account takes the place of a calendar",
        _BY_OAUTH,
        "    if link.is_other(account):",
        "    if False:",
        f"{_OAUTH}::test_a_source_is_connected_again",
    ),
    Guard(
        "a grant is ended that another source has",
        _SQL,
        "RETURN NOT EXISTS (SELECT FROM calendar_sources AS other",
        "RETURN true OR NOT EXISTS (SELECT FROM calendar_sources AS other",
        f"{_LIFE}::test_a_grant_that_another_source_has_is_not_ended",
    ),
    Guard(
        "what was read before it was only written counts",
        _SQL,
        "OR (v_link ->> 'reads')::boolean AND NOT v_old.reads",
        "",
        f"{_OAUTH}::test_what_was_not_read_for_a_while_does_not_count",
    ),
)
