"""What the database refuses, in our terms."""

from collections.abc import Callable

import psycopg
import pytest

from fairslot.domain.errors import FairslotError
from fairslot.platform.db import translate


def refused(work: Callable[[], object]) -> FairslotError:
    """Return what the database refuses a piece of work with, in our terms."""
    with pytest.raises(psycopg.Error) as caught:
        work()
    said = translate(caught.value)
    assert isinstance(said, FairslotError), said
    return said
