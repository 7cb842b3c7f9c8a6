"""The services of AWS that functions call."""

import re
from pathlib import Path
from typing import get_args

from fairslot.platform.aws import Service


def test_the_layer_describes_the_services_that_are_called(root: Path) -> None:
    """Botocore can make a client only of a service that the layer's build has left in."""
    makefile = (root / "layers/common/Makefile").read_text("utf-8")

    kept = re.search(r"^SERVICES := (.*)$", makefile, re.MULTILINE)

    assert kept is not None
    assert sorted(kept[1].split()) == sorted(get_args(Service.__value__))
