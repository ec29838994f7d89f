"""Trouble on order: components of the node killed, held, released. Called by `__main__`."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

from tests.cluster.machine.needs import Lacking
from tests.cluster.machine.node_process import NodeProcess
from tests.cluster.machine.places import State


def kill(state: State, names: Iterable[str]) -> None:
    """SIGKILL; the node starts it again within a second."""
    running = _components(state)
    for name in names:
        if name not in running:
            raise Lacking(f"no {name} runs in the node; there are: {', '.join(sorted(running))}")
        os.kill(running[name], signal.SIGKILL)


def hold(state: State, names: Iterable[str]) -> None:
    """Kill it and keep it from starting again until `release`."""
    running = _components(state)
    for name in names:
        (state.held / name).touch()
        if name in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running[name], signal.SIGKILL)


def release(state: State, names: Iterable[str]) -> None:
    for name in names:
        (state.held / name).unlink(missing_ok=True)


def _components(state: State) -> dict[str, int]:
    node = NodeProcess.of(state)
    if node is None:
        raise Lacking("no cluster runs here: `make cluster` starts one")
    return node.components()
