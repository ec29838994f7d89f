"""The fake launcher under the contract of all launchers."""

from __future__ import annotations

import pytest

from tests.contract.launcher import LauncherContract
from tests.fakes.launcher import FakeLauncher


class FakeRig:
    def __init__(self) -> None:
        self.launcher = self.other = FakeLauncher()

    async def finish(self, name: str, exit_code: int) -> None:
        self.launcher.exit(name, exit_code=exit_code)

    async def started(self, _at_least: int) -> int:
        return len(self.launcher.orders)


class TestFakeLauncher(LauncherContract):
    @pytest.fixture
    def rig(self) -> FakeRig:
        return FakeRig()
