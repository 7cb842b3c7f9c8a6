"""Where the time zones come from."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

_OFFSET = """
from datetime import datetime
import fairslot
from zoneinfo import ZoneInfo
print(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")).strftime("%z"))
"""


def test_the_package_wins_over_the_machine(tmp_path: Path, root: Path) -> None:
    """A machine that takes Berlin for Tokyo is not believed."""
    package = files("tzdata") / "zoneinfo"
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe/Berlin").write_bytes((package / "Asia/Tokyo").read_bytes())
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "layers/common"),
        "PYTHONTZPATH": str(tmp_path),
    }
    command = [sys.executable, "-c", _OFFSET]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "+0100"


def test_every_zone_of_the_package_is_known() -> None:
    """What a zone may be called is what the package lists, and each can be read."""
    listed = set((files("tzdata") / "zones").read_text().split())
    assert available_timezones() == listed
    assert all(ZoneInfo(name).key == name for name in listed)
