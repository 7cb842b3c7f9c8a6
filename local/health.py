"""Waits for a healthy stack."""

import asyncio
import time
from pathlib import Path

import aiohttp

from local.processes import StartError
from local.template import Template

_SECONDS = 30.0
_ROUTE = ("GET", "/health")


async def wait(url: str, template: Template, logs: Path) -> None:
    """Return when GET /health answers 200, or immediately if the template has no such route.

    Raises:
        StartError: it did not in time; has the last response.

    """
    function = next((one for one in template.functions.values() if _ROUTE in one.routes), None)
    if function is None:
        return
    deadline = time.monotonic() + _SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session:
        while True:
            async with session.get(f"{url}{_ROUTE[1]}") as answer:
                if answer.ok:
                    return
                said = f"{answer.status} {(await answer.text())[:500]}"
            if time.monotonic() > deadline:
                raise StartError(f"GET {_ROUTE[1]} answers {said}", logs / f"{function.name}.log")
            await asyncio.sleep(0.1)
