"""One thing that was looked at, and the frame that every look gets: time-out, no surprise.

Used by all of `services.ops.doctor`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from libs.common.errors import AgentError, cut

State = Literal["ok", "warning", "broken"]
PATIENCE_SECONDS = 5.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, how it is, what that means, and how to mend it (nothing when ok)."""

    name: str
    state: State
    meaning: str
    mend: str = ""


def ok(name: str, meaning: str) -> Check:
    return Check(name=name, state="ok", meaning=meaning)


def warning(name: str, meaning: str, mend: str) -> Check:
    return Check(name=name, state="warning", meaning=meaning, mend=mend)


def broken(name: str, meaning: str, mend: str) -> Check:
    return Check(name=name, state="broken", meaning=meaning, mend=mend)


Look = Callable[[], Awaitable[Iterable[Check]]]


@dataclass(frozen=True)
class Probe:
    """A look at one peer or thing: it says one or more lines; `mend` is for when it hangs."""

    name: str
    look: Look
    mend: str
    seconds: float = PATIENCE_SECONDS


async def guarded(probe: Probe) -> list[Check]:
    """The probe's checks within its time; whatever goes wrong is a check too."""
    try:
        async with asyncio.timeout(probe.seconds):
            return list(await probe.look())
    except TimeoutError:
        return [broken(probe.name, f"no answer within {probe.seconds:g} s", probe.mend)]
    except AgentError as error:
        return [broken(probe.name, cut(str(error)), probe.mend)]
    except Exception as error:  # noqa: BLE001  one strange peer must not hide the others
        meaning = f"could not be looked at: {type(error).__name__}: {cut(str(error))}"
        return [broken(probe.name, meaning, probe.mend)]


@dataclass
class Round:
    """All probes at once; `asked` are those without an answer yet, for who shows progress."""

    asked: set[str] = field(default_factory=set)

    async def run(self, probes: list[Probe]) -> list[Check]:
        """Every probe's checks, in the order of the probes; never raises for one of them."""
        self.asked = {probe.name for probe in probes}
        found = await asyncio.gather(*(self._one(probe) for probe in probes))
        return [check for checks in found for check in checks]

    async def _one(self, probe: Probe) -> list[Check]:
        try:
            return await guarded(probe)
        finally:
            self.asked.discard(probe.name)


def exit_code(checks: Iterable[Check]) -> int:
    """0 when nothing is broken, else 1."""
    return 1 if any(check.state == "broken" for check in checks) else 0
