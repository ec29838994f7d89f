"""Control groups of the cluster: one folder per hierarchy of the machine. Used by `life`.

Version 1 has a hierarchy per controller, version 2 one for all; the kubelet divides the folder
among its pods, and the node's own processes live in `node` below it.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tests.cluster.machine.configuration import CGROUP

ROOT = Path("/sys/fs/cgroup")
CPUSET = ("cpuset.cpus", "cpuset.mems")
CONTROLLERS = "+cpuset +cpu +memory +pids"


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Mount points: the root itself where version 2 is alone, else one per controller."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(
        {folder.resolve() for folder in root.iterdir() if (folder / "cgroup.procs").exists()}
    )


def make(root: Path = ROOT) -> list[Path]:
    """Make the cluster's groups; returns those that the node's own processes join."""
    groups = []
    for hierarchy in hierarchies(root):
        top = hierarchy / CGROUP
        for folder in (top, top / "node"):
            if hierarchy == root:
                (folder.parent / "cgroup.subtree_control").write_text(CONTROLLERS)
            folder.mkdir(exist_ok=True)
            _copy_cpuset(folder)
        groups.append(top / "node")
    return groups


def _copy_cpuset(folder: Path) -> None:
    """Version 1 lets no process into a group that names no processors."""
    for name in CPUSET:
        file = folder / name
        if file.exists() and not file.read_text().strip():
            file.write_text((folder.parent / name).read_text())


def remove(root: Path = ROOT, seconds: float = 10) -> None:
    """From the leaves up; the kernel takes a moment to see that a group's last process is gone."""
    until = time.monotonic() + seconds
    while left := [top for each in hierarchies(root) if (top := each / CGROUP).exists()]:
        for top in left:
            for folder in sorted(top.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()
        if time.monotonic() > until:
            raise RuntimeError(f"control groups are still in use: {', '.join(map(str, left))}")
        time.sleep(0.05)


def memory(part: str = "", root: Path = ROOT) -> int:
    """Bytes in use by everything, or by the group `part` of it, as the kubelet counts.

    That is without the file cache which the kernel would give up at once.
    """
    for folder, usage, cache in (
        (root / "memory" / CGROUP / part, "memory.usage_in_bytes", "total_inactive_file"),
        (root / CGROUP / part, "memory.current", "inactive_file"),
    ):
        if (folder / usage).exists():
            lines = (folder / "memory.stat").read_text().splitlines()
            counted = dict(line.split() for line in lines)
            return int((folder / usage).read_text()) - int(counted[cache])
    return 0
