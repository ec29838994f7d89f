"""Trouble on order: components of the node killed, held, released. By `__main__` and tests."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from tests.cluster.machine.needs import Lacking
from tests.cluster.machine.node_process import NodeProcess
from tests.cluster.machine.places import State


def kill(state: State, names: Sequence[str]) -> None:
    """SIGKILL; the node starts it again within a second."""
    for pid in _processes(state, names):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def hold(state: State, names: Sequence[str]) -> None:
    """Kill it and keep it from starting again until `release`."""
    _processes(state, names)
    for name in names:
        (state.held / name).touch()
    kill(state, names)


def release(state: State, names: Sequence[str]) -> None:
    for name in names:
        (state.held / name).unlink(missing_ok=True)


def _processes(state: State, names: Sequence[str]) -> list[int]:
    """Of those that run; a name that is none of the node's is refused."""
    node = NodeProcess.of(state)
    if node is None:
        raise Lacking("no cluster runs here: `make cluster` starts one")
    components = node.components(state)
    for name in names:
        if name not in components:
            raise Lacking(f"{name} is none of the node's: {', '.join(components)}")
    return [pid for name in names if (pid := components[name]) is not None]
