"""Every place in the SQL where a tenant is compared, and what each statement is without it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairslot.platform.queries import blocks

_PACKAGE = Path(__file__).parents[2] / "layers/common/fairslot"
_ROUTINE = re.compile(
    r"^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) engine\.(\w+)\(.*?(?=^(?:--|CREATE|DO)|\Z)",
    re.MULTILINE | re.DOTALL,
)
_COMPARED = re.compile(
    r"(?:(?:\(\w+\.\w+\)|\b\w+)\.)?\btenant_id (?P<how>=|<>|IS DISTINCT FROM)"
    r" (?:%\(tenant\)s|p_tenant\b|\w+\.tenant_id\b)"
)
# Of any tenant, where the system works for all.
_OF_ANY = "(p_tenant IS NULL OR "
# What a comparison may look like; of these none may be left once those that are understood are taken out.
_ANY_COMPARISON = re.compile(
    r"(?:tenant_id|p_tenant|%\(tenant\)s)\)* *(?:=(?!>)|<|>|!|~|IN\b|IS\b|NOT\b|LIKE\b)"
    r"|(?:[^=]=|<>|!=|\bFROM|\bIN|\bLIKE|ANY) *\(*(?:\w+\)?\.)?(?:tenant_id\b|p_tenant|%\(tenant\)s)"
    r"|USING *\([^)]*tenant_id",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """A named block of `sql/`, or a routine of `schema/functions/`."""

    place: str
    name: str
    text: str

    @property
    def is_routine(self) -> bool:
        """Whether it is a routine, which other statements call."""
        return self.place.startswith("functions/")

    @property
    def is_called_alone(self) -> bool:
        """Whether it commits by itself, and so cannot be undone."""
        return self.text.startswith(("CALL", "CREATE OR REPLACE PROCEDURE"))

    @property
    def has_tenant(self) -> bool:
        """Whether it is told a tenant."""
        return ("p_tenant text" if self.is_routine else "%(tenant)s") in self.text

    def filters(self) -> Iterator["Filter"]:
        """Return the filters in it."""
        for number, match in enumerate(_COMPARED.finditer(self.text), 1):
            put = "true" if match["how"] == "=" else "false"
            rest = f"{self.text[: match.start()]}{put}{self.text[match.end() :]}"
            yield Filter(self, number, match[0], rest)

    def unknown_comparisons(self) -> list[str]:
        """Return what compares a tenant in a form that `filters` cannot take out."""
        text = self.text.replace(_OF_ANY, "(")
        return [match[0] for match in _ANY_COMPARISON.finditer(_COMPARED.sub("true", text))]


@dataclass(frozen=True)
class Filter:
    """The `number`-th filter of a statement, and the statement's text without it."""

    statement: Statement
    number: int
    text: str
    without: str

    def __str__(self) -> str:
        """Name it by where it is."""
        return f"{self.statement.place}:{self.statement.name}:{self.number}"


def statements() -> Iterator[Statement]:
    """Return every named block and every routine."""
    for file in sorted((_PACKAGE / "sql").glob("*.sql")):
        for name, text in blocks(file.read_text("utf-8")).items():
            yield Statement(f"sql/{file.name}", f"{file.stem}.{name}", text.decode())
    for file in sorted((_PACKAGE / "schema/functions").glob("*.sql")):
        for match in _ROUTINE.finditer(file.read_text("utf-8")):
            yield Statement(f"functions/{file.name}", match[1], match[0].strip())


def filters() -> list[Filter]:
    """Return every filter."""
    return [one for statement in statements() for one in statement.filters()]
