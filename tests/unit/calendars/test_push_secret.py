"""The secret of a channel: told back by its provider, made by nobody else."""

import hmac
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars import push_secret
from fairslot.calendars.push_secret import Channel, Provider, PushSecrets

SOURCE = UUID("0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22")
CHANNEL = Channel(provider="microsoft", source_id=SOURCE, generation=7)
CURRENT, NEXT = "current " * 4, "next " * 8
SECRETS = PushSecrets([CURRENT])
MADE = SECRETS.make(CHANNEL)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.sampled_from(["google", "microsoft"]), st.uuids(), st.integers(0, 2**32 - 1))
def test_a_secret_names_its_channel(provider: Provider, source_id: UUID, generation: int) -> None:
    """All of it, within what both providers allow."""
    channel = Channel(provider=provider, source_id=source_id, generation=generation)
    made = SECRETS.make(channel)
    assert SECRETS.channel(provider, made) == channel
    assert len(made) == 72


def test_a_secret_is_the_same_whenever_it_is_made() -> None:
    """And another for each provider, source and generation."""
    assert SECRETS.make(CHANNEL) == MADE
    others: list[Channel] = [
        Channel(provider="google", source_id=SOURCE, generation=7),
        Channel(provider="microsoft", source_id=UUID(int=1), generation=7),
        Channel(provider="microsoft", source_id=SOURCE, generation=8),
    ]
    assert len({MADE, *map(SECRETS.make, others)}) == 4


def test_a_secret_of_one_provider_is_none_of_the_other() -> None:
    """What one of them was told does not speak for the other."""
    assert SECRETS.channel("google", MADE) is None


@given(st.integers(0, 71), st.sampled_from(ALPHABET))
def test_a_changed_secret_is_none(at: int, other: str) -> None:
    """Each of its characters counts."""
    changed = MADE[:at] + other + MADE[at + 1 :]
    assert (SECRETS.channel("microsoft", changed) is None) == (changed != MADE)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        7,
        b"x" * 72,
        [MADE],
        MADE + "A",
        MADE[:-1],
        MADE + "==",
        MADE + "\n",
        " " + MADE,
        "é" * 72,
        "+" * 72,
    ],
)
def test_what_has_not_its_form_is_none(text: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """And costs nothing."""
    monkeypatch.setattr(push_secret, "hmac", None)
    assert SECRETS.channel("microsoft", text) is None


def test_secrets_are_changed_in_turn() -> None:
    """The new one makes them, the old one is known until it is gone."""
    turning = PushSecrets([NEXT, CURRENT])
    assert turning.channel("microsoft", MADE) == CHANNEL
    assert turning.make(CHANNEL) == PushSecrets([NEXT]).make(CHANNEL) != MADE
    assert PushSecrets([NEXT]).channel("microsoft", MADE) is None


def test_a_forged_secret_costs_one_hmac_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the deployment has two."""
    made: list[bytes] = []
    digest = hmac.digest

    def counted(*given: Any) -> bytes:
        made.append(digest(*given))
        return made[-1]

    monkeypatch.setattr(hmac, "digest", counted)
    turning = PushSecrets([NEXT, CURRENT])
    forged = MADE[:-1] + ("A" if MADE[-1] != "A" else "B")
    assert turning.channel("microsoft", forged) is None
    assert len(made) == 1
    assert turning.channel("microsoft", "AAA" + MADE[3:]) is None
    assert len(made) == 1


@pytest.mark.parametrize("secrets", [[], [""], ["short"], [CURRENT, ""]])
def test_there_is_a_secret(secrets: list[str]) -> None:
    """Without one anybody could make them."""
    with pytest.raises(ValueError, match="at least 32 characters"):
        PushSecrets(secrets)
