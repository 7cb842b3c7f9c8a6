"""What linters find in template.yaml, against what template-checks.yaml explains.

`python -m tools.template_checks` prints what is not explained.

They are in an environment of their own, .tools/template, and reach no network.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
BIN = ROOT / ".tools/template/bin"
CFN_LINT = (str(BIN / "cfn-lint"), "--append-rules", "cfn_lint_serverless.rules", "--format", "json")
CHECKOV = (
    str(BIN / "checkov"),
    *("--framework", "cloudformation", "--skip-download", "--compact", "--quiet", "--output", "json"),
)


type Explained = Mapping[str, Mapping[str, Mapping[str, object]]]


class Finding(NamedTuple):
    """A rule that a resource breaks, by the tool that says so."""

    tool: str
    rule: str
    resource: str
    said: str


def cfn_lint(template: Path) -> Iterator[Finding]:
    """Yield what cfn-lint finds, with its rules for serverless functions."""
    for one in json.loads(_output([*CFN_LINT, "--template", str(template)])):
        where = [str(part) for part in one["Location"]["Path"] or ()]
        resource = where[1] if where[:1] == ["Resources"] else ""
        if not resource:  # the transform has moved it: only the sentence names the resource
            named = re.search(r"\b([A-Z]\w+(?:Function|Queue|Subscription))\b", one["Message"])
            resource = named[1] if named else ""
        yield Finding("cfn-lint", one["Rule"]["Id"], resource, one["Message"])


def checkov(template: Path) -> Iterator[Finding]:
    """Yield what checkov finds."""
    found = json.loads(_output([*CHECKOV, "--file", str(template)]))
    for one in found["results"]["failed_checks"]:
        yield Finding("checkov", one["check_id"], one["resource"].rpartition(".")[2], one["check_name"])


def unexplained(findings: Iterable[Finding], explained: Explained) -> list[str]:
    """Return a line for each finding without a reason, and for each reason without a finding."""
    lines, used = [], set()
    for one in findings:
        reason = explained.get(one.tool, {}).get(one.rule)
        only = reason.get("only") if reason else None
        if reason is None or (isinstance(only, list) and one.resource not in only):
            lines.append(f"{one.tool} {one.rule} {one.resource}: {one.said}")
        else:
            used.add((one.tool, one.rule))
    known = {(tool, rule) for tool, rules in explained.items() for rule in rules}
    return lines + [
        f"{tool} {rule}: no longer found; take its reason out" for tool, rule in sorted(known - used)
    ]


def _output(command: list[str]) -> str:
    """Return what a linter prints; it ends with another code where it has found something."""
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(  # noqa: S603  our own words
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if not done.stdout.strip():
        raise RuntimeError(f"{command[0]} printed nothing: {done.stderr[-2000:]}")
    return done.stdout


def main() -> int:
    """Print what is not explained; 1 where there is anything."""
    template = ROOT / "template.yaml"
    explained = yaml.safe_load((ROOT / "template-checks.yaml").read_text("utf-8"))
    lines = unexplained([*cfn_lint(template), *checkov(template)], explained)
    print("\n".join(lines) or "cfn-lint and checkov: every finding is explained in template-checks.yaml")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
