"""What is put and what is patched are the same members."""

from typing import Any

import pytest
from pydantic import BaseModel

from admin.calendar_models import CalendarModel, CalendarPatch, CalendarRequest, Fairness, FairnessPatch
from admin.coach_models import CoachModel, CoachPatch, CoachRequest, Limits, LimitsPatch
from admin.settings_models import Buffers, BuffersPatch, merged

PAIRS = [
    (CoachRequest, CoachPatch),
    (Limits, LimitsPatch),
    (CalendarRequest, CalendarPatch),
    (Buffers, BuffersPatch),
    (Fairness, FairnessPatch),
]


@pytest.mark.parametrize(("put", "patch"), PAIRS)
def test_a_patch_has_the_members_of_a_put(put: type[BaseModel], patch: type[BaseModel]) -> None:
    """Each of them, and each may be left out."""
    assert put.model_fields.keys() == patch.model_fields.keys()
    assert patch.model_validate({}).model_dump() == {}
    nothing = dict.fromkeys(put.model_fields)
    assert patch.model_validate(nothing).model_dump(exclude_defaults=True) == nothing


@pytest.mark.parametrize(("put", "shown"), [(CoachRequest, CoachModel), (CalendarRequest, CalendarModel)])
def test_what_is_put_is_shown(put: type[BaseModel], shown: type[BaseModel]) -> None:
    """With the id, and nothing else."""
    assert shown.model_fields.keys() - put.model_fields.keys() < {"coach_id", "calendar_id"}
    assert put.model_fields.keys() < shown.model_fields.keys()


@pytest.mark.parametrize(
    ("known", "patch", "result"),
    [
        # Of the examples of RFC 7396, appendix A, those between objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_is_applied_as_the_rfc_says(
    known: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    """Null removes, objects are merged, everything else replaces."""
    assert merged(known, patch) == result
