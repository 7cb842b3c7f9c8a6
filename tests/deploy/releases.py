"""Other releases of what is deployed: what building other code would change, in a copy of this build."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_TABLES = "CommonLayer/python/fairslot/schema/tables"


def add_migration(built: Path, name: str, text: str) -> Path:
    """Add a migration after all others to what was built, as the code of another release; return its file."""
    file = built / _TABLES / f"9{len(list((built / _TABLES).iterdir())):03}_{name}.sql"
    file.write_text(text)
    for digest in built.glob("*/release.sha256"):
        digest.write_text(uuid4().hex)
    return file


@contextmanager
def migration(built: Path, name: str, text: str) -> Iterator[None]:
    """Have a migration in what is deployed until the end of the block."""
    file = add_migration(built, name, text)
    try:
        yield
    finally:
        file.unlink()
