"""Builds the programs of the cluster from Go modules of pinned versions, once. Used by `life`.

Each module of `tools/` pins one program or one family of them; apart, because their dependencies
contradict each other. What is built lies in a folder that is named by all these pins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.machine.places import CLUSTER, MODULES, pins, programs

EVERY_SECONDS = 15
KUBE_ROUTER = "github.com/cloudnativelabs/kube-router/v2"
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")


@dataclass(frozen=True)
class Program:
    """`module` is a folder of `tools/`; `package` what its `go build` is asked for."""

    module: str
    package: str
    flags: str = "-s -w"


def _kubernetes(name: str, flags: str) -> Program:
    return Program("kubernetes", f"k8s.io/kubernetes/cmd/{name}", flags)


def table(kubernetes: str) -> dict[str, Program]:
    """All programs in the order in which they are wanted, with Kubernetes as v1.2.3."""
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    told = {
        "component-base/version.gitVersion": kubernetes,
        "component-base/version.gitMajor": major,
        "component-base/version.gitMinor": minor,
        "client-go/pkg/version.gitVersion": kubernetes,
    }
    flags = " ".join(["-s -w", *(f"-X k8s.io/{name}={value}" for name, value in told.items())])
    return {
        "helm": Program("helm", "helm.sh/helm/v3/cmd/helm"),
        "pause": Program("pause", "."),
        **{name: _kubernetes(name, flags) for name in ("kubelet", *KUBERNETES, "kubectl")},
        "etcd": Program("etcd", "go.etcd.io/etcd/server/v3"),
        "coredns": Program("coredns", "."),
        "kube-router": Program(
            "policies", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
        ),
        "tilt": Program("tilt", "github.com/tilt-dev/tilt/cmd/tilt"),
    }


def kubernetes_version() -> str:
    """What `tools/kubernetes/go.mod` pins."""
    pinned = re.search(
        r"k8s\.io/kubernetes (v\S+)", (MODULES / "kubernetes" / "go.mod").read_text()
    )
    if pinned is None:
        raise RuntimeError("tools/kubernetes/go.mod pins no k8s.io/kubernetes")
    return pinned[1]


def known() -> dict[str, Program]:
    """All programs, of the versions that are pinned."""
    return table(kubernetes_version())


def build(names: Iterable[str]) -> Path:
    """The folder with all of them; builds those that are missing and says how far it is."""
    folder = programs()
    folder.mkdir(parents=True, exist_ok=True)
    programs_by_name = known()
    missing = [name for name in names if not (folder / name).exists()]
    if unknown := [name for name in missing if name not in programs_by_name]:
        raise RuntimeError(f"no {unknown[0]} is built here, only {', '.join(programs_by_name)}")
    with _alone(CLUSTER / "tools.lock") if missing else contextlib.nullcontext():
        for name in missing:
            if not (folder / name).exists():
                _provide(name, programs_by_name[name], folder / name)
    return folder


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One builder at a time; others wait and then find the work done."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _provide(name: str, program: Program, file: Path) -> None:
    """Built once per pins of its own module, though the folder is named by those of all."""
    built = CLUSTER / "programs" / f"{name}-{pins(MODULES / program.module)}"
    built.parent.mkdir(exist_ok=True)
    if not built.exists():
        _build(name, program, built)
    file.hardlink_to(built)


def _build(name: str, program: Program, file: Path) -> None:
    if shutil.which("go") is None:
        raise RuntimeError("there is no go: https://go.dev/dl (the pins need 1.26 or newer)")
    part = file.with_suffix(".part")
    command = ["nice", "-n", "15", "ionice", "-c3", "go", "build", "-v", "-trimpath"]
    command += ["-ldflags", program.flags, "-o", str(part), program.package]
    began = time.monotonic()
    _say(f"{name}: building {program.package}")
    _follow(name, command, MODULES / program.module)
    part.rename(file)
    _say(f"{name}: {file.stat().st_size / 1e6:.0f} MB after {time.monotonic() - began:.0f} s")


def _follow(name: str, command: list[str], module: Path) -> None:
    """Say now and then how many packages are compiled; `go build -v` names each one."""
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-p=2 -buildvcs=false -mod=readonly"}
    with subprocess.Popen(
        command, cwd=module, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        lines: list[str] = []
        said = time.monotonic()
        for line in process.stderr or ():
            lines.append(line)
            if time.monotonic() - said > EVERY_SECONDS:
                said = time.monotonic()
                _say(f"{name}: {len(lines)} packages, at {line.strip()}")
    if process.returncode:
        errors = [line for line in lines if " " in line] or lines
        raise RuntimeError(f"{name} could not be built:\n{''.join(errors[-15:])}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
