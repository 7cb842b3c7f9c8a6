"""The services of AWS that functions call."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

import fairslot
from fairslot.platform import aws
from fairslot.platform.aws import Service
from trim_botocore import trim


def test_the_layer_describes_the_services_that_are_called(root: Path) -> None:
    """Botocore can make a client only of a service that the layer's build has left in."""
    makefile = (root / "layers/common/Makefile").read_text("utf-8")

    kept = re.search(r"^SERVICES := (.*)$", makefile, re.MULTILINE)

    assert kept is not None
    assert sorted(kept[1].split()) == sorted(get_args(Service.__value__))


def test_of_other_services_nothing_is_left(tmp_path: Path) -> None:
    """Neither their descriptions nor their endpoints, of which a client of any service would read all."""
    for name in ("sqs", "s3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "service-2.json.gz").touch()
    partition: dict[str, Any] = {"regions": {"eu-west-1": {}}, "services": {"s3": {}, "sqs": {}}}
    endpoints = {"version": 3, "partitions": [partition]}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints), "utf-8")

    trim(tmp_path, ["sqs"])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoints.json", "sqs"]
    left = json.loads((tmp_path / "endpoints.json").read_text("utf-8"))
    assert left == {"version": 3, "partitions": [{**partition, "services": {"sqs": {}}}]}


def test_a_call_says_who_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one short text for all calls: botocore would put its own together for each."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = aws.client("sqs", connect_seconds=1, read_seconds=1, attempts=1)
    seen: list[str] = []

    def note(request: Any, **_: Any) -> None:
        seen.append(request.headers["User-Agent"])
        raise InterruptedError

    client.meta.events.register("before-sign.sqs", note)
    with pytest.raises(InterruptedError):
        client.list_queues()
    assert seen == [f"fairslot/{fairslot.__version__}"]
