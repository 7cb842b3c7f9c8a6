"""Links to connect calendars: what was made here is read, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairslot.platform import connect_links, sealing
from fairslot.platform.sealing import NoSecretError
from tests.support.environment import clear_caches, set_environment

ONE, OTHER = "one secret of the deployment now", "another secret of the deployment now"
UNTIL = datetime(2026, 12, 6, 9, tzinfo=UTC)
ID = UUID(int=7)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A deployment with a secret and an address."""
    variables = {"CONNECT_SECRETS": OTHER, "PUBLIC_URL": "https://book.example.com/"}
    set_environment(monkeypatch, variables)
    yield
    monkeypatch.undo()
    clear_caches()


def test_a_token_says_what_it_is_for() -> None:
    """A connection until when, or a source in a generation."""
    made = connect_links.read(connect_links.new_token(ID, UNTIL))
    assert made is not None
    assert (made.what, made.id, made.expires_at) == ("connection", ID, UNTIL)
    again = connect_links.read(connect_links.source_token(ID, 3))
    assert again is not None
    assert (again.what, again.id, again.generation) == ("source", ID, 3)


def test_each_connection_has_a_token_of_its_own_and_a_source_always_the_same() -> None:
    """So the same link is in an event and in a list."""
    assert connect_links.new_token(ID, UNTIL) != connect_links.new_token(ID, UNTIL)
    assert connect_links.source_token(ID, 3) == connect_links.source_token(ID, 3)
    url = connect_links.reconnect_url(source_id=ID, generation=3)
    assert url == f"https://book.example.com/connect/{connect_links.source_token(ID, 3)}"


@given(st.data())
@settings(max_examples=200, deadline=timedelta(seconds=5))
def test_a_changed_token_is_none(data: st.DataObject) -> None:
    """Whatever is changed of it."""
    token = connect_links.source_token(ID, 3)
    at = data.draw(st.integers(0, len(token) - 1))
    one = data.draw(st.sampled_from("ABCXYZabcxyz019-_=+/ é\0"))
    changed = token[:at] + one + token[at + 1 :]
    assert changed == token or connect_links.read(changed) is None


@given(st.text(max_size=200))
def test_any_text_is_none(text: str) -> None:
    """Without an error."""
    assert connect_links.read(text) is None


def test_secrets_change_without_ending_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are read while they change; one that is gone is not."""
    token = connect_links.source_token(ID, 3)
    set_environment(monkeypatch, {"CONNECT_SECRETS": f"{ONE}, {OTHER}"})
    assert connect_links.read(token) is not None
    assert connect_links.source_token(ID, 3) != token
    set_environment(monkeypatch, {"CONNECT_SECRETS": ONE})
    assert connect_links.read(token) is None


def test_what_is_sealed_is_for_one_purpose_and_one_binding() -> None:
    """Neither a state nor a form is a link, and none is another browser's."""
    sealed = sealing.seal(b"content", purpose="consent", bound_to=b"one")
    assert sealing.unseal(sealed, purpose="consent", bound_to=b"one") == b"content"
    assert sealing.unseal(sealed, purpose="form", bound_to=b"one") is None
    assert sealing.unseal(sealed, purpose="consent", bound_to=b"other") is None


@pytest.mark.parametrize("secrets", ["", "short", "short,also short"])
def test_without_a_secret_there_are_no_links(monkeypatch: pytest.MonkeyPatch, secrets: str) -> None:
    """One that can be guessed is none."""
    set_environment(monkeypatch, {"CONNECT_SECRETS": secrets})
    assert connect_links.reconnect_url(source_id=ID, generation=1) is None
    with pytest.raises(NoSecretError):
        connect_links.source_token(ID, 1)


@pytest.mark.parametrize(
    "url",
    ["http://book.example.com", "https://a/b", "https://user@a", "http://127.0.0.1.example.com", "ftp://a"],
)
def test_an_address_is_https_or_this_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A cookie that is not Secure is for the loopback address only."""
    set_environment(monkeypatch, {"PUBLIC_URL": url})
    with pytest.raises(ValueError, match="public_url"):
        connect_links.is_ready()
