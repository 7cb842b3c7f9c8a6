"""The whole system, started and stopped as a person does it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis

from local.function_env import PYTHONPATH
from local.processes import die_with_parent, library_path
from tests.integration.local.endings import children, running, wait_for, wait_for_end

_BOUND_SECONDS = 60.0
KILLS = 3  # while the part restarts


class Stack:
    """`python -m local.stack` on a data directory, on free ports unless told otherwise."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [*die_with_parent(signal.SIGTERM), sys.executable, "-m", "local.stack"],
            env={
                **library_path(),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": PYTHONPATH,
                "FAIRSLOT_DATA": str(data),
                **dict.fromkeys(("PORT", "CALENDAR_PORT", "CRM_PORT"), "0"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ready(self) -> str:
        """Wait for the line that says so and return the address in it."""
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("ready "):
                return line.split()[1]
        raise AssertionError("".join(said) + (self.process.stderr.read() if self.process.stderr else ""))

    def state(self) -> Any:
        """Return what the state file says."""
        return json.loads((self.data / "stack.json").read_text())

    def end(self, number: int) -> int:
        """Send a signal and return the exit code, when all that it had started is gone too."""
        started = children(self.process.pid)
        assert len(started) >= 5
        self.process.send_signal(number)
        self.process.communicate(timeout=_BOUND_SECONDS)
        for pid in started:
            wait_for_end(pid)
        return self.process.returncode

    def failure(self) -> str:
        """Wait until it has failed and return what it said of it."""
        _, said = self.process.communicate(timeout=_BOUND_SECONDS)
        assert self.process.returncode == 1
        return said


def get(url: str) -> httpx.Response:
    """Ask without the detours that the environment may name."""
    return httpx.get(url, trust_env=False, timeout=_BOUND_SECONDS)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that runs."""
    one = Stack(tmp_path_factory.mktemp("stack") / "data")
    one.ready()
    yield one
    one.end(signal.SIGINT)


def test_the_state_file_says_where_everything_is(stack: Stack) -> None:
    """Every address in it answers, and only its owner may read it."""
    state = stack.state()
    assert (stack.data / "stack.json").stat().st_mode & 0o777 == 0o600
    assert get(f"{state['gateway']}/health").status_code == 200
    for partner in ("calendar_api", "crm"):
        assert get(f"{state['partners'][partner]}/health").status_code == 200
    with psycopg.connect(state["database_url"]) as connection:
        assert connection.execute("SELECT count(*) FROM coaches").fetchone() == (6,)
    with redis.Redis.from_url(state["redis_url"]) as client:
        assert client.ping()
    assert get(f"{state['sqs_endpoint']}/_ministack/health").status_code == 200
    assert all(running(pid) for pid in (state["pid"], *state["pids"].values()))


def test_all_of_it_listens_on_loopback_only(stack: Stack) -> None:
    """A laptop in a café offers nothing to its neighbours."""
    pids = {stack.process.pid, *children(stack.process.pid)}
    sockets = set()
    for link in (link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):  # closed meanwhile
            sockets.add(str(link.readlink()))
    listening = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                assert fields[1].startswith("0100007F:"), line
                listening += 1
    assert listening >= 5


def test_a_second_stack_on_the_same_data_says_who_has_it(stack: Stack) -> None:
    """And leaves the first alone."""
    said = Stack(stack.data).failure()
    assert f"process {stack.process.pid}" in said
    assert "FAIRSLOT_DATA" in said
    assert get(f"{stack.state()['gateway']}/health").status_code == 200


def test_a_port_that_is_taken_fails_at_once(stack: Stack, tmp_path: Path) -> None:
    """Before anything is started."""
    taken = stack.state()["gateway"].rpartition(":")[2]
    assert f"port {taken}: Address already in use" in Stack(tmp_path, PORT=taken).failure()
    assert not (tmp_path / "postgres").exists()


def test_a_program_that_dies_is_restarted(stack: Stack) -> None:
    """At the same address, as a managed service would, and with its queues."""
    state = stack.state()
    for part in ("postgres", "valkey", "sqs"):
        os.kill(state["pids"][part], signal.SIGKILL)
        wait_for_end(state["pids"][part])
    wait_for(lambda: _works(state))


@pytest.mark.parametrize(("part", "program"), [("sqs", b"sqs_server.py"), ("postgres", b"cluster")])
def test_a_program_killed_while_it_restarts_is_restarted(tmp_path: Path, part: str, program: bytes) -> None:
    """The stack tries again, and tells the terminal of each failure."""
    stack = Stack(tmp_path / "data")
    try:
        stack.ready()
        state = stack.state()
        killed = state["pids"][part]
        os.kill(killed, signal.SIGKILL)
        for _ in range(KILLS):
            wait_for_end(killed)
            for killed in next_programs(stack, program):
                with suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(killed, signal.SIGKILL)
        wait_for_end(killed)
        wait_for(lambda: _works(state))
        wait_for(lambda: [stack.state()["pids"][part]] == programs(stack, program))
    finally:
        stack.process.send_signal(signal.SIGINT)
        said, errors = stack.process.communicate(timeout=_BOUND_SECONDS)
    assert stack.process.returncode == 0, errors
    # A kill is a failed restart, or an end of its own if the program was ready already.
    lines = [line for line in said.splitlines() if line.startswith(("trouble", part))]
    assert sum("trying again" in line or "restarting it" in line for line in lines) > KILLS, said


def next_programs(stack: Stack, name: bytes) -> list[int]:
    """Wait until there are programs with a word in their command, or the stack has ended; return those seen.

    Asked again they may not be: while a process becomes another program its command reads as empty.
    """
    found: list[int] = []

    def have_come() -> bool:
        found[:] = programs(stack, name)
        return bool(found) or stack.process.poll() is not None

    wait_for(have_come)
    return found


def programs(stack: Stack, name: bytes) -> list[int]:
    """Return the stack's children that have a word in their command."""
    found = []
    for pid in children(stack.process.pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if name in Path(f"/proc/{pid}/cmdline").read_bytes() and running(pid):
                found.append(pid)
    return found


def _works(state: Any) -> bool:
    """Return whether the database, the cache and a queue of the template answer."""
    try:
        question = httpx.post(
            state["sqs_endpoint"],
            headers={"X-Amz-Target": "AmazonSQS.GetQueueUrl"},
            json={"QueueName": "DeliveriesQueue"},
            trust_env=False,
        )
        health = get(f"{state['gateway']}/health").json()
    except httpx.TransportError:
        return False
    return question.is_success and (health["database"]["status"], health["cache"]["status"]) == ("ok", "ok")


def test_a_start_that_fails_says_why_and_stops_what_it_started(tmp_path: Path) -> None:
    """With the end of the log that tells more; and what is given an address is not started here."""
    absent = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "REDIS_URL": "redis://127.0.0.1:1/0"}
    stack = Stack(tmp_path, **absent)
    said = stack.failure()
    assert "failed: python -m fairslot.platform.migrate ended with code 1" in said
    assert "Connection refused" in said
    logs = {path.stem for path in (tmp_path / "logs").iterdir()}
    assert {"sqs", "crm", "calendar_api"} <= logs
    assert not {"postgres", "valkey"} & logs
    assert not (tmp_path / "stack.json").exists()
