"""What each function imports when it starts: every package costs each cold start its time."""

import pytest

from tests.support.cloudformation import functions
from tests.support.handler_runs import run
from tests.support.libraries import AT_IMPORT, check

HANDLERS = sorted({one["Handler"].rpartition(".")[0] for one in functions().values()})


def test_each_function_of_the_template_has_a_list() -> None:
    """A new function comes with the list of what it imports."""
    assert sorted(AT_IMPORT) == HANDLERS


@pytest.mark.parametrize("module", HANDLERS)
def test_a_function_imports_what_its_list_says(module: str) -> None:
    """A function starts with the packages of its list, all of them deployed."""
    check(module, run(module).imported, AT_IMPORT[module], when="at import")
