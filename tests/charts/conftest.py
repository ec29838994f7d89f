"""The fixture `helm`; without the program, these tests say how to get it and are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.charts.helm import MISSING, Helm, found


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    binary = found()
    if binary is None:
        pytest.skip(MISSING)
    return Helm(binary, tmp_path)
