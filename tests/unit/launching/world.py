"""All that outlives a reconciler, and reconcilers over it."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskRequested
from libs.common.launching.effects import DoorAddress
from libs.common.launching.launches import Launches
from libs.common.launching.plan import OpenTask
from libs.common.launching.reconciler import Policy, Reconciler
from libs.common.launching.slots import Slots
from tests.fakes.clock import FakeClock
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.launcher import FakeLauncher
from tests.fakes.log import MemoryLog
from tests.unit.launching.examples import request

SECRET = "door secret"
REVIEW = request(7)


def newest_only(tasks: list[OpenTask], _records: list[Recorded]) -> dict[str, str]:
    return {task.task_id: "newer head" for task in tasks[:-1]}


def nothing(_tasks: list[OpenTask], _records: list[Recorded]) -> dict[str, str]:
    return {}


class World:
    """What outlives a reconciler: the log, the buckets, the Jobs, the time."""

    def __init__(self, slots: int = 2) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock)
        self.locks = MemoryKeyValue(self.clock)
        self.dedup = MemoryKeyValue(self.clock)
        self.launcher = FakeLauncher()
        self._slots = slots

    def reconciler(
        self, policy: Policy = nothing, kinds: str = "review", **ports: Any
    ) -> Reconciler:
        given: dict[str, Any] = {
            "log": self.log,
            "launcher": self.launcher,
            "slots": Slots(ports.pop("locks", self.locks), self._slots),
            "launches": Launches(ports.pop("dedup", self.dedup)),
        }
        return Reconciler(
            **(given | ports),
            clock=self.clock,
            kinds=frozenset({kinds}),
            source="reviewer",
            policy=policy,
            door=DoorAddress(url="http://127.0.0.1:8001/", secret=SECRET),
            every=1000,
        )

    async def settle(self, policy: Policy = nothing, seconds: float = 200) -> None:
        """Fresh reconcilers, as after restarts, pass after pass over `seconds`."""
        for _ in range(int(seconds // 20)):
            reconciler = self.reconciler(policy)
            await reconciler.full_pass()
            self.clock.advance(20)
            await reconciler.full_pass()

    def results(self) -> list[object]:
        return [
            record.event for record in self.log.events if record.subject.startswith("task.result.")
        ]

    def running(self) -> list[str]:
        return [job.task_id for job in self.launcher.running.values() if job.phase == "running"]

    async def held(self) -> list[str]:
        return sorted(await Slots(self.locks, 9).held())


def changed(wanted: TaskRequested, **changed: Any) -> TaskRequested:
    return msgspec.structs.replace(wanted, **changed)


def again(wanted: TaskRequested) -> TaskRequested:
    return changed(wanted, task_id=f"{wanted.task_id}-n99")
