"""A real cluster on this machine, in one command: `make cluster` and by hand.

    python -m tests.cluster.machine up                  start it, or find it running
    python -m tests.cluster.machine status              what runs, with memory and paths
    python -m tests.cluster.machine load image.tar      import images into the node
    python -m tests.cluster.machine hold kube-apiserver stop a component until `release`
    python -m tests.cluster.machine release kube-apiserver
    python -m tests.cluster.machine kill kubelet        kill one; the node starts it again
    python -m tests.cluster.machine tools helm tilt     build programs only
    python -m tests.cluster.machine down                end it and remove every trace

With KUBECONFIG set, that cluster is used instead, and nothing is started here. All addresses are
of 10.218.0.0/16; GCA_CLUSTER_NETWORK names another /16 where that one is taken.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cluster.machine import building, cgroups, faults, life, needs
from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.node_process import NodeProcess
from tests.cluster.machine.places import CLUSTER, State


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    state = State()
    verbs: dict[str, Callable[[], None]] = {
        "up": lambda: up(state),
        "down": lambda: life.down(state),
        "status": lambda: status(state),
        "load": lambda: load(state, [Path(name) for name in options.names]),
        "kill": lambda: faults.kill(state, options.names),
        "hold": lambda: faults.hold(state, options.names),
        "release": lambda: faults.release(state, options.names),
        "tools": lambda: say(building.build(options.names or building.known())),
    }
    CLUSTER.mkdir(parents=True, exist_ok=True)
    try:
        with alone(options.verb):
            verbs[options.verb]()
    except (needs.Lacking, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def up(state: State) -> None:
    """Print the path of the kubeconfig, whichever cluster it is."""
    if given := os.environ.get("KUBECONFIG"):
        sys.stderr.write("KUBECONFIG is set: that cluster is used, nothing is started\n")
        say(given)
        return
    began = time.monotonic()
    life.up(state, Addresses())
    sys.stderr.write(f"ready after {time.monotonic() - began:.0f} s; kubeconfig:\n")
    say(state.kubeconfig)


def status(state: State) -> None:
    node = NodeProcess.of(state)
    if node is None:
        say("no cluster runs here")
        return
    own, everything = cgroups.memory("node"), cgroups.memory()
    say(f"node       process {node.pid}, {own / 1e6:.0f} MB; with pods {everything / 1e6:.0f} MB")
    for name, pid in node.components(state).items():
        say(f"           {pid or 'held':>7} {name}")
    say(f"kubeconfig {state.kubeconfig}\nlogs       {state.logs}")


def load(state: State, images: list[Path]) -> None:
    for name in life.load(state, images):
        say(name)


@contextlib.contextmanager
def alone(verb: str) -> Iterator[None]:
    """One at a time of those that change a cluster; a look waits for nobody."""
    if verb in {"status", "tools"}:
        yield
        return
    with (CLUSTER / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.machine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "down", "status"):
        verbs.add_parser(verb)
    verbs.add_parser("load").add_argument("names", nargs="+", metavar="image.tar")
    for verb in ("kill", "hold", "release"):
        verbs.add_parser(verb).add_argument("names", nargs="+", metavar="component")
    verbs.add_parser("tools").add_argument("names", nargs="*", metavar="program")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
