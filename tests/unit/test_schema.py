"""Where the text of the schema stands: tables by steps that run once, each function in one place."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

SCHEMA = Path("layers/common/fairslot/schema")
_FUNCTION = re.compile(
    r"^(?P<about>(?:-- .*\n|--\n)*)CREATE (?P<how>.*?)(?:FUNCTION|PROCEDURE) (?P<name>[\w.]+)\(", re.MULTILINE
)


def texts(root: Path, folder: str) -> dict[str, str]:
    """Return the text of each file by name."""
    return {one.name: one.read_text("utf-8") for one in sorted((root / SCHEMA / folder).rglob("*.sql"))}


def functions(text: str) -> list[re.Match[str]]:
    """Return the definitions of a file."""
    return list(_FUNCTION.finditer(text))


def arguments(found: re.Match[str]) -> str:
    """Return a definition's arguments as they are written."""
    rest = found.string[found.end() :]
    return " ".join(re.split("RETURNS|LANGUAGE", rest, maxsplit=1)[0].split())


def test_no_function_has_two_definitions(root: Path) -> None:
    """One name with the same arguments is in one place."""
    found = [one for text in texts(root, "functions").values() for one in functions(text)]
    assert len(found) > 80
    twice = [
        name for name, times in Counter((one["name"], arguments(one)) for one in found).items() if times > 1
    ]
    assert not twice


def test_a_migration_defines_no_function(root: Path) -> None:
    """A function is edited where it stands, so that its text there is the one that runs."""
    for name, text in texts(root, "tables").items():
        assert not re.search(r"\bCREATE\b[^;]*\b(FUNCTION|PROCEDURE|TRIGGER)\b", text, re.IGNORECASE), name


def test_a_function_is_replaced_and_says_what_it_promises(root: Path) -> None:
    """Each is of the schema `engine`, keeps its number when it changes, and has a comment."""
    for text in texts(root, "functions").values():
        for one in functions(text):
            assert one["name"].startswith("engine."), one["name"]
            assert one["how"] == "OR REPLACE ", one["name"]
            assert one["about"], one["name"]


def test_functions_are_called_by_their_schema(root: Path) -> None:
    """No connection needs a search path for them, which RDS Proxy would not keep."""
    everything = texts(root, "functions")
    names = {one["name"].removeprefix("engine.") for text in everything.values() for one in functions(text)}
    bare = re.compile(rf"(?<![\w.])(?:{'|'.join(names)})\((?!\))")
    sql = {one.name: one.read_text("utf-8") for one in (root / "layers/common/fairslot/sql").glob("*.sql")}
    for name, text in (everything | sql).items():
        code = re.sub(r"--.*|'[^']*'", "", text)
        assert not [line for line in code.splitlines() if bare.search(line)], name


def calls(code: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the calls of our functions and their arguments."""
    for found in re.finditer(r"engine\.(\w+)\(", code):
        depth, given = 1, [""]
        for letter in code[found.end() :]:
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
            if not depth:
                break
            if letter == "," and depth == 1:
                given.append("")
            else:
                given[-1] += letter
        yield found[1], given


def test_arguments_are_named(root: Path) -> None:
    """Who calls a function of more than one argument says which is which, and gives them all."""
    wanted: dict[str, int] = {}
    for text in texts(root, "functions").values():
        for one in functions(text):
            name = one["name"].removeprefix("engine.")
            number = sum(" OUT " not in f" {part} " for part in arguments(one).split(","))
            # Beside a new signature the old one stays for a release, and is called by that alone.
            wanted[name] = max(number, wanted.get(name, 0))
    for file in (root / "layers/common/fairslot/sql").glob("*.sql"):
        for name, given in calls(file.read_text("utf-8")):
            assert len(given) == wanted[name], f"{file.name}: {name}"
            assert len(given) == 1 or all("=>" in one for one in given), f"{file.name}: {name}"


def test_functions_name_the_arguments_of_one_another(root: Path) -> None:
    """A call of more than two arguments says which is which."""
    for file, text in texts(root, "functions").items():
        code = re.sub(r"--.*|(FUNCTION|PROCEDURE) engine\.", "", text)
        for name, given in calls(code):
            assert len(given) <= 2 or all("=>" in one for one in given), f"{file}: {name}"


@pytest.mark.parametrize("folder", ["tables", "functions"])
def test_a_file_can_be_read_at_once(root: Path, folder: str) -> None:
    """None has 300 lines or more."""
    assert all(text.count("\n") < 300 for text in texts(root, folder).values())
