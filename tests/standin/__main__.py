"""Serves an AWS account on a loopback port: ministack, with the corrections that this template needs.

`python -m tests.standin` with the Python of `.tools/standin`. Reads a JSON object from its standard input:
`port`; `postgres` and `valkey`, the addresses of administrators of the real servers; `authority`, a file
for the certificate that vouches for their endpoints here. The rest is in the environment, as documented.
To its standard output, beside its log, it writes a line of JSON for each call that was denied.
"""

import asyncio
import json
import os
import sys
from importlib import metadata
from pathlib import Path

VERSION = "1.5.33"


def _refuse_another_version(found: str) -> None:
    if found != VERSION:
        sys.exit(
            f"tests/standin corrects ministack {VERSION}, and this is {found}: pin {VERSION}, or read each"
            " correction beside the new version, drop those that it does not need, and change VERSION"
        )


async def _serve(port: int) -> None:
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack.app import app  # type: ignore[import-not-found]

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    await serve(app, config)


def main() -> None:
    """Correct what has to be, then serve until a signal comes."""
    _refuse_another_version(metadata.version("ministack"))
    given = json.load(sys.stdin)
    # Functions inherit what is left: they must find our modules in the layer alone.
    os.environ.pop("PYTHONPATH", None)
    from tests.standin import alarms, data, http_api, iam, network, runtime, secrets

    alarms.correct()
    iam.correct()
    http_api.correct()
    network.correct()
    secrets.correct()
    data.correct(postgres=given["postgres"], valkey=given["valkey"], authority=Path(given["authority"]))
    runtime.correct()
    # It loads the application, which has to find the rest corrected.
    from tests.standin import edge

    edge.correct()
    asyncio.run(_serve(given["port"]))


if __name__ == "__main__":
    main()
