"""Where the data and the checkout may lie, and what is said where they cannot."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.function_env import PYTHONPATH, ROOT
from local.valkey import EmbeddedValkey
from tests.integration.local.test_stack import Stack, get


@pytest.mark.parametrize(
    "name", ["with a space", 'a"quote', "it's", "back\\slash", "größe", "#hash", "tab\t"]
)
def test_valkey_starts_below_any_name(tmp_path: Path, name: str) -> None:
    """The directory of its data is the one that it was given."""
    with EmbeddedValkey(tmp_path / name) as valkey:
        assert valkey.pid is not None
        assert Path(f"/proc/{valkey.pid}/cwd").readlink() == tmp_path / name / "valkey"


def test_the_stack_starts_where_checkout_and_data_have_a_space(tmp_path: Path) -> None:
    """The data lies in the checkout when nothing else is said."""
    checkout = tmp_path / "a check out"
    for name in ("functions", "layers", "local"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", checkout)
    (checkout / ".tools").symlink_to(ROOT / ".tools")
    path = ":".join(str(checkout / folder) for folder in ("functions", "layers/common", "."))
    stack = Stack(checkout / ".data", PYTHONPATH=path, PYTHONSAFEPATH="1", FAIRSLOT_DATA="")
    try:
        assert get(f"{stack.ready()}/health").status_code == 200
        assert stack.state()["logs"] == str(checkout / ".data" / "logs")
    finally:
        stack.process.send_signal(signal.SIGTERM)
        stack.process.communicate()


# Places where nobody, root included, can keep data; relative ones are in a folder with the file `logs`.
UNUSABLE = {
    "a file": "logs",
    "below a file": "logs/data/deep",
    "with a file in the way": "",
    "without a parent that can be made": "/proc/absent/data",
    "read-only": "/proc",
}


@pytest.mark.parametrize("place", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_data_directory_that_cannot_be_written_is_a_one_line_error(tmp_path: Path, place: str) -> None:
    """With the place, the reason and the variable that moves it; nothing is started."""
    (tmp_path / "logs").write_text("")
    data = tmp_path / place
    (said,) = Stack(data).failure().splitlines()
    assert said.startswith(f"failed: cannot use {data} for the data: ")
    assert "FAIRSLOT_DATA" in said
    assert "None" not in said


def test_a_program_that_cannot_write_its_data_is_a_one_line_error(tmp_path: Path) -> None:
    """With the part's name; what was started before it is stopped."""
    (tmp_path / "valkey").write_text("")
    said = Stack(tmp_path).failure()
    assert said.startswith("failed: valkey could not be started: ")
    assert str(tmp_path / "valkey") in said
    assert len(said.splitlines()) == 1


def test_a_disk_that_is_full_at_the_start_is_a_one_line_error(tmp_path: Path) -> None:
    """The first log that cannot be written ends the start, and what was started is stopped."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "migrate.log").symlink_to("/dev/full")
    (said,) = Stack(tmp_path).failure().splitlines()
    assert said == "failed: [Errno 28] No space left on device"


def test_dead_letters_of_a_stack_that_cannot_be_there(tmp_path: Path) -> None:
    """The command says that no stack is running there, also where the place is a file."""
    file = tmp_path / "file"
    file.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "local.redrive"],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "FAIRSLOT_DATA": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()) == (1, [done.stderr.strip()])
    assert f"no local stack is running on {file}" in done.stderr
