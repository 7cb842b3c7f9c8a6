"""Leave of botocore's data what clients of some services read: `trim_botocore.py FOLDER SERVICE...`.

The other services' descriptions are searched and their endpoints, a megabyte of JSON, are read at every cold
start that makes a client. The layer's build runs it; it is not deployed.
"""

import json
import shutil
import sys
from collections.abc import Collection
from pathlib import Path


def trim(data: Path, services: Collection[str]) -> None:
    """Delete from botocore's folder `data` everything about other services."""
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in services:
            shutil.rmtree(folder)
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_text("utf-8"))
    for partition in endpoints["partitions"]:
        partition["services"] = {
            name: found for name, found in partition["services"].items() if name in services
        }
    file.unlink()  # it may be a link to a file that others use
    file.write_text(json.dumps(endpoints, separators=(",", ":")), "utf-8")


if __name__ == "__main__":
    trim(Path(sys.argv[1]), sys.argv[2:])
