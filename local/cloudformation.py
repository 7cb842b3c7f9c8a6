"""The subset of CloudFormation that the template uses."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml


class TemplateError(Exception):
    """The template has something that the local stack does not support."""


class _Loader(yaml.SafeLoader):
    """Reads short forms such as `!Ref x` as their long forms, `{"Ref": x}`."""


def _long_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TemplateError(f"!{tag} stands before nothing")
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)

# Returns the value of a resource (its Ref), or of one of its attributes.
type Lookup = Callable[[str, str | None], str]


def load(path: Path) -> dict[str, Any]:
    """Read a template's YAML.

    Raises:
        TemplateError: it is not YAML, or not a mapping.

    """
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader with tags)
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError(f"{path} is not a template")
    return document


class Resolver:
    """Evaluates the expressions of a template.

    `parameters` win over the template's defaults; `lookup` returns the values of resources.
    """

    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, str], lookup: Lookup) -> None:
        declared = document.get("Parameters", {})
        self._parameters = {
            name: parameters.get(name, one.get("Default", "")) for name, one in declared.items()
        }
        self._conditions = document.get("Conditions", {})
        self._resources = document.get("Resources", {})
        self._lookup = lookup
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": lambda of: self._attribute(*(of if isinstance(of, list) else of.split(".", 1))),
            "Fn::Sub": self._sub,
            "Fn::If": lambda of: self.value(of[1] if self.holds(of[0]) else of[2]),
            "Condition": self.holds,
            "Fn::Equals": lambda of: self.value(of[0]) == self.value(of[1]),
            "Fn::Not": lambda of: not self.value(of[0]),
            "Fn::And": lambda of: all(
                self.holds(one["Condition"]) if "Condition" in one else self.value(one) for one in of
            ),
        }

    def value(self, expression: Any) -> Any:
        """Return the value of an expression; entries without a value are left out.

        Raises:
            TemplateError: the local stack does not support a function or a resource.

        """
        if isinstance(expression, list):
            found = [self.value(one) for one in expression]
            return [one for one in found if one is not None]
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            name, argument = next(iter(expression.items()))
            if name in self._functions:
                return self._functions[name](argument)
            if str(name).startswith("Fn::"):
                raise TemplateError(f"the local stack does not know {name}")
        resolved = {name: self.value(one) for name, one in expression.items()}
        return {name: one for name, one in resolved.items() if one is not None}

    def holds(self, condition: str) -> bool:
        """Return whether a named condition holds."""
        if condition not in self._conditions:
            raise TemplateError(f"there is no condition {condition}")
        return bool(self.value(self._conditions[condition]))

    def _ref(self, name: str) -> Any:
        if name in self._parameters:
            return self._parameters[name]
        if name == "AWS::NoValue":
            return None
        if name not in self._resources and not name.startswith("AWS::"):
            raise TemplateError(f"there is no {name}")
        return self._lookup(name, None)

    def _attribute(self, name: str, attribute: str) -> str:
        if name not in self._resources:
            raise TemplateError(f"there is no {name}")
        return self._lookup(name, attribute)

    def _sub(self, argument: str | list[Any]) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])

        def replace(found: re.Match[str]) -> str:
            name = found.group(1).strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in given:
                return str(self.value(given[name]))
            resource, _, attribute = name.partition(".")
            return str(self._attribute(resource, attribute) if attribute else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)
