"""What `sam build` makes of the template is whole: it would start on Lambda."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qs, urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fairslot.platform.aws import Service
from local.processes import library_path
from tests.support.cloudformation import ROOT, environment, functions

FUNCTIONS = functions()
# Lambda's limit for a function and its layers, unpacked.
LIMIT_BYTES = 250 * 1024 * 1024
# ELF's number for the machine (e_machine): EM_AARCH64.
AARCH64 = 183
# PEP 552: byte code that is used without a look at its source.
UNCHECKED_HASH = 0b01
LOAD = """
import importlib, sys
sys.path[:0] = sys.argv[2:]
module, attribute = sys.argv[1].rsplit(".", 1)
assert callable(getattr(importlib.import_module(module), attribute))
print(sys.modules[module].__file__, sys.modules["fairslot"].__file__, sep="\\n")
"""

CLIENT = """
import sys
sys.path[:0] = sys.argv[2:]
from fairslot.platform.aws import client
client(sys.argv[1], connect_seconds=1, read_seconds=1, attempts=1)
"""


def call_make(*arguments: str) -> None:
    """Run make as a shell would, also where make runs the tests."""
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
    environment["PATH"] = f"{ROOT / '.tools' / 'sam' / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        ["make", "--silent", *arguments],
        cwd=ROOT,
        env=environment,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout


def run_bare(code: str, *arguments: str) -> str:
    """Run Python with the standard library alone; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-B", "-I", "-S", "-c", code, *arguments],
        env={"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", **library_path()},
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of what is deployed; built first where something has changed since."""
    call_make(".aws-sam/.built")
    return ROOT / ".aws-sam" / "build"


@pytest.fixture(scope="session")
def layer(built: Path) -> Path:
    """The folder that Lambda puts on the path as /opt/python."""
    return built / "CommonLayer" / "python"


@pytest.fixture(scope="session")
def binaries(layer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine's builds of the packages that the layer has for Lambda's processor."""
    folder = tmp_path_factory.mktemp("binaries")
    for name in sorted({file.relative_to(layer).parts[0] for file in layer.rglob("*.so*")}):
        ours = Path(sysconfig.get_path("platlib")) / name
        # The copies of C libraries are named after the platform.
        if ours.exists():
            (folder / name).symlink_to(ours)
    return folder


# The first one builds, over the network.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_loads_from_what_was_built(name: str, built: Path, layer: Path, binaries: Path) -> None:
    """Each handler loads with nothing on the path but the standard library, its function and the layer."""
    path = [str(folder) for folder in (binaries, built / name, layer)]
    handler, package = map(Path, run_bare(LOAD, FUNCTIONS[name]["Handler"], *path).split())
    assert handler.is_relative_to(built / name)
    assert package.is_relative_to(layer)


@pytest.mark.parametrize("service", get_args(Service.__value__))
def test_the_layer_makes_a_client_of_each_service(service: str, layer: Path) -> None:
    """Of botocore's descriptions the build leaves what a client of a called service needs."""
    run_bare(CLIENT, service, str(layer))
    assert len([*(layer / "botocore/data").glob("*/")]) == len(get_args(Service.__value__))


def test_the_layer_has_every_file_of_the_package(layer: Path) -> None:
    """The SQL goes with the code, the migrations too, and nothing is left of an earlier build."""
    source = ROOT / "layers" / "common" / "fairslot"
    for folder in (source, layer / "fairslot"):
        assert list(folder.glob("sql/*.sql"))
        assert list(folder.glob("schema/tables/*/*.sql"))
        assert list(folder.glob("schema/functions/*.sql"))
    assert files(layer / "fairslot") == files(source)


def files(folder: Path) -> dict[str, bytes]:
    """Return each file's content but byte code."""
    found = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def test_the_layer_has_the_pinned_packages(layer: Path) -> None:
    """What was tested here is what is shipped, version by version."""
    pins = (ROOT / "layers" / "common" / "requirements.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", pins, flags=re.MULTILINE))
    shipped = {
        tuple(folder.name.removesuffix(".dist-info").split("-")) for folder in layer.glob("*.dist-info")
    }
    assert {(name.lower().replace("_", "-"), version) for name, version in shipped} == pinned


