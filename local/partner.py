"""A partner's stand-in as a process of its own, on the port it is asked for or on a free one."""

import os
import re
import sys
from pathlib import Path

from local.function_env import PYTHONPATH
from local.processes import Child, Program, spawn


class Partner(Program):
    """Runs `python -m local.partners.<name>`, whose faults the caller's environment sets."""

    def __init__(self, name: str, port: int, data: Path, logs: Path) -> None:
        super().__init__(logs / f"{name}.log", port)
        self.wanted_port = port
        self._name = name
        self._data = data
        self._said_before = 0

    @property
    def url(self) -> str:
        """The address, known when it has started."""
        return f"http://127.0.0.1:{self.port}"

    def _spawn(self) -> Child:
        self._data.mkdir(parents=True, exist_ok=True)
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        return spawn(
            [
                *(sys.executable, "-m", f"local.partners.{self._name}"),
                *("--port", str(self.port), "--data", str(self._data.resolve())),
            ],
            log=self.log,
            env={**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1"},
        )

    def _is_ready(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            said = re.search(rb"listening on 127\.0\.0\.1:(\d+)", log.read())
        if said is None:
            return False
        self.port = int(said[1])
        return True
