"""The life of a cluster: up, loaded with images, down. Called by `__main__` and by the tests."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.cluster.machine import (
    building,
    cgroups,
    configuration,
    files,
    names,
    needs,
    node_process,
)
from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.node_process import NodeProcess
from tests.cluster.machine.places import State
from tests.cluster.machine.plan import Programs

WANTED = (
    *("pause", "kubelet", *building.KUBERNETES, "kubectl"),
    *("etcd", "coredns", "kube-router", "helm"),
)
PATIENCE_SECONDS = 180.0
APPLY = ("apply", "--server-side", "--filename=-")
READY = ("wait", "--for=condition=Ready", f"node/{configuration.NODE_NAME}", "--timeout=2s")
AVAILABLE = (
    *("rollout", "status", f"--namespace={names.NAMESPACE}"),
    *("deployment/coredns", "--timeout=2s"),
)
Done = subprocess.CompletedProcess[str]


def up(state: State, addresses: Addresses) -> None:
    """A cluster with a ready node and names; one that runs is looked at and kept."""
    node = NodeProcess.of(state) or start(state, addresses)
    try:
        settle(state, addresses, node)
    except BaseException:
        sys.stderr.write(f"the cluster did not come up; its logs are in {state.logs}\n")
        raise


def start(state: State, addresses: Addresses) -> NodeProcess:
    """A new cluster, whatever was left of an old one."""
    plugins = needs.check()
    built = building.build(WANTED)
    down(state)
    containerd = shutil.which("containerd") or "containerd"
    files.write(state, addresses, Programs(built, containerd), plugins)
    node = node_process.start(state)
    node_process.plug_in(node, addresses)
    return node


def settle(state: State, addresses: Addresses, node: NodeProcess) -> None:
    """What a new cluster needs before it is of use; changes nothing on one that has it."""
    _until("containerd answers", lambda: _run(node.ctr("version")))
    load(state, sorted(state.images.glob("*.tar")))
    _until("the API server answers", lambda: _kubectl(state, "get", "--raw=/readyz"))
    manifest = json.dumps(names.manifests(addresses))
    _until("names are set up", lambda: _kubectl(state, *APPLY, stdin=manifest))
    _until("the node is ready", lambda: _kubectl(state, *READY))
    _until("names are answered", lambda: _kubectl(state, *AVAILABLE))


def down(state: State) -> None:
    """End it and remove every trace; of a half-started one, too."""
    if node := NodeProcess.of(state):
        node.end()
    if shutil.which("ip"):
        node_process.unplug()
    cgroups.remove()
    if state.root.exists():
        shutil.rmtree(state.root)


def load(state: State, images: Iterable[Path]) -> list[str]:
    """Import archives (OCI or docker) into the node; returns the names that were new or changed."""
    node = NodeProcess.of(state)
    if node is None:
        raise needs.Lacking("no cluster runs here: `make cluster` starts one")
    known = _loaded(state)
    fresh: list[str] = []
    for image in images:
        stamp = f"{image.stat().st_mtime_ns} {image.stat().st_size}"
        if known.get(str(image.resolve())) != stamp:
            fresh += _import(node, image)
            known[str(image.resolve())] = stamp
            state.loaded.write_text(json.dumps(known))
    return fresh


def _import(node: NodeProcess, image: Path) -> list[str]:
    with image.open("rb") as archive:
        done = subprocess.run(
            node.ctr("images", "import", "-"),
            stdin=archive,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{image} could not be imported: {done.stderr.strip()[-500:]}")
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("unpacking")]


def _loaded(state: State) -> dict[str, str]:
    """What the node already has: archives by path, with time and size."""
    with contextlib.suppress(FileNotFoundError):
        return dict(json.loads(state.loaded.read_text()))
    return {}


def _kubectl(state: State, *arguments: str, stdin: str | None = None) -> Done:
    kubectl = str(state.programs / "kubectl")
    return _run([kubectl, f"--kubeconfig={state.kubeconfig}", *arguments], stdin=stdin)


def _run(command: list[str], stdin: str | None = None) -> Done:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def _until(what: str, attempt: Callable[[], Done]) -> None:
    """Ask until it succeeds, for at most three minutes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (done := attempt()).returncode:
        if time.monotonic() > until:
            raise RuntimeError(f"waited in vain until {what}: {done.stderr.strip()[-1000:]}")
        time.sleep(0.2)
