"""What the tests of the local stack share."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from local.logs import Warn, ignore
from local.pools import Pool
from local.processes import library_path

_HANDLERS = Path(__file__).parent
_BOUND_SECONDS = 30.0

type MakePool = Callable[..., Pool]


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what the stack runs on."""
    return "asyncio"


@pytest.fixture
async def make_pool(tmp_path: Path) -> AsyncIterator[MakePool]:
    """Make pools of the functions in `lambda_handlers`; they are stopped at the test's end."""
    pools: list[Pool] = []

    def make(
        handler: str,
        *,
        max_processes: int = 2,
        seconds: float = 10.0,
        behind: bool = False,
        warn: Warn = ignore,
        **variables: str,
    ) -> Pool:
        environment = {
            **library_path(),
            "AWS_LAMBDA_FUNCTION_NAME": "Tried",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "LAMBDA_TASK_ROOT": str(_HANDLERS),
            "PYTHONPATH": os.pathsep.join([str(_HANDLERS), *sys.path]),
            **variables,
        }
        log = tmp_path / "function.log"
        limits: dict[str, Any] = {"max_processes": max_processes, "seconds": seconds, "behind": behind}
        pools.append(Pool(handler, environment, log, **limits, warn=warn))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.stop()


async def eventually(holds: Callable[[], bool]) -> None:
    """Return when a condition holds; fail if that takes too long."""
    deadline = time.monotonic() + _BOUND_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        await asyncio.sleep(0.005)
