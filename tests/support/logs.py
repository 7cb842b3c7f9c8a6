"""What was printed, as a log reader sees it."""

import json
from typing import Any

import pytest


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the JSON objects that were printed since the last call, one a line."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
