"""Control groups, on a folder that looks like the machine's."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.machine import cgroups


def version_1(root: Path) -> Path:
    for name in ("cpuset", "memory"):
        (root / name).mkdir()
        (root / name / "cgroup.procs").touch()
    (root / "cpu,cpuacct").symlink_to(root / "memory")
    return root


def test_version_1_has_one_hierarchy_per_controller_and_follows_links_once(tmp_path: Path) -> None:
    root = version_1(tmp_path)

    assert [root / "cpuset", root / "memory"] == cgroups.hierarchies(root)


def test_version_2_alone_has_one(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()

    assert [tmp_path] == cgroups.hierarchies(tmp_path)


def test_groups_are_made_in_every_hierarchy_and_removed_from_the_leaves_up(tmp_path: Path) -> None:
    root = version_1(tmp_path)
    made = cgroups.make(root)
    (root / "memory" / "gca-cluster" / "kubepods" / "pod1").mkdir(parents=True)

    assert [root / name / "gca-cluster" / "node" for name in ("cpuset", "memory")] == made
    cgroups.remove(root)
    assert [] == list(root.rglob("gca-cluster"))


def test_memory_is_what_the_kernel_would_not_give_up_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "memory" / "gca-cluster"
    folder.mkdir(parents=True)
    (folder / "memory.usage_in_bytes").write_text("1000\n")
    (folder / "memory.stat").write_text("cache 600\ntotal_inactive_file 400\n")

    assert 600 == cgroups.memory(root=tmp_path)
