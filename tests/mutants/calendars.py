"""The guards between us and feeds: what is asked for, and that nothing unclear is free."""

from tests.mutants.guard import Guard

_FETCH = "calendars/fetch.py"
_FEED = "calendars/icalendar_feed.py"
_SERIES = "calendars/feed_series.py"
_TESTS = "tests/unit/calendars"

GUARDS = (
    Guard(
        "a redirect leads anywhere that a feed may be",
        _FETCH,
        "return check(str(target), redirect_rules())",
        "return target",
        f"{_TESTS}/test_fetch_redirects.py",
    ),
    Guard(
        "cookies go along with a redirect",
        "platform/http_client.py",
        'request = httpx.Request("GET", url,',
        'request = client.build_request("GET", url,',
        f"{_TESTS}/test_fetch_redirects.py::test_a_place_on_the_same_host_is_found",
    ),
    Guard(
        "what cannot be read is free",
        _FEED,
        "yield closed(part, self._window, self._zone)",
        "yield 0, 0",
        f"{_TESTS}/test_feed_closed.py",
    ),
    Guard(
        "a range that the package would lose is lost",
        _SERIES,
        "series.ranges.append(Range(event, moved, changed))",
        "pass",
        f"{_TESTS}/test_feed_series.py",
    ),
    Guard(
        "additional dates stay in their series",
        _SERIES,
        "    _separate_dates(series, event, named, zone)\n",
        "",
        f"{_TESTS}/test_feed_series.py",
    ),
    Guard(
        "a notification is believed without its proof",
        "calendars/push_secret.py",
        "return channel if hmac.compare_digest(proof, self._proof(key_id, channel)) else None",
        "return channel",
        f"{_TESTS}/test_push.py",
    ),
)
