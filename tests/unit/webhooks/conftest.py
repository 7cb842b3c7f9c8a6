"""What the tests of subscribers share."""

from collections.abc import Iterator

import pytest

from fairslot.settings import settings
from fairslot.webhooks.blocks import memory


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give both partners an address."""
    monkeypatch.setenv("CRM_WEBHOOK_URL", "https://crm.example/base/")
    monkeypatch.setenv("CALENDAR_API_URL", "https://calendar.example")
    settings.cache_clear()
    yield
    settings.cache_clear()
    memory.forget()
