"""The first process of the node: mounts, network, then the processes of the plan, kept running.

`up` starts it by `unshare` in namespaces of its own for processes, mounts and network. When it
ends, however it ends, the kernel ends every process, mount and address of the cluster with it.
A component that ends is started again, as systemd or the kubelet would; one with a file of its
name in the plan's folder `held` waits until that file is gone. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PAUSE_SECONDS = 0.5
TUNED = {
    "/proc/sys/vm/overcommit_memory": 1,
    "/proc/sys/kernel/panic": 10,
    "/proc/sys/kernel/panic_on_oops": 1,
}
"""What a kubelet sets where it finds anything else. It is shown this; the machine keeps its own:
how the kernel panics is not for a test to decide."""


def main(arguments: list[str]) -> int:
    plan = json.loads(Path(arguments[0]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    record(Path(plan["record"]))
    join_cgroups(plan["cgroups"])
    mount(plan["mounts"])
    connect(plan["addresses"])
    Components(plan).keep()
    return 0


def record(file: Path) -> None:
    """Process id and start as the machine sees them: /proc is still the machine's here."""
    pid = Path("/proc/self").readlink().name
    started = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19]
    part = file.with_suffix(".part")
    part.write_text(f"{pid} {started}\n")
    part.rename(file)


def join_cgroups(folders: list[str]) -> None:
    """Into groups of the cluster's own, which the kubelet divides among its pods."""
    for folder in map(Path, folders):
        (folder / "cgroup.procs").write_text("0")


def mount(binds: dict[str, str]) -> None:
    """A view of the machine of its own: its processes, and what the cluster writes."""
    run("mount", "--make-rshared", "/")
    run("mount", "-t", "proc", "proc", "/proc")
    for source, target in binds.items():
        run("mount", "--bind", source, target)
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    for setting, value in TUNED.items():
        shown = Path("/run") / Path(setting).name
        shown.write_text(f"{value}\n")
        run("mount", "--bind", str(shown), setting)


def connect(addresses: dict[str, str]) -> None:
    """`up` puts the node's end of the cable, eth0, into this namespace."""
    while not Path("/proc/sys/net/ipv4/conf/eth0").exists():
        time.sleep(0.05)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", addresses["node"], "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", addresses["outside"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


class Components:
    """Children by name; orphans of the pods become this process's children, too, and are reaped."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._commands: dict[str, list[str]] = plan["processes"]
        self._held = Path(plan["held"])
        self._logs = Path(plan["logs"])
        self._running: dict[str, int] = {}

    def keep(self) -> None:
        while True:
            for name in self._commands:
                if name not in self._running and not (self._held / name).exists():
                    self._start(name)
            self._reap()
            time.sleep(PAUSE_SECONDS)

    def _start(self, name: str) -> None:
        """A program that is not there is held, so that the rest runs and the log says why."""
        with (self._logs / f"{name}.log").open("ab") as log:
            try:
                self._running[name] = subprocess.Popen(
                    self._commands[name],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                ).pid
            except OSError as error:
                log.write(f"held, since it does not start: {error}\n".encode())
                (self._held / name).touch()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                for name in [name for name, pid in self._running.items() if pid == ended]:
                    del self._running[name]


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
