"""Partial answers as Google gives them."""

import pytest

from local.partners import field_mask

PAGE = {
    "kind": "calendar#events",
    "summary": "Ana",
    "items": [
        {"id": "a", "summary": "Dentist", "start": {"dateTime": "x", "timeZone": "y"}},
        {"id": "b", "extendedProperties": {"private": {"k": "v"}, "shared": {"k": "w"}}},
    ],
}


def test_only_what_was_asked_for_is_left() -> None:
    """Members by name, in lists and objects, by brackets or slashes."""
    mask = field_mask.parse("kind,items(id,start/dateTime,extendedProperties/private)")
    assert field_mask.apply(mask, PAGE) == {
        "kind": "calendar#events",
        "items": [
            {"id": "a", "start": {"dateTime": "x"}},
            {"id": "b", "extendedProperties": {"private": {"k": "v"}}},
        ],
    }


def test_a_member_without_parts_is_whole() -> None:
    """A leaf has all that is below it."""
    assert field_mask.apply(field_mask.parse("items"), PAGE) == {"items": PAGE["items"]}


@pytest.mark.parametrize("text", ["", ",", "a,", "a(", "a(b", "a)", "a//b", "a(b)c", "(a)"])
def test_what_is_no_selection_is_refused(text: str) -> None:
    """Google answers 400."""
    with pytest.raises(ValueError, match=r"."):
        field_mask.parse(text)
