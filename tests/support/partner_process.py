"""Start a stand-in partner as the process that it is in the local stack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


@contextmanager
def partner(name: str, data: Path, *, port: int = 0, **environment: str) -> Iterator[httpx.Client]:
    """Yield a client of a running stand-in (`calendar_api` or `crm`); without faults unless asked for."""
    prefix = name.partition("_")[0].upper()
    calm = {f"{prefix}_FAILURE_RATE": "0", f"{prefix}_LATENCY_MS": "0-0", f"{prefix}_HANG_RATE": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"local.partners.{name}", "--port", str(port), "--data", str(data)],
        env={**os.environ, **calm, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("listening on 127.0.0.1:"), line
        address = line.removeprefix("listening on ")
        with httpx.Client(base_url=f"http://{address}", timeout=10, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=10)
