"""What was printed, as a log reader sees it."""

import json
from typing import Any

import pytest


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the JSON objects that were printed since the last call, one a line."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def check_counted(capsys: pytest.CaptureFixture[str], reason: str) -> None:
    """Assert that the refusal of one credential was counted, and its reason alone."""
    (said,) = [one for one in json_lines(capsys) if "CredentialsRefused" in one]
    refused = {name: value for name, value in said.items() if name.startswith("CredentialsRefused")}
    assert refused == {"CredentialsRefused": [1.0], f"CredentialsRefused{reason}": [1.0]}
