"""Fixtures that every test may ask for."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.fixtures.nats", "tests.integration.nats_cluster"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: with several workers, one that starts last keeps the others waiting."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
