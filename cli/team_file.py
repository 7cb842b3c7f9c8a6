"""A team's document in YAML, and where in the file a place of it is.

Of YAML there are JSON's types only: `17:00` and `no` are texts, dates too.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

_LARGEST_FILE = 1024 * 1024
# Anchors make a small file large: this many values do not fit into a document.
_MOST_VALUES = 600_000
_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text == "true",
    "int": int,
    "float": float,
    "str": str,
}
_MARK = re.compile(r"\.?\[key\]$")


class _Loader(yaml.SafeLoader):
    """A loader that takes for a number, a boolean or null what JSON writes so."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the library's own name


for _tag, _pattern, _first in (
    ("null", r"^(null|~|)$", ["n", "~", ""]),
    ("bool", r"^(true|false)$", ["t", "f"]),
    ("int", r"^-?(0|[1-9]\d*)$", [*"-0123456789"]),
    ("float", r"^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$", [*"-0123456789"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


@dataclass(frozen=True)
class TeamFile:
    """A document, and the nodes that it was made of."""

    name: str
    document: Any
    _root: yaml.Node

    @classmethod
    def read(cls, file: Path) -> "TeamFile":
        """Read a file.

        Raises:
            click.ClickException: it cannot be read, is no YAML, is too large, or names a member twice.

        """
        try:
            text = file.read_text("utf-8")
            if len(text) > _LARGEST_FILE:
                raise click.ClickException(f"{file}: more than a megabyte; apply it in parts")
            root = yaml.compose(text, Loader=_Loader)
        except (OSError, UnicodeError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise click.ClickException(f"{file}{at}: {error.problem}") from error
        if root is None:
            raise click.ClickException(f"{file}: the file is empty")
        return cls(str(file), _Values(str(file)).of(root), root)

    def place(self, location: str) -> str:
        """Return the file, the line and the column of a location such as `body.coaches.ann.name`."""
        node, rest = self._root, _MARK.sub("", location.removeprefix("body").removeprefix("."))
        at = node
        while rest:
            step = _step(node, rest)
            if step is None:
                break
            at, node, rest = step
        return f"{self.name}:{at.start_mark.line + 1}:{at.start_mark.column + 1}"


class _Values:
    """Makes values of nodes, a limited number of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = _MOST_VALUES

    def of(self, node: yaml.Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error(node, "more values than a document may have; anchors repeat them")
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.of(one) for one in node.value]
        if isinstance(node, yaml.ScalarNode) and kind in _SCALARS:
            return _SCALARS[kind](node.value)
        raise self._error(node, f"the tag {node.tag} is not known")

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a name is a text")
            if key.value in made:
                raise self._error(key, f"{key.value} is there twice")
            made[key.value] = self.of(value)
        return made

    def _error(self, node: yaml.Node, message: str) -> click.ClickException:
        mark = node.start_mark
        return click.ClickException(f"{self._name}:{mark.line + 1}:{mark.column + 1}: {message}")


def _step(node: yaml.Node, rest: str) -> tuple[yaml.Node, yaml.Node, str] | None:
    """Return the key or entry that a location goes on with, its value, and the rest of the location."""
    if isinstance(node, yaml.MappingNode):
        # Ids may have dots, so the longest name that fits is meant.
        fitting = [one for one in node.value if rest == one[0].value or rest.startswith(f"{one[0].value}.")]
        if fitting:
            key, value = max(fitting, key=lambda one: len(one[0].value))
            return key, value, rest[len(key.value) + 1 :]
    if isinstance(node, yaml.SequenceNode):
        number, _, after = rest.partition(".")
        if number.isdecimal() and int(number) < len(node.value):
            entry = node.value[int(number)]
            return entry, entry, after
    return None


def write(document: object) -> str:
    """Return a document as YAML that TeamFile reads."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes lists of texts, such as an interval, in one line."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _sequence(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    short = all(not isinstance(one, dict) for one in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)


_Dumper.add_representer(list, _sequence)
