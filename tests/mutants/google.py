"""The guards between us and Google: what is free, what is ours, and what ends a source."""

from tests.mutants.guard import Guard

_EVENTS = "calendars/google_events.py"
_GOOGLE = "calendars/google.py"
_OAUTH = "calendars/oauth.py"
_TOKENS = "calendars/access_tokens.py"
_REFUSALS = "calendars/google_refusals.py"
_CHANNELS = "calendars/google_channels.py"
_UNIT = "tests/unit/calendars"
_AGAINST = "tests/integration/calendars"

GUARDS = (
    Guard(
        "an error inside a 200 of Google is free",
        _EVENTS,
        'if calendar.get("errors"):',
        "if False:",
        f"{_UNIT}/test_google_events.py::test_an_error_inside_a_200_is_never_free",
    ),
    Guard(
        "an event of Google whose type is not known is free",
        _EVENTS,
        'or item.get("eventType") in _TAKES_NO_TIME',
        'or item.get("eventType") not in (None, "default", "outOfOffice", "focusTime", "fromGmail")',
        f"{_UNIT}/test_google_events.py::test_what_takes_time",
    ),
    Guard(
        "days at Google are those of UTC",
        _EVENTS,
        "return instant_of(day_of(zone, day)[0])",
        "return datetime(day.year, day.month, day.day, tzinfo=UTC)",
        f"{_UNIT}/test_google_events.py::test_days_are_those_of_the_calendars_zone",
    ),
    Guard(
        "a copy of an event of ours at Google is ours",
        _EVENTS,
        ' or item.get("id") != event_id(key)',
        "",
        f"{_UNIT}/test_google_events.py::test_what_only_looks_like_ours_takes_time",
    ),
    Guard(
        "what another source wrote at Google is ours",
        _EVENTS,
        " or key.source_id != source_id",
        "",
        f"{_AGAINST}/test_google_writing.py::test_what_another_source_wrote_here_is_busy",
    ),
    Guard(
        "a page that is not the last of Google's is",
        _GOOGLE,
        "if page_token else None",
        "if False else None",
        f"{_AGAINST}/test_google_reading.py::test_ten_pages_are_read",
    ),
    Guard(
        "a lost answer of Google makes another event",
        _GOOGLE,
        'body = {"id": event_id(event.key), **_written(event)}',
        "body = _written(event)",
        f"{_AGAINST}/test_google_writing.py::test_a_creation_without_an_answer_makes_one_event",
    ),
    Guard(
        "a move that comes late at Google overtakes",
        _GOOGLE,
        'headers={"If-Match": etag} if isinstance(etag, str) else None,',
        "headers=None,",
        f"{_AGAINST}/test_google_writing.py::test_a_move_that_comes_late_is_refused",
    ),
    Guard(
        "what the coach deleted at Google is taken for written",
        _GOOGLE,
        '            raise CalendarError("conflict")\n',
        "            return None\n",
        f"{_AGAINST}/test_google_writing.py::"
        "test_what_the_coach_deleted_is_a_conflict_and_the_next_generation_is_written",
    ),
    Guard(
        "a write that comes again at Google fights the coach",
        _GOOGLE,
        "written(found) == digest_of(event)",
        "(seen.start, seen.end) == (event.start, event.end)",
        f"{_AGAINST}/test_google_writing.py::test_a_write_that_comes_again_leaves_what_the_coach_moved",
    ),
    Guard(
        "a refresh that fails disconnects",
        _OAUTH,
        "if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:",
        "if True:",
        f"{_UNIT}/test_oauth.py::test_nothing_else_disconnects",
    ),
    Guard(
        "a timeout of a refresh disconnects",
        "calendars/provider_api.py",
        "    except http_client.RequestFailedError as error:\n"
        "        raise CalendarError(error.reason) from None\n"
        "    if not whole:",
        "    except http_client.RequestFailedError as error:\n"
        '        raise CalendarError(error.reason, ended="disconnected") from None\n'
        "    if not whole:",
        f"{_UNIT}/test_oauth.py::test_a_lost_answer_does_not_disconnect",
    ),
    Guard(
        "scopes that were unticked are not noticed",
        _OAUTH,
        "if scope != _OFFLINE and self._named(scope) not in have)",
        "if False)",
        f"{_UNIT}/test_oauth.py::test_scopes_that_were_not_granted_are_noticed",
    ),
    Guard(
        "each of those who wait for a token asks for one",
        _TOKENS,
        "async with _memory.lock(self._key):",
        "async with asyncio.Lock():",
        f"{_UNIT}/test_access_tokens.py::test_those_who_come_together_ask_once",
    ),
    Guard(
        "a rotated refresh token is forgotten",
        _TOKENS,
        "            kept.refresh_token = grant.refresh_token\n",
        "",
        f"{_UNIT}/test_access_tokens.py::test_a_rotated_refresh_token_is_used_and_handed_back",
    ),
    Guard(
        "a quota of Google's ends a source",
        _REFUSALS,
        "(answer.status == HTTPStatus.FORBIDDEN and limited)",
        "False",
        f"{_UNIT}/test_google_refusals.py",
    ),
    Guard(
        "the old channel is stopped before there is a new one",
        _CHANNELS,
        '        answer = await self._api.request("POST", f"{self._events}/watch", body=body)\n',
        "        if old is not None:\n            await self.stop(old)\n"
        '        answer = await self._api.request("POST", f"{self._events}/watch", body=body)\n',
        f"{_UNIT}/test_google_channels.py::test_without_a_new_channel_the_old_one_stays",
    ),
)
