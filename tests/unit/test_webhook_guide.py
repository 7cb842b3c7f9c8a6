"""The receivers' guide says what the code does: types, members, defaults, limits and the way to verify."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from admin.models import EndpointRequest, RotationRequest
from fairslot.dispatch import endpoint_limits, subscribers
from fairslot.platform import http_client, signing, signing_secrets
from fairslot.platform.settings import Settings
from fairslot.webhooks.subscriptions import EVENT_TYPES, LONGEST_HEADER, MOST_HEADERS

GUIDE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
EXAMPLES = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)]
CODE = next(one for one in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if "def is_ours" in one)


def test_every_type_has_an_example_and_no_other_has() -> None:
    """One each, and the test event."""
    assert sorted(one["type"] for one in EXAMPLES) == sorted([*EVENT_TYPES, "endpoint.test"])
    for one in EXAMPLES:
        assert set(one) == {"type", "timestamp", "version", "data"}
        assert one["data"].get("version", 1) == one["version"]
        assert not set(one["data"]) & subscribers.PERSONAL - {"reason"}


def test_the_defaults_are_those_of_the_settings() -> None:
    """Each row that names a setting gives its default."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", GUIDE, re.MULTILINE))
    defaults = Settings.model_validate({}).model_dump()
    assert rows == {name: str(defaults[name.lower()]) for name in rows}
    assert len(rows) == 12
    for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", GUIDE):
        assert name.lower() in defaults, name


def test_the_limits_are_those_of_the_code() -> None:
    """Where a number is fixed, the sentence has it."""
    schema = EndpointRequest.model_json_schema()
    defined = schema["$defs"]
    said = " ".join(GUIDE.split())
    for sentence in (
        f"At most {signing_secrets.MOST_EARLIER + 1} secrets".replace("3", "three"),
        f"{RotationRequest().overlap_hours:.0f} unless told) the one before",
        f"at most {defined['Patterns']['maxItems']} patterns, {MOST_HEADERS} headers",
        f"up to {LONGEST_HEADER:,} characters, and a description of {defined['Description']['maxLength']}",
        f"at most {defined['Url']['maxLength']:,} characters",
        (
            f"is 1 to {defined['Concurrency']['maximum']} attempts at once, {endpoint_limits.CONCURRENCY}"
            " unless told"
        ),
        f"`rate_per_second` is {defined['Rate']['minimum']} to {defined['Rate']['maximum']:,.0f}",
        f"at most {http_client.ANSWER_BYTES // 1024} KiB are read",
        f"first {subscribers.EXCERPT_BYTES} bytes",
    ):
        assert sentence in said, sentence


@pytest.mark.parametrize("number", range(3))
def test_the_way_to_verify_by_hand_verifies(number: int) -> None:
    """The guide's own function takes what we sign by any of three secrets, and nothing else."""
    known, body, now = [signing_secrets.make() for _ in range(3)], b'{"type": "x"}', int(time.time())
    names: dict[str, Any] = {}
    exec(CODE, names)  # noqa: S102 - it is ours
    is_ours = names["is_ours"]
    headers = dict(signing.headers(known, message_id="m", timestamp=now, content=body))
    assert is_ours(known[number], headers, body)
    assert not is_ours(signing_secrets.make(), headers, body)
    assert not is_ours(known[number], headers, body + b" ")
    late = dict(signing.headers(known, message_id="m", timestamp=now - 301, content=body))
    assert not is_ours(known[number], late, body)
