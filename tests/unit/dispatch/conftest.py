"""What the tests of subscribers share."""

from collections.abc import Iterator

import pytest

from fairslot.dispatch.blocks import without_list
from fairslot.platform.settings import settings


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give both partners an address."""
    monkeypatch.setenv("CRM_WEBHOOK_URL", "https://crm.example/base/")
    monkeypatch.setenv("CALENDAR_API_URL", "https://calendar.example")
    settings.cache_clear()
    yield
    settings.cache_clear()
    without_list.clear()
