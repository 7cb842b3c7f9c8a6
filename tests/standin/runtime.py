"""Lambda: functions see what they would see there, share an unpacked layer, and end with their stack."""

import hashlib
import io
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime  # type: ignore[import-not-found]
from ministack.services import lambda_svc  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

_SNAPSHOT_SECONDS = 300.0
_LOOK_SECONDS = 0.05
_lock = Lock()


def correct() -> None:
    """Run functions by the interpreter without ministack's packages; link archives that are unpacked."""
    lambda_runtime._detect_runtime_binary = _bare_interpreter  # noqa: SLF001
    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": _UnpackedOnce})
    function = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]  # noqa: SLF001
    function["delete"] = _with_its_processes(function["delete"])
    version = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Version"]  # noqa: SLF001
    # An update makes a version by the same function.
    version["create"] = provisioners._lambda_version_create = _once_it_is_active(version["create"])  # noqa: SLF001
    mapping = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]  # noqa: SLF001
    mapping["create"] = _with_numbers(mapping["create"])
    lambda_runtime.Worker._spawn = _with_opt(lambda_runtime.Worker._spawn)  # noqa: SLF001


def _once_it_is_active(publish: Callable[..., tuple[str, Any]]) -> Callable[..., tuple[str, Any]]:
    """Wait for a version's snapshot, as CloudFormation does, so that its alias moves to what can answer."""

    def published(*given: Any) -> tuple[str, Any]:
        made = publish(*given)
        name, number = made[0].rsplit(":", 2)[1:]
        config = lambda_svc._functions[name]["versions"][number]["config"]  # noqa: SLF001
        deadline = time.monotonic() + _SNAPSHOT_SECONDS
        while config["State"] == "Pending" and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if config["State"] != "Active":
            raise ValueError(f"version {number} of {name} is {config['State']}: {config.get('StateReason')}")
        return made

    return published


def _with_its_processes(delete: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
    """End the processes of a function that a stack deletes, and remove their files."""

    def deleted(physical_id: str, properties: Any) -> None:
        delete(physical_id, properties)
        lambda_runtime.invalidate_worker(physical_id)

    return deleted


def _with_numbers(create: Callable[..., Any]) -> Callable[..., Any]:
    """Make a number of the value of a parameter, as CloudFormation does where a resource wants one."""

    def created(logical_id: str, properties: dict[str, Any], *rest: Any) -> Any:
        scaling = properties.get("ScalingConfig", {})
        return create(
            logical_id,
            properties | {"ScalingConfig": {name: int(one) for name, one in scaling.items()}},
            *rest,
        )

    return created


def _with_opt(spawn: Callable[[Any], None]) -> Callable[[Any], None]:
    """Have variables name the folder of the layer where they name /opt, which is none of ours."""

    def spawned(worker: Any) -> None:
        variables = worker.config.get("Environment", {}).get("Variables", {})
        if any("/opt/" in value for value in variables.values()):
            [layer] = worker.config["Layers"]
            archive = io.BytesIO(lambda_svc._resolve_layer_zip(layer))  # noqa: SLF001
            opt = str(_unpacked(zipfile.ZipFile(archive), hashlib.sha256(archive.getbuffer()).hexdigest()))
            named = {name: value.replace("/opt/", f"{opt}/") for name, value in variables.items()}
            worker.config = worker.config | {"Environment": {"Variables": named}}
        spawn(worker)

    return spawned


def _bare_interpreter(runtime: str) -> tuple[str, str]:
    """Return the interpreter that ministack's environment was made from: it finds no package of it."""
    wanted = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if runtime != wanted:
        raise RuntimeError(f"functions run by {wanted} here, and this one wants {runtime}")
    return sys._base_executable, lambda_runtime._PYTHON_WORKER_SCRIPT  # type: ignore[attr-defined]  # noqa: SLF001


class _UnpackedOnce(zipfile.ZipFile):
    """Unpacks an archive once into a folder of its own, and gives links to what is in there.

    The layer has 90 MB: a warm process of each function and version would hold a copy.
    """

    def extractall(self, path: Any = None, *_: Any) -> None:
        """Link what is in the archive into the folder `path`."""
        with Path(str(self.filename)).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        for one in _unpacked(self, digest).iterdir():
            Path(path, one.name).symlink_to(one)


def _unpacked(archive: zipfile.ZipFile, digest: str) -> Path:
    """Return the folder in which an archive is unpacked."""
    folder = Path(tempfile.gettempdir(), "unpacked", digest)
    with _lock:
        if not folder.exists():
            fresh = folder.with_name("fresh")
            shutil.rmtree(fresh, ignore_errors=True)
            zipfile.ZipFile.extractall(archive, fresh)
            fresh.rename(folder)
    return folder