def test_nothing_that_a_shipped_package_wants_is_missing(layer: Path) -> None:
    """Also what is only imported late, on the first request, is there."""
    shipped = list(importlib.metadata.distributions(path=[str(layer)]))
    wanted = {
        canonicalize_name(requirement.name)
        for package in shipped
        for requirement in map(Requirement, package.requires or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert "httpcore" in wanted
    assert wanted <= {canonicalize_name(package.name) for package in shipped}


def test_binaries_are_for_the_processor_of_the_functions(layer: Path) -> None:
    """Postgres's client and pydantic's core are there, compiled for arm64, as everything compiled is."""
    compiled = list(layer.rglob("*.so*"))
    assert {"_psycopg", "_pydantic_core"} <= {file.name.partition(".")[0] for file in compiled}
    for file in compiled:
        head = file.read_bytes()[:20]
        assert head[:4] == b"\x7fELF"
        assert int.from_bytes(head[18:20], "little") == AARCH64, file


@pytest.mark.parametrize("part", ["CommonLayer", "BookingFunction"])
def test_byte_code_is_shipped(part: str, built: Path) -> None:
    """Every module comes compiled for this Python, in the form that does not ask for the file's time."""
    modules = list((built / part).rglob("*.py"))
    assert modules
    for module in modules:
        code = Path(importlib.util.cache_from_source(str(module))).read_bytes()
        assert code[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(code[4:8], "little") == UNCHECKED_HASH


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_and_layer_are_within_the_limit(name: str, built: Path) -> None:
    """Lambda takes them."""
    parts = (built / name, built / "CommonLayer")
    size = sum(file.stat().st_size for part in parts for file in part.rglob("*") if file.is_file())
    assert size < LIMIT_BYTES


def test_a_change_outside_the_functions_changes_them(built: Path, tmp_path: Path) -> None:
    """SAM publishes a version for a change in a function's files; they tell of layer and parameters."""
    for folder in ("functions", "layers/common"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    parameters = tmp_path / "samconfig.toml"
    shutil.copy(ROOT / parameters.name, parameters)

    def digest() -> str:
        artifacts = tmp_path / "artifacts"
        shutil.rmtree(artifacts, ignore_errors=True)
        artifacts.mkdir()
        folder = tmp_path / "functions"
        call_make("-C", str(folder), f"ARTIFACTS_DIR={artifacts}", "build-BookingFunction")
        return (artifacts / "release.sha256").read_text("ascii")

    digests = [digest()]
    (tmp_path / "layers/common/fairslot/__init__.py").touch()
    assert digest() == digests[0]
    (tmp_path / "layers/common/fairslot/schema/tables/9999_new.sql").write_text("SELECT 1")
    digests.append(digest())
    parameters.write_text(parameters.read_text("utf-8") + "# the password was changed\n")
    digests.append(digest())
    assert len(set(digests)) == 3


def test_the_database_can_prove_itself(built: Path) -> None:
    """The layer has the roots of databases and of RDS Proxy, where functions look for them."""
    inside = environment(FUNCTIONS["AvailabilityFunction"])["DATABASE_URL"]["Fn::Sub"][0]
    [path] = parse_qs(urlsplit(inside.replace("${Host}", "host")).query)["sslrootcert"]
    roots = ssl.create_default_context(cafile=built / "CommonLayer" / Path(path).relative_to("/opt"))
    text = str(roots.get_ca_certs())
    names = set(re.findall(r"'commonName', '([^']+)'", text))
    regions = {"us-east-1", "eu-central-1", "eu-west-1", "ap-southeast-2", "sa-east-1"}
    assert {f"Amazon RDS {region} Root CA RSA2048 G1" for region in regions} <= names
    assert {f"Amazon Root CA {number}" for number in range(1, 5)} <= names
