"""The node as the machine sees it: its first process, its cable, commands inside. Used by `life`.

The process is known by its id and the moment it started, so that a number which the machine gave
to another process since is never taken for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.machine.addresses import SETTING, Addresses
from tests.cluster.machine.places import State

CABLE = "gca-cluster"
CONTAINERD = "/run/containerd/containerd.sock"


@dataclass(frozen=True)
class NodeProcess:
    pid: int

    @classmethod
    def of(cls, state: State) -> NodeProcess | None:
        """The node of this state, if it lives."""
        if not state.node.exists():
            return None
        pid, started = state.node.read_text().split()
        return cls(int(pid)) if _started(int(pid)) == started else None

    def command(self, *command: str) -> list[str]:
        """The same command, inside the node's mounts and network."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--", *command]

    def ctr(self, *arguments: str) -> list[str]:
        return self.command("ctr", f"--address={CONTAINERD}", "--namespace=k8s.io", *arguments)

    def components(self, state: State) -> dict[str, int | None]:
        """Process ids by name of what the plan keeps running; None for one that does not run."""
        plan = json.loads(state.plan.read_text())["processes"]
        children = {
            (folder / "cmdline").read_bytes().split(b"\0")[0].decode(): int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and _parent(folder) == self.pid
        }
        return {name: children.get(command[0]) for name, command in plan.items()}

    def end(self, seconds: float = 20) -> None:
        """Kill it; returns when the kernel has ended all processes of its namespaces."""
        os.kill(self.pid, signal.SIGKILL)
        until = time.monotonic() + seconds
        while _started(self.pid) is not None:
            if time.monotonic() > until:
                raise RuntimeError(f"the node's process {self.pid} does not end")
            time.sleep(0.05)


def start(state: State) -> NodeProcess:
    """Namespaces of its own for processes, mounts and network; lives on when this command ends."""
    spaces = ["--pid", "--fork", "--mount", "--propagation=private", "--net"]
    node = Path(__file__).with_name("node.py")
    with (state.logs / "node.log").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", *spaces, "--", sys.executable, str(node), str(state.plan)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + 20
    while (found := NodeProcess.of(state)) is None:
        if process.poll() is not None or time.monotonic() > until:
            said = (state.logs / "node.log").read_text()[-2000:]
            raise RuntimeError(f"the node's first process did not start:\n{said}")
        time.sleep(0.02)
    return found


def plug_in(node: NodeProcess, addresses: Addresses) -> None:
    """A virtual cable between machine and node, and the machine's way to pods and services."""
    taken = _ip("route", "show", "root", addresses.network).strip()
    if taken:
        raise RuntimeError(
            f"this machine already has a route in {addresses.network} ({taken.splitlines()[0]}); "
            f"set {SETTING} to a /16 that is free"
        )
    peer = ("peer", "name", "eth0", "netns", str(node.pid))
    _ip("link", "add", CABLE, "type", "veth", *peer)
    _ip("address", "add", f"{addresses.outside}/24", "dev", CABLE)
    _ip("link", "set", CABLE, "up")
    for network in (addresses.pods, addresses.services):
        _ip("route", "add", network, "via", addresses.node, "dev", CABLE)


def unplug() -> None:
    """The kernel takes the cable away with the node's network, but not at once."""
    if Path(f"/sys/class/net/{CABLE}").exists():
        subprocess.run(["ip", "link", "delete", CABLE], capture_output=True, check=False)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _started(pid: int) -> str | None:
    """Clock ticks since boot, None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0
