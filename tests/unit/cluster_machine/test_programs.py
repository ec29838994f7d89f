"""Which programs are built, from which pins."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.machine import building, life, places


def test_every_program_has_a_module_with_pins() -> None:
    table = building.known()

    for program in table.values():
        assert (places.MODULES / program.module / "go.mod").exists()
    assert set(life.WANTED) <= set(table)


def test_programs_of_kubernetes_tell_the_version_that_is_pinned() -> None:
    flags = building.table("v1.34.4")["kubelet"].flags

    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/component-base/version.gitMinor=34" in flags


def test_every_module_that_kubernetes_brings_is_of_the_same_version() -> None:
    text = (places.MODULES / "kubernetes" / "go.mod").read_text()
    replaced = [line.split()[-1] for line in text.splitlines() if " => " in line]

    assert 30 <= len(replaced)
    assert {building.kubernetes_version().replace("v1.", "v0.")} == set(replaced)


def test_another_pin_is_another_folder_of_programs(tmp_path: Path) -> None:
    (tmp_path / "helm").mkdir()
    pins = tmp_path / "helm" / "go.mod"
    pins.write_text("one")
    first = places.versions(tmp_path)
    pins.write_text("two")

    assert first != places.versions(tmp_path)
