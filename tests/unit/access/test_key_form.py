"""The form of API keys: made at random, and told from what is none."""

import string
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from fairslot.access import key_form

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def test_a_key_has_its_form() -> None:
    """A prefix, 30 characters of base62 and six of checksum; no two are alike."""
    made = {key_form.make() for _ in range(1000)}
    assert len(made) == 1000
    for key in made:
        assert key_form.is_key(key)
        prefix, rest = key.split("_")
        assert (prefix, len(rest)) == ("fairslot", 36)
        assert set(rest) <= set(BASE62)
        assert key_form.start_of(key) == key[:13]


def test_the_checksum_is_a_crc_32_in_base62() -> None:
    """Another program can compute it."""
    key = key_form.make()
    number = 0
    for digit in key[-6:]:
        number = number * 62 + BASE62.index(digit)
    assert number == crc32(key[:-6].encode())


@given(st.integers(9, 44), st.sampled_from(BASE62))
def test_a_mistyped_key_is_none(place: int, typed: str) -> None:
    """One wrong character anywhere is noticed."""
    key = key_form.make()
    wrong = key[:place] + typed + key[place + 1 :]
    assert key_form.is_key(wrong) == (wrong == key)


@given(st.text(max_size=60))
def test_other_texts_are_none(text: str) -> None:
    """Whatever their characters are."""
    assert not key_form.is_key(text)
    assert not key_form.is_key(f"fairslot_{text}")
