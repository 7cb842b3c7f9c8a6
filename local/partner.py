"""A partner's stand-in in a process of its own, on the wanted port or, if that is taken, a free one."""

import os
import re
import sys
from pathlib import Path

from local.function_env import PYTHONPATH
from local.processes import Child, Program, put_behind, spawn


class Partner(Program):
    """Runs `python -m local.partners.<name>`; the environment sets its faults."""

    def __init__(self, name: str, port: int, data: Path, logs: Path) -> None:
        super().__init__(logs / f"{name}.log", port)
        self.wanted_port = port
        self._name = name
        self._data = data
        self._log_size_before = 0

    def launch(self) -> None:
        """Start it without waiting until it is ready. Raises StartError."""
        self._log_size_before = self.log.stat().st_size if self.log.exists() else 0
        super().launch()

    @property
    def url(self) -> str:
        """The address, known once it is ready."""
        return f"http://127.0.0.1:{self.port}"

    def _spawn(self) -> Child:
        self._data.mkdir(parents=True, exist_ok=True)
        child = spawn(
            [
                *(sys.executable, "-m", f"local.partners.{self._name}"),
                *("--port", str(self.port), "--data", str(self._data.resolve())),
            ],
            log=self.log,
            env={**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1"},
        )
        put_behind(child.pid)  # it stands for a machine of its own
        return child

    def _is_ready(self) -> bool:
        line = re.search(rb"listening on 127\.0\.0\.1:(\d+)", self._said())
        if line is None:
            return False
        self.port = int(line[1])
        return True

    def _said(self) -> bytes:
        """Return what it has logged since it was launched."""
        with self.log.open("rb") as log:
            log.seek(self._log_size_before)
            return log.read()
