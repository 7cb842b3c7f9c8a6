"""The services of AWS that functions call."""

import json
import re
from pathlib import Path
from typing import Any, get_args

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
