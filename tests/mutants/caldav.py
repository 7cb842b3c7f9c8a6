"""The guards of CalDAV: what is ours, what is an answer, and who gets the password."""

from tests.mutants.guard import Guard

_OBJECTS = "calendars/caldav_objects.py"
_XML = "calendars/caldav_xml.py"
_ACCOUNT = "calendars/caldav_account.py"
_TESTS = "tests/unit/calendars"

GUARDS = (
    Guard(
        "an event of ours at a CalDAV server is busy",
        _OBJECTS,
        """        if not _is_plain(calendars):
            strange += calendars
    free =""",
        """        strange += calendars
    free =""",
        f"{_TESTS}/test_caldav_objects.py::test_ours_takes_no_time_and_is_told",
    ),
    Guard(
        "ours of another source takes no time",
        _OBJECTS,
        "found.key.source_id != source_id or ",
        "",
        f"{_TESTS}/test_caldav_objects.py::test_ours_of_another_source_is_a_strangers",
    ),
    Guard(
        "a copy at a CalDAV server is ours",
        _OBJECTS,
        "if key is None or [uid.lower() for uid in uids] != [event_id(key)]:",
        "if key is None:",
        f"{_TESTS}/test_caldav_objects.py::test_a_copy_is_a_strangers",
    ),
    Guard(
        "a property of a failed propstat is believed",
        _XML,
        "if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:",
        "if True:",
        f"{_TESTS}/test_caldav_xml.py::test_properties_are_told_by_their_status",
    ),
    Guard(
        "an object whose text is missing is free",
        "calendars/caldav.py",
        """                raise CalendarError("invalid_body")
            found.append(""",
        """                continue
            found.append(""",
        f"{_TESTS}/test_caldav.py::test_what_is_no_whole_answer_is_never_free",
    ),
    Guard(
        "a response with a status of its own is left out",
        _XML,
        'found = root.findall(dav("response"))',
        'found = [one for one in root.findall(dav("response")) if one.find(dav("status")) is None]',
        f"{_TESTS}/test_caldav_xml.py",
    ),
    Guard(
        "a document type is read",
        _XML,
        """        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
""",
        "",
        f"{_TESTS}/test_caldav_xml.py::test_a_document_type_is_refused",
    ),
    Guard(
        "a redirect takes the password to another domain",
        _ACCOUNT,
        "if not may_get_password(self._home, _checked(str(url))):",
        "if not _checked(str(url)):",
        f"{_TESTS}/test_caldav_discovery.py::test_no_host_that_a_server_names_gets_the_password",
    ),
    Guard(
        "a host whose name ends alike gets the password",
        _ACCOUNT,
        'or host.endswith(f".{given}")',
        "or host.endswith(given)",
        f"{_TESTS}/test_caldav_account.py",
    ),
    Guard(
        "a put at a CalDAV server writes over what it meets",
        "calendars/caldav.py",
        '{"If-None-Match": "*"}',
        "{}",
        f"{_TESTS}/test_caldav.py::test_a_put_creates_where_nothing_is",
    ),
    Guard(
        "a repeated put moves back what the coach moved",
        "calendars/caldav.py",
        "if own.written == digest_of(event):",
        "if False:",
        f"{_TESTS}/test_caldav.py::test_a_late_put_leaves_what_the_coach_moved",
    ),
    Guard(
        "credentials are opened for any source",
        "calendars/credentials.py",
        "context = signing_secrets.for_calendar(source_id)",
        'context = {"purpose": "calendar"}',
        f"{_TESTS}/test_opening.py::test_credentials_are_opened_for_their_source",
    ),
)
